"""What a spiking network did, for the program by which its chip learns: visits of slots, accesses of memory, events.

The same training run is counted for each program (`placement.programs`); which gradient it computes does not depend on the program. As
elsewhere every count is a product of an exact count and a width. The program, step by step:

- Forward: inputs come as one bit each where they are spikes. ``scan`` looks at the spike of the pre neuron of every slot in every step, ``event_driven``
  at every pre neuron, and walks the rows of those that spiked. A neuron reads its sum and state and writes its state and its spike, and, where it
  learns, psi. Spikes for other cores are packets without payload.
- Learning signals: of each loss the outputs make errors. A symmetric feedback walks the read-out backward and sends partial sums; any other sends the
  errors to all cores with neurons (`target_broadcast`), where each neuron multiplies them with its numbers. Where errors pass from layer to layer within a
  step, a neuron multiplies its signal with psi, and the matrix below it is walked backward, in each step with a loss.
- ``bptt`` goes back through the history: errors along all slots that lead to spiking neurons from such, in every step; gradients where a
  pre neuron spiked.
- Traces: each pre neuron moves its trace in every step, and every slot is visited (`trace_update`, where it keeps something of its own).
- ``eprop_spike``: a slot is visited at the spikes of its pre neuron and replays steps of the history of its post neuron (`history_read`).
- One signal (`placement.programs.has_one_signal`): the outputs take one sum of spikes of each neuron, and their slots are walked once a sample.

Where circuits compute the neurons, their states and signals are not in memory that a program reads: what is counted are synapses, traces and
feedback.
"""

import numpy as np

from neurosim.accounting.spiking_signals import Signals
from neurosim.accounting.spiking_visits import count_replayed, count_sample_slots, visible_spikes, visits_by_spikes
from neurosim.accounting.traffic import TrafficCounter
from neurosim.accounting.visits import count_visits
from neurosim.placement.families.packed_lists import PackedListsFamily
from neurosim.placement.memory import host_rewires
from neurosim.placement.programs import count_synapse_words, find_program, has_one_signal
from neurosim.placement.spiking import bits_of, history_steps, input_bits, is_hidden, trace_bits


