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
        self._write("input", "input_buffer", self._inputs(training))
        labels = np.where(self.shape.has_output, self.shape.n_outputs * self.w.input, 0)
        self._write("input", "label_buffer", training.n_samples * labels)

    def _add_to_sums(self, phase, times):
        """Read and write sums of post neurons, `times` per segment."""
        for matrix, projection in enumerate(self.topology.projections):
            bits = self._per_segment(times * self.w.activation, self.shape.matrix == matrix)
            self._update_in_place(phase, self._home_of_values(projection.post), bits)

    def _walk_rows(self, phase, activity, n_walks, with_first=True):
        """Test every pre neuron of every segment in each walk, and read two row pointers where it is non-zero."""
        self._read_pre(phase, n_walks * self.shape.n_pre)
        first_rows, later_rows = self.shape.visible_rows(activity)
        rows = later_rows + (first_rows if with_first else 0)
        self._read(phase, "row_pointers", rows * 2 * self.w.row_pointer)

    def _forward(self, phase, activity):
        shape, w = self.shape, self.w
        walks = activity.walks[0][shape.matrix]
        visits = count_visits(self.placement, activity)
        if self.is_array:
            # The array multiplies; the processor reads every activation once and gets the sums by its converters.
            self._read_pre(phase, walks * shape.n_pre)
            self._write(phase, "neuron_state", self._per_segment(walks * (shape.n_positions // shape.n_pre) * w.activation))
        else:
            if self.is_sorted:
                self._walk_rows(phase, activity, walks)
                self._read(phase, "synapses", self._per_segment(visits.forward * (w.post + w.strength)))
            elif self.has_lists:
                self._read_pre(phase, activity.segment["rows_nonzero"])
                self._read_words(phase, activity.segment["words_nonzero"])
            else:
                self._read_pre(phase, visits.forward)
                self._read(phase, "synapses", self._per_segment(visits.forward * (w.position + w.strength)))
                self._pass_free_slots(phase, walks, visits.forward)
            self._start_sums(phase, activity.passes[0])
            self._add_to_sums(phase, visits.forward_ops)
        self._turn_sums_into_values(phase, activity.passes[0])
        self._send(phase, activity, walks)

    def _start_sums(self, phase, passes):
        """A sum starts at zero, or at its bias."""
        for i in range(1, len(passes)):
            bits = passes[i] * self.shape.own_sums[i] * self.w.activation
            self._write(phase, self._home_of_values(i), bits)
            self._read(phase, "neuron_state", bits * self.shape.has_bias[i])

    def _turn_sums_into_values(self, phase, passes):
        own, w = self.shape.own, self.w
        for i in self.topology.hidden:
            n_read, n_written = self.topology.populations[i].model.forward
            self._read(phase, self._home_of_values(i), passes[i] * own[i] * n_read * w.activation)
            self._write(phase, self._home_of_values(i), passes[i] * own[i] * n_written * w.activation)
        if self.topology.readout == "mean":  # starts at zero, and every step adds to it
            self._write(phase, "neuron_state", passes[-1] * own[-2] * w.activation)
            self._update_in_place(phase, "neuron_state", passes[-2] * own[-2] * w.activation)

    def _send(self, phase, activity, walks):
        """Values that other cores need: read at home, written where they arrive.

        Of neurons that send only what is not zero, the copies start at zero.
        """
        shape, w = self.shape, self.w
        for matrix, (home, projection) in enumerate(zip(self.homes_of_x, self.topology.projections, strict=True)):
            if projection.pre and not self.topology.populations[projection.pre].model.sends_zeros:
                self._write(phase, home, self._per_segment(walks * shape.remote * w.activation, shape.matrix == matrix))
            self._read(phase, home, activity.sent[matrix] * w.activation)
            self._write(phase, home, activity.received[matrix] * w.activation)

    def _output_errors(self, n):
        shape, w = self.shape, self.w
        own = shape.own[-1]
        exchanged = own * max(shape.output_cores - 1, 0)
        self._read("forward", "neuron_state", n * exchanged * w.activation)
        self._write("forward", "neuron_state", n * shape.other_outputs * w.activation)
        self._read("forward", "neuron_state", n * (own + shape.other_outputs) * w.activation)
        self._write("forward", "neuron_state", n * own * w.error)  # exponentials
        self._read("forward", "label_buffer", n * own * w.input)
        self._update_in_place("forward", "neuron_state", n * own * w.error)  # normalised, label subtracted

    def _backward(self, activity):
        shape, w, passes = self.shape, self.w, activity.passes[1]
        walks = activity.walks[1][shape.matrix]
        visits = count_visits(self.placement, activity)
        # Own errors and partial errors of remote neurons start at zero.
        self._write("backward", "neuron_state", shape.own_hidden(passes) * w.error)
        self._write("backward", "neuron_state", self._per_segment(walks * shape.remote * w.error))
        self._read("backward", "neuron_state", self._per_segment(visits.backward * w.error))
        if self.is_sorted:
            self._walk_rows("backward", activity, walks, with_first=False)
            self._read("backward", "synapses", self._per_segment(visits.backward * w.post))
            self._read("backward", "synapses", self._per_segment(visits.backward_ops * w.strength))
            # The sum of a row stays in a register.
            self._write("backward", "neuron_state", self._per_segment(activity.segment["rows_nonzero"] * w.error, shape.pre > 0))
        else:
            if self.has_lists:
                self._read_words("backward", np.where(shape.pre > 0, activity.segment["words"], 0))
            else:
                self._read("backward", self.home_of_synapses, self._per_segment(visits.backward * (w.position + w.strength)))
                self._pass_free_slots("backward", walks, visits.backward)
            self._update_in_place("backward", "neuron_state", self._per_segment(visits.backward_ops * w.error))
        for i in self.topology.hidden:
            n_values, n_errors, n_written = self.topology.populations[i].model.backward
            self._read("backward", self._home_of_values(i), passes[i] * shape.own[i] * n_values * w.activation)
            self._read("backward", "neuron_state", passes[i] * shape.own[i] * n_errors * w.error)
            self._write("backward", "neuron_state", passes[i] * shape.own[i] * n_written * w.error)
        if self.topology.readout == "mean":  # the error of the mean starts at zero, and every step starts at it
            self._write("backward", "neuron_state", passes[-1] * shape.own[-2] * w.error)
            self._read("backward", "neuron_state", passes[-2] * shape.own[-2] * w.error)
        self._read("backward", "neuron_state", activity.sent_back * w.error)  # partial errors go back ...
        self._update_in_place("backward", "neuron_state", activity.received_back * w.error)  # ... and are added at home

    def _gradient(self, activity):
        w = self.w
        walks = activity.walks[2][self.shape.matrix]
        visits = count_visits(self.placement, activity)
        self._read("gradient", "neuron_state", self._per_segment(visits.gradient * w.error))
        if self.is_sorted:
            self._walk_rows("gradient", activity, walks)
            self._read("gradient", "synapses", self._per_segment(visits.gradient * w.post))
        else:
            self._read_pre("gradient", visits.gradient)
            self._read_words("gradient", activity.segment["words"])
            self._read("gradient", self.home_of_synapses, self._per_segment(visits.gradient * w.mark))
            self._pass_free_slots("gradient", walks, visits.gradient)
        if self.has_accumulators:
            self._update_in_place("gradient", "gradients", self._per_segment(visits.gradient_ops * w.gradient))
        elif self.is_sorted and self.state:
            # Only some slots have a gradient: it is added to their state at once, before the pass that moves all slots.
            self._update_in_place("gradient", "optimizer_state", self._per_segment(visits.gradient_ops * self.state))
        elif self.is_sorted:
            # It is applied at once, for the same reason.
            self._move_strengths("gradient", visits.gradient_ops)
        n_biases = (activity.passes[1][:, None] * np.where(self.shape.has_bias, self.shape.own_sums, 0)).sum(axis=0)
        self._read("gradient", "neuron_state", n_biases * w.error)
        self._update_in_place("gradient", "neuron_state", n_biases * w.gradient)

    def _move_strengths(self, phase, times):
        """Read strength and sign and write the strength: of the master copy where there is one."""
        w = self.w
        if w.master:
            self._update_in_place(phase, "master_weights", self._per_segment(times * w.master))
            self._read(phase, self.home_of_synapses, self._per_segment(times * (w.strength - w.weight)))
        else:
            self._read(phase, self.home_of_synapses, self._per_segment(times * w.strength))
            self._write(phase, self.home_of_synapses, self._per_segment(times * w.weight))
