"""Traffic of samples on their way forward and back: input, forward, backward, gradient.

One function per phase says how often each section is accessed per event; see `neurosim.accounting.traffic`.
"""

import numpy as np

from neurosim.accounting.accesses import Accesses
from neurosim.accounting.visits import count_visits


class PassTraffic(Accesses):
    """Accesses of the passes through a network; with steps, of all of them."""

    def _inputs(self, activity):
        return np.where(self.shape.has_input, activity.passes[0, 0] * self.shape.n_inputs * self.w.input, 0)

    def _input(self, training):
        self.write("input", "input_buffer", self._inputs(training))
        labels = np.where(self.shape.has_output, self.shape.n_outputs * self.w.input, 0)
        self.write("input", "label_buffer", training.n_samples * labels)

    def add_to_sums(self, phase, times):
        """Read and write sums of post neurons, `times` per segment."""
        for matrix, projection in enumerate(self.topology.projections):
            bits = self.per_segment(times * self.w.activation, self.shape.matrix == matrix)
            self.update_in_place(phase, self.home_of_values(projection.post), bits)

    def _forward(self, phase, activity):
        walks = activity.walks[0][self.shape.matrix]
        self.family.forward(self, phase, activity, walks, count_visits(self.placement, activity))
        self._turn_sums_into_values(phase, activity.passes[0])
        self._send(phase, activity, walks)

    def start_sums(self, phase, passes):
        """A sum starts at zero, or at its bias, which is read once for all places of a map."""
        for i in range(1, len(passes)):
            self.write(phase, self.home_of_values(i), passes[i] * self.shape.own_sums[i] * self.w.activation)
        self.read_biases(phase, passes)

    def read_biases(self, phase, passes):
        """Read the bias of every sum that has one, once per pass."""
        biases = (passes[:, None] * self.shape.own_biases).sum(axis=0)
        self.read(phase, "neuron_state", biases * self.w.activation)

    def _turn_sums_into_values(self, phase, passes):
        own, w = self.shape.own, self.w
        for i in self.topology.hidden:
            n_read, n_written = self.topology.populations[i].model.forward
            self.read(phase, self.home_of_values(i), passes[i] * own[i] * n_read * w.activation)
            self.write(phase, self.home_of_values(i), passes[i] * own[i] * n_written * w.activation)
            # Pooling: every value of a window is read, its largest or its mean written.
            self.read(phase, self.home_of_values(i), passes[i] * self.shape.pooled_pairs[i] * w.activation)
            self.write(phase, self.home_of_values(i), passes[i] * self.shape.own_pooled[i] * w.activation)
        if self.topology.readout == "mean":  # starts at zero, and every step adds to it
            self.write(phase, "neuron_state", passes[-1] * own[-2] * w.activation)
            self.update_in_place(phase, "neuron_state", passes[-2] * own[-2] * w.activation)

    def _send(self, phase, activity, walks):
        """Values that other cores need: read at home, written where they arrive.

        Of neurons that send only what is not zero, the copies start at zero.
        """
        shape, w = self.shape, self.w
        for matrix, (home, projection) in enumerate(zip(self.homes_of_x, self.topology.projections, strict=True)):
            if projection.pre and not self.topology.sends_zeros(projection.pre):
                self.write(phase, home, self.per_segment(walks * shape.remote * w.activation, shape.matrix == matrix))
            self.read(phase, home, activity.sent[matrix] * w.activation)
            self.write(phase, home, activity.received[matrix] * w.activation)

    def _output_errors(self, n):
        shape, w = self.shape, self.w
        own = shape.own[-1]
        exchanged = own * max(shape.output_cores - 1, 0)
        self.read("forward", "neuron_state", n * exchanged * w.activation)
        self.write("forward", "neuron_state", n * shape.other_outputs * w.activation)
        self.read("forward", "neuron_state", n * (own + shape.other_outputs) * w.activation)
        self.write("forward", "neuron_state", n * own * w.error)  # exponentials
        self.read("forward", "label_buffer", n * own * w.input)
        self.update_in_place("forward", "neuron_state", n * own * w.error)  # normalised, label subtracted

    def _backward(self, activity):
        shape, w, passes = self.shape, self.w, activity.passes[1]
        walks = activity.walks[1][shape.matrix]
        visits = count_visits(self.placement, activity)
        # Own errors and partial errors of remote neurons start at zero.
        for i in self.topology.hidden:
            self.write("backward", self.home_of_errors(i), passes[i] * (shape.own[i] + shape.own_pooled[i]) * w.error)
        for projection, values in self.per_matrix(walks * shape.remote):
            self.write("backward", self.home_of_errors(projection.pre), values * w.error)
        for projection, values in self.per_matrix(visits.backward):
            self.read("backward", self.home_of_errors(projection.post), values * w.error)
        self.family.backward(self, activity, walks, visits)
        for i in self.topology.hidden:
            n_values, n_errors, n_written = self.topology.populations[i].model.backward
            self.read("backward", self.home_of_values(i), passes[i] * shape.own[i] * n_values * w.activation)
            self.read("backward", self.home_of_errors(i), passes[i] * shape.own[i] * n_errors * w.error)
            self.write("backward", self.home_of_errors(i), passes[i] * shape.own[i] * n_written * w.error)
            self._unpool(i, passes[i])
        if self.topology.readout == "mean":  # the error of the mean starts at zero, and every step starts at it
            self.write("backward", "neuron_state", passes[-1] * shape.own[-2] * w.error)
            self.read("backward", "neuron_state", passes[-2] * shape.own[-2] * w.error)
        if self.topology.has_maps:  # every value that came is answered
            for matrix, projection in enumerate(self.topology.projections):
                self.read("backward", self.home_of_errors(projection.pre), activity.received[matrix] * w.error)
                self.update_in_place("backward", self.home_of_errors(projection.pre), activity.sent[matrix] * w.error)
            return
        self.read("backward", "neuron_state", activity.sent_back * w.error)  # partial errors go back ...
        self.update_in_place("backward", "neuron_state", activity.received_back * w.error)  # ... and are added at home

    def _unpool(self, population, n):
        """Errors of pooled values go to the first largest value of a window, which is looked for again, or to all of it."""
        maps, shape, w, home = self.topology.populations[population].maps, self.shape, self.w, self.home_of_errors(population)
        if not maps or not maps.pool:
            return
        pooled, pairs = n * shape.own_pooled[population], n * shape.pooled_pairs[population]
        self.read("backward", home, pooled * w.error)
        if maps.pool.kind == "max":
            self.read("backward", self.home_of_values(population), (pooled + pairs) * w.activation)
        self.update_in_place("backward", home, (pooled if maps.pool.kind == "max" else pairs) * w.error)

    def _gradient(self, activity):
        w = self.w
        walks = activity.walks[2][self.shape.matrix]
        visits = count_visits(self.placement, activity)
        for projection, values in self.per_matrix(visits.gradient):
            self.read("gradient", self.home_of_errors(projection.post), values * w.error)
        self.family.gradient(self, activity, walks, visits)
        if self.has_accumulators:
            # The products of all places of a slot are summed in a register.
            times = visits.gradient_words if self.topology.has_maps else visits.gradient_ops
            self.update_in_place("gradient", "gradients", self.per_segment(times * w.gradient))
        elif self.is_sorted and self.state:
            # Only some slots have a gradient: it is added to their state at once, before the pass that moves all slots.
            self.update_in_place("gradient", "optimizer_state", self.per_segment(visits.gradient_ops * self.state))
        elif self.is_sorted:
            # It is applied at once, for the same reason.
            self.move_strengths("gradient", visits.gradient_ops)
        passes = activity.passes[1]
        for i in range(1, len(passes)):
            if self.topology.populations[i].has_bias:
                self.read("gradient", self.home_of_errors(i), passes[i] * self.shape.own_sums[i] * w.error)
        self.update_in_place("gradient", "neuron_state", (passes[:, None] * self.shape.own_biases).sum(axis=0) * w.gradient)

    def move_strengths(self, phase, times):
        """Read strength and sign and write the strength: of the master copy where there is one."""
        w = self.w
        if w.master:
            self.update_in_place(phase, "master_weights", self.per_segment(times * w.master))
            self.read(phase, self.family.home, self.per_segment(times * (w.strength - w.weight)))
        else:
            self.read(phase, self.family.home, self.per_segment(times * w.strength))
            self.write(phase, self.family.home, self.per_segment(times * w.weight))