class SpikingTraffic(TrafficCounter):
    """Counts the traffic of a spiking network."""

    def __init__(self, placement):
        super().__init__(placement)
        workload, formats = placement.workload, placement.profile.formats
        self.program, self.spiking = find_program(workload.program), self.topology.spiking
        self.is_program, self.learns = self.family.is_program, not workload.host_learns
        self.hidden = is_hidden(placement.layout)
        self.one_signal = has_one_signal(self.topology)
        self.kept = history_steps(workload)
        self.past = "history" if self.kept else "neuron_state"
        self.homes_of_x = ["input_buffer" if p.pre == 0 else self.past for p in self.topology.projections]
        self.w_input = input_bits(formats, workload)
        self.w_trace, self.w_psi = bits_of(formats, "trace_bits"), bits_of(formats, "surrogate_bits") if self.kept else self.w.activation
        self.trace = trace_bits(formats, workload, placement.layout)
        # What an engine keeps for a synapse is part of it.
        self.words = count_synapse_words(self.program, self.topology) * self.hidden * self.learns * self.is_program

    # Widths and homes that differ

    def home_of_values(self, population):
        return "neuron_state"

    def _inputs(self, activity):
        return np.where(self.shape.has_input, activity.passes[0, 0] * self.shape.n_inputs * self.w_input, 0)

    def read_pre(self, phase, times):
        for matrix, (home, projection) in enumerate(zip(self.homes_of_x, self.topology.projections, strict=True)):
            width = 1 if projection.pre else self.w_input
            self.read(phase, home, self.per_segment(times * width, self.shape.matrix == matrix))

    # Forward

    def _turn_sums_into_values(self, phase, passes):
        if not self.is_program:
            return
        own, w, last = self.shape.own, self.w, len(passes) - 1
        is_learning = phase == "forward" and self.learns
        for i in self.topology.hidden:
            kept = self.topology.populations[i].model.states + (self.spiking.refractory > 0)
            self.read(phase, "neuron_state", passes[i] * own[i] * (1 + kept) * w.activation)
            self.write(phase, "neuron_state", passes[i] * own[i] * kept * w.activation)
            self.write(phase, self.past, passes[i] * own[i])
            if is_learning and (self.kept or self.program.has_traces):
                self.write(phase, self.past, passes[i] * own[i] * self.w_psi)
        means = self.spiking.readout == "mean"
        self.read(phase, "neuron_state", passes[last] * own[last] * (2 + means) * w.activation)
        self.write(phase, "neuron_state", passes[last] * own[last] * (1 + means) * w.activation)

    def _send(self, phase, activity, walks):
        if not self.is_program:
            return
        for matrix, projection in enumerate(self.topology.projections):
            if projection.pre:
                self.write(phase, self.past, self.per_segment(walks * self.shape.remote, self.shape.matrix == matrix))
                self.read(phase, self.past, activity.sent[matrix])
                self.write(phase, self.past, activity.received[matrix])

    # Learning

    def _learn(self, training):
        self._input(training)
        self._forward("forward", training)
        self._output_errors(training.n_losses)
        self._signals(training)
        if self.program.name == "bptt":
            self._go_back(training)
        self._move_traces(training)
        self._gradient(training)
        if self.placement.workload.clips:
            self._take_norm(training.n_steps)
        self._finish_update(training)

    def _finish_update(self, training):
        self._update(training)
        if host_rewires(self.placement.profile, self.placement.workload):
            self._rewire_by_host(training)
        else:
            self._rewire(training)
        # An arrival starts without a past.
        arrivals = training.segment["accepted"] + training.segment["exact"] + training.segment["placed"]
        self.write("rewire", "eligibility", self.per_segment(arrivals * self.words * self.w_trace))

    def _output_errors(self, n):
        if self.is_program:
            super()._output_errors(n)
            if self.kept and self.spiking.readout == "every":
                self.write("forward", "history", n * self.shape.own[-1] * self.w.error)

    def _walk_back(self, training, where):
        """Send errors back along the slots of the segments that `where` names."""
        shape, w = self.shape, self.w
        walks = np.where(where, training.walks[1][shape.matrix], 0)
        visits = np.where(where, training.segment["slots_backward"], 0)
        if not self.is_program:
            self.read("backward", self.family.home, self.per_segment(visits * (w.position + w.strength)))
            return
        self.write("backward", "neuron_state", self.per_segment(walks * shape.remote * w.error))
        self.read("backward", "neuron_state", self.per_segment(visits * w.error))
        if self.is_sorted:
            self.read("backward", "row_pointers", self.per_segment(walks * shape.n_pre * 2 * w.row_pointer))
            self.read("backward", self.family.home, self.per_segment(visits * (w.post + w.strength)))
            self.write("backward", "neuron_state", self.per_segment(walks * shape.n_pre * w.error))
        else:
            self.read("backward", self.family.home, self.per_segment(visits * (w.position + w.strength)))
            self.pass_free_slots("backward", walks, visits)
            self.update_in_place("backward", "neuron_state", self.per_segment(visits * w.error))

    def _signals(self, training):
        """Learning signals of the neurons, from the errors of the outputs."""
        shape, w, n = self.shape, self.w, training.n_losses
        n_hidden = shape.own[1:-1].sum(axis=0)
        signals = Signals(self.placement, training)
        home = "history" if self.kept and self.program.is_online and not self.one_signal else "neuron_state"
        if self.is_program:
            self.write("backward", home, n * n_hidden * w.error)
        if self.spiking.feedback == "symmetric":
            self._walk_back(training, ~self.hidden)
        else:
            self.read("backward", "neuron_state", signals.sent * w.error)
            self.write("backward", "neuron_state", signals.received * w.error)
            self.read("backward", "feedback", n * n_hidden * shape.n_outputs * w.gradient)
            if self.is_program:
                self.read("backward", "neuron_state", n * n_hidden * shape.n_outputs * w.error)
        if self.spiking.learning.instant_layers and self.program.is_online:
            self._pass_down(n)
            self._walk_back(training, self.hidden & (shape.pre > 0))
        if self.spiking.feedback == "symmetric" and self.is_program:
            self.read("backward", "neuron_state", training.sent_back * w.error)
            self.update_in_place("backward", "neuron_state", training.received_back * w.error)
        if self.program.has_history and not self.one_signal and self.is_program:
            # Errors of the outputs pass the leak of the read-out backwards.
            n_outputs = training.passes[1, -1] * shape.own[-1]
            self.read("backward", "history", n_outputs * w.error)
            self.update_in_place("backward", "neuron_state", n_outputs * w.error)

    def _pass_down(self, n):
        """Neurons with a layer below make errors for it of their signals, with psi of the same step, in each step with a loss."""
        for i in self.topology.hidden[1:] if self.is_program else ():
            own = n * self.shape.own[i]
            self.read("backward", self.past, own * self.w_psi)
            self.update_in_place("backward", "neuron_state", own * self.w.error)

    def _go_back(self, training):
        """Errors of the neurons, step by step, from the history."""
        shape, w = self.shape, self.w
        if self.spiking.learning.recurrent_errors or self.spiking.learning.layer_errors:
            self._walk_back(training, self.hidden & (shape.pre > 0))
        for i in self.topology.hidden:
            _, n_errors, n_written = self.topology.populations[i].model.backward
            n = training.passes[1, i] * shape.own[i]
            self.read("backward", "history", n * self.w_psi)
            self.read("backward", "neuron_state", n * (n_errors + self.one_signal) * w.error)
            self.write("backward", "neuron_state", n * n_written * w.error)

    def _move_traces(self, training):
        """Every pre neuron moves its trace in every step, by its spike."""
        n = np.where(self.trace > 0, training.walks[0][self.shape.matrix] * self.shape.n_pre, 0)
        self.read_pre("gradient", n)
        self.update_in_place("gradient", "pre_traces", self.per_segment(n * self.trace))

    def _gradient(self, training):
        w, gather = self.w, count_visits(self.placement, training).gradient
        self._find_slots(training, gather)
        by_trace = gather * (self.trace > 0)
        self.read("gradient", "pre_traces", self.per_segment(by_trace * self.trace))
        if self.is_program:  # errors of the membranes, learning signals, or errors of the outputs
            n_read = gather * (self.hidden if self.program.name == "bptt" else self.hidden * (not self.one_signal and not self.program.has_history))
            self.read("gradient", "neuron_state", self.per_segment((n_read + gather * ~self.hidden) * w.error))
        if self.program.has_traces:
            self._visit_traces(training, gather)
        elif self.program.name == "eprop_spike":
            replayed = count_replayed(self.placement, training)
            self.read("gradient", "history", self.per_segment(replayed * (self.w_psi + (not self.one_signal) * w.error)))
            if self.one_signal:
                self.read("gradient", "neuron_state", self.per_segment(gather * self.hidden * w.error))
        adds = gather * (~self.hidden if self.one_signal and self.program.has_traces else 1)
        if self.has_accumulators:
            self.update_in_place("gradient", "gradients", self.per_segment(adds * w.gradient))
        elif isinstance(self.family, PackedListsFamily):
            self.family.visit_all(self, "gradient", training, training.passes[0, 0])
        elif not self.one_signal:
            self.move_strengths("gradient", adds)
        n_biases = training.n_losses * self.shape.n_biases
        if self.is_program:
            self.read("gradient", "neuron_state", n_biases * w.error)
            self.update_in_place("gradient", "neuron_state", n_biases * w.gradient)

    def _find_slots(self, training, gather):
        """Find the slots that have a gradient: all in order, or those in the rows of neurons that spiked."""
        shape, w = self.shape, self.w
        by_spikes = visits_by_spikes(self.placement)
        walks = training.walks[2][shape.matrix]
        in_order = np.where(by_spikes, 0, gather)
        self.read("gradient", self.family.home, self.per_segment(in_order * w.position))
        self.pass_free_slots("gradient", np.where(by_spikes, 0, walks), in_order)
        rows = np.where(by_spikes, walks, 0)
        self.read_pre("gradient", rows * shape.n_pre + np.where(~by_spikes & (self.trace == 0), gather, 0) * self._reads_spikes())
        if self.is_sorted:
            self.read("gradient", "row_pointers", self.per_segment(visible_spikes(shape, training), by_spikes) * 2 * w.row_pointer)
        self.read("gradient", self.family.home, self.per_segment(np.where(by_spikes, gather, 0) * w.post))

    def _reads_spikes(self):
        """Whether a slot that is visited in order looks at the spike of its pre neuron."""
        return self.program.name == "bptt" or self.program.repeats_traces * self.hidden | ~self.hidden

    def _visit_traces(self, training, gather):
        """Each slot into a spiking neuron: its own traces, psi of its post neuron, and what is left at the end of a sample."""
        w, visits = self.w, gather * self.hidden
        if self.is_program:
            self.read("gradient", "neuron_state", self.per_segment(visits * w.activation))
        self.update_in_place("gradient", "eligibility", self.per_segment(visits * self.words * self.w_trace))
        ends = np.where(self.words > 0, count_sample_slots(training), 0)
        self.write("gradient", "eligibility", self.per_segment(ends * self.words * self.w_trace))  # the next sample starts at zero
        if not self.one_signal:
            return
        self.read("gradient", "eligibility", self.per_segment(ends * self.w_trace))
        if self.is_program:
            self.read("gradient", "neuron_state", self.per_segment(ends * w.error))
        if self.has_accumulators:
            self.update_in_place("gradient", "gradients", self.per_segment(ends * w.gradient))
