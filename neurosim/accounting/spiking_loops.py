"""Turns of the loops of a spiking network's program, ``program/spiking.c``, core by core, beside those of all networks (`accounting.loops`).

They follow `accounting.spiking`: a turn is one neuron and step, one slot or row that a walk looks at, one trace, one step of a history.
"""

import numpy as np

from neurosim.accounting.loops import LoopCounter
from neurosim.accounting.spiking_signals import Signals
from neurosim.accounting.spiking_visits import count_replayed, count_sample_slots, visible_spikes, visits_by_spikes
from neurosim.accounting.visits import count_visits
from neurosim.placement.programs import count_synapse_words, find_program, has_one_signal
from neurosim.placement.spiking import is_hidden, trace_bits

#: Bits of a word in which spikes lie.
_WORD = 32


class SpikingLoopCounter(LoopCounter):
    """Adds turns of a spiking network up."""

    def __init__(self, placement, events):
        super().__init__(placement, events)
        self.spiking, self.program = self.topology.spiking, find_program(self.workload.program)
        self.hidden, self.one_signal = is_hidden(placement.layout), has_one_signal(self.topology)
        self.has_bits = (self.shape.pre > 0) | self.workload.has_spike_inputs
        self.trace = trace_bits(self.profile.formats, self.workload, placement.layout)
        self.learns = not self.workload.host_learns

    def add_apart(self, phase, of_spikes, of_values, turns):
        """Turns of segments whose pre neurons spike, and of those that take values; `turns` : int64 array, shape (n_segments,)."""
        self.add_segments(phase, of_spikes, np.where(self.has_bits, turns, 0))
        self.add_segments(phase, of_values, np.where(self.has_bits, 0, turns))

    def test_rows(self, phase, activity, walks, where=True):
        """Pre neurons that are looked at, and the rows of those that spiked."""
        self.add_apart(phase, "spike_test", "row_test", np.where(where, walks * self.shape.n_pre, 0))
        self.add_segments(phase, "row_open", np.where(where, visible_spikes(self.shape, activity), 0))

    def forward(self, phase, activity):
        shape, passes, storage = self.shape, activity.passes[0], self.storage
        walks = activity.walks[0][shape.matrix]
        visits = count_visits(self.placement, activity).forward
        if self.is_sorted:
            self.test_rows(phase, activity, walks)
            self.add_apart(phase, f"forward_spike_row_{storage}", f"forward_row_{storage}", visits)
        else:
            self.add_apart(phase, f"forward_spikes_{storage}", f"forward_{storage}", visits)
            self.pass_free(phase, walks, visits)
        for i in range(1, len(passes)):
            self.add(phase, "start_bias" if self.topology.populations[i].has_bias else "start_sum", passes[i] * shape.own_sums[i])
        copies = np.where(shape.pre > 0, shape.remote, 0)
        self.add_segments(phase, "start_sum", walks * -(-copies // _WORD))
        is_learning = phase == "forward" and self.learns
        for i in self.topology.hidden:
            self.add(phase, f"{self.cell(i)}_{'forward' if is_learning else 'evaluate'}", passes[i] * shape.own[i])
            if self.spiking.refractory:
                self.add(phase, "refractory", passes[i] * shape.own[i])
        self.add(phase, "readout_step", passes[-1] * shape.own[-1])
        if self.spiking.readout == "mean":
            self.add(phase, "mean_add", passes[-1] * shape.own[-1])
        self.add(phase, "send_spike", activity.sent.sum(axis=0))
        self.add(phase, "receive_spike", activity.received.sum(axis=0))

    def outputs(self, training):
        n = training.n_losses
        self.softmax(n)
        # The logits are values.
        self.add("forward", "send_value", n * self.shape.own[-1] * max(self.shape.output_cores - 1, 0))
        self.add("forward", "receive_value", n * self.shape.other_outputs)

    def backward(self, training):
        """Learning signals, and with ``bptt`` errors of all steps."""
        shape, n, passes = self.shape, training.n_losses, training.passes[1]
        walks, visits = training.walks[1][shape.matrix], count_visits(self.placement, training).backward
        n_hidden = shape.own[1:-1].sum(axis=0)
        self.add("backward", "start_sum", n * n_hidden)
        self.add_segments("backward", "start_sum", walks * shape.remote)
        if self.is_sorted:
            self.add_segments("backward", "row_open", walks * shape.n_pre)
            self.add_segments("backward", f"backward_row_{self.storage}", visits)
        else:
            self.add_segments("backward", f"backward_{self.storage}", visits)
            self.pass_free("backward", walks, visits)
        if self.spiking.feedback != "symmetric":
            self.add("backward", "feed_back", n * n_hidden * shape.n_outputs)
        if self.program.has_history and not self.one_signal:
            self.add("backward", "readout_step", passes[-1] * shape.own[-1])
        if self.spiking.learning.instant_layers and self.program.is_online:
            self.add("backward", "signal_times", n * shape.own[2:-1].sum(axis=0))
        if self.program.name == "bptt":
            for i in self.topology.hidden:
                self.add("backward", f"{self.cell(i)}_backward", passes[i] * shape.own[i])
                if self.one_signal:  # its part of the one signal, in each step
                    self.add("backward", "mean_add", passes[i] * shape.own[i])
        signals = Signals(self.placement, training)
        self.add("backward", "send_value", training.sent_back + signals.sent)
        self.add("backward", "receive_error", training.received_back + signals.received)

    def gradient(self, training):
        shape, visits = self.shape, count_visits(self.placement, training).gradient
        walks = training.walks[2][shape.matrix]
        moved = np.where(self.trace > 0, training.walks[0][shape.matrix] * shape.n_pre, 0)
        self.add_apart("gradient", "trace_step", "trace_value", moved)
        by_spikes = visits_by_spikes(self.placement)
        self.test_rows("gradient", training, walks, by_spikes)
        self.pass_free("gradient", np.where(by_spikes, 0, walks), np.where(by_spikes, 0, visits))
        replays, has_words = self.program.name == "eprop_spike", self.program.has_traces
        in_rows = np.where(by_spikes & ~(replays & self.hidden), visits, 0)
        self.add_apart("gradient", "gradient_spike_row", "gradient_row", in_rows)
        in_order = np.where(by_spikes | has_words & self.hidden, 0, visits)
        # A trace is a number, whoever's it is.
        self.add_segments("gradient", "gradient", np.where((self.trace > 0) | ~self.has_bits, in_order, 0))
        self.add_segments("gradient", "gradient_spikes", np.where((self.trace > 0) | ~self.has_bits, 0, in_order))
        if replays:
            self.add_segments("gradient", "replay_slot", np.where(self.hidden, visits, 0))
            self.add_segments("gradient", f"replay_{self.kind}", count_replayed(self.placement, training))
        if has_words:
            self.visit_traces(training, np.where(self.hidden, visits, 0))
        self.add("gradient", "gradient_bias", training.n_losses * shape.n_biases)

    def rewire(self, activity):
        super().rewire(activity)
        events, words = activity.segment, count_synapse_words(self.program, self.topology)
        fresh = events["accepted"] + events["exact"] + events["placed"]
        self.add_segments("rewire", "clear_number", np.where(self.hidden, fresh * words, 0))  # an arrival starts without a past

    @property
    def kind(self):
        """Which sum of the eligibility is taken, and of which cells."""
        is_filtered = self.spiking.kappa > 0 and self.spiking.learning.filtered_errors
        kind = "sum" if self.one_signal else "filter" if is_filtered else "factor"
        return f"{kind}_{'alif' if self.spiking.adaptive > 0 else 'lif'}"

    def visit_traces(self, training, visits):
        """Each slot into a spiking neuron, and what is left at the end of a sample."""
        has_rate = self.spiking.rate_cost > 0
        self.add_segments("gradient", f"eligible_{self.kind}{'_own' * self.program.repeats_traces}{'_rate' * has_rate}", visits)
        words = count_synapse_words(self.program, self.topology)
        ends = np.where(self.hidden, count_sample_slots(training), 0) * (words > 0)
        n_sums = self.one_signal + has_rate
        self.add_segments("gradient", "eligible_end", ends * n_sums)
        self.add_segments("gradient", "clear_number", ends * (words - n_sums))
