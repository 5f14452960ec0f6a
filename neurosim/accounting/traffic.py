"""Memory traffic: which section of which core is read and written, in bits, phase by phase.

One function per phase says how often each section is accessed per event; everything is a product of
an exact count and a width from the profile, so one person can audit it against the table in
`docs/hardware-model.md`. Counted in bits (a synapse word is 65 bits on Santos), reported in bytes.
Here: update and rewiring, by the chip or by its host; the phases before stand in `passes`.
"""

import numpy as np

from neurosim.accounting.passes import PassTraffic
from neurosim.accounting.visits import count_arrivals, count_dense, count_search_passes
from neurosim.placement.memory import COUNTER_BITS, STEP_COUNT_BITS, host_rewires


class TrafficCounter(PassTraffic):
    """Counts the traffic of one placement."""

    def count(self, training, evaluation):
        """Add the traffic of a training and its evaluations; returns `bits`."""
        if self.placement.workload.host_learns:
            self._take_from_host(training)
        else:
            self._learn(training)
        self.write("evaluate", "input_buffer", self._inputs(evaluation))
        self._forward("evaluate", evaluation)
        self.read("evaluate", "neuron_state", evaluation.n_samples * self.shape.own[-1] * self.w.activation)
        return self.bits

    def _learn(self, training):
        self._input(training)
        self._forward("forward", training)
        self._output_errors(training.n_samples)
        self._backward(training)
        self._gradient(training)
        if self.placement.workload.clips:
            self._take_norm(training.n_steps)
        self._update(training)
        if host_rewires(self.placement.profile, self.placement.workload):
            self._rewire_by_host(training)
        else:
            self._rewire(training)

    def _take_from_host(self, training):
        """The host learns: it reads activations and logits, and writes weights and biases that changed and synapses that came or went."""
        events, n = training.segment, training.n_samples
        self.write("input", "input_buffer", self._inputs(training))
        self._forward("forward", training)
        for population, own in enumerate(self.shape.own):
            home = "feature_maps" if self.topology.populations[population].maps else "neuron_state"
            self.read("forward", home, n * own * self.w.activation)
        self.family.take_weights(self, events)
        self.write("update", "neuron_state", training.n_steps * self.shape.n_biases * self.w.activation)
        self.family.take_exchange(self, events, count_arrivals(self.placement, training))

    def _take_norm(self, n_steps):
        """Before anything moves, every accumulator and every gradient of a bias is read; the sums are exchanged out of registers."""
        self.read("update", "gradients", self.per_segment(n_steps * self.shape.n_slots * self.w.gradient))
        self.read("update", "neuron_state", n_steps * self.shape.n_biases * self.w.gradient)

    def _update(self, activity):
        w, updated = self.w, activity.segment["updated"]
        self.family.update(self, activity)
        self.pass_free_slots("update", activity.n_steps, updated)
        if self.has_accumulators:
            self.update_in_place("update", "gradients", self.per_segment(updated * w.gradient))
        self.update_in_place("update", "optimizer_state", self.per_segment(updated * self.state))
        bias = self.w.activation + self.w.gradient + self.state  # beside each its accumulator and its state
        self.update_in_place("update", "neuron_state", activity.n_steps * self.shape.n_biases * bias)
        if self.placement.workload.counts_steps:
            count = np.where(self.shape.own.any(axis=0), activity.n_steps * STEP_COUNT_BITS, 0)
            self.update_in_place("update", "optimizer_state", count)
        # The walk has read the dormant ones already, as it passed them.
        self.write("update", self.family.home, self.per_segment(activity.segment["dormant"] * w.weight))

    def _rewire_by_host(self, activity):
        """The host reads every weight, and all dense gradients, and writes what it exchanged; searches and draws are its own."""
        w, events = self.w, activity.segment
        self._sum_dense_gradient(activity)
        self.read("rewire", "dense_gradient", self.per_segment(events["dense_searches"] * self.shape.n_positions * w.gradient))
        self.family.give_weights(self, events)
        self.family.take_exchange(self, events, count_arrivals(self.placement, activity))
        arrivals = events["accepted"] + events["exact"] + events["placed"]
        moved = events["merges"] * self.shape.n_slots if self.is_sorted else 0
        for section, bits in (("optimizer_state", self.state), ("master_weights", w.master)):
            self.write("rewire", section, self.per_segment(arrivals * bits))
            self.update_in_place("rewire", section, self.per_segment(moved * bits))

    def _rewire(self, activity):
        shape, w = self.shape, self.w
        events = activity.segment
        proposals = events["accepted"] + events["rejected"]
        arrivals = count_arrivals(self.placement, activity)
        self._search(events)
        self._sum_dense_gradient(activity)
        self._search_dense_gradient(events)
        self.family.propose(self, events, proposals)
        self.family.exchange(self, events, arrivals)
        self.write("rewire", "optimizer_state", self.per_segment((events["accepted"] + events["exact"] + events["placed"]) * self.state))
        self.write("rewire", self.family.home, self.per_segment(events["erased"] * w.mark))
        self.write("rewire", "master_weights", self.per_segment((events["accepted"] + events["exact"] + events["placed"]) * w.master))
        if self.is_sorted:
            self.update_in_place("rewire", "rewiring", self.per_segment(arrivals * w.position))
            word = events["merges"] * shape.n_slots * (w.position + w.strength)
            self.update_in_place("rewire", self.family.home, self.per_segment(word))
            moved = events["merges"] * shape.n_slots * self.state
            self.update_in_place("rewire", "optimizer_state", self.per_segment(moved))
            moved = events["merges"] * shape.n_slots * w.master
            self.update_in_place("rewire", "master_weights", self.per_segment(moved))
            pointers = events["merges"] * (shape.n_pre + 1) * w.row_pointer
            self.update_in_place("rewire", "row_pointers", self.per_segment(pointers))

    def _search(self, events):
        """Smallest weights: passes that count, and one that names."""
        n_counting = count_search_passes(self.w.weight)
        free = events["searches"] * self.shape.n_slots - events["ranked"]
        bits = (n_counting + 1) * (events["ranked"] * self.w.weight + free * self.w.mark)
        self.read("rewire", self.family.home, self.per_segment(bits))
        self.update_in_place("rewire", "rewiring", self.per_segment(n_counting * events["ranked"] * COUNTER_BITS))

    def _sum_dense_gradient(self, activity):
        shape, w, events = self.shape, self.w, activity.segment
        dense = count_dense(self.placement, activity)
        for matrix, home in enumerate(self.homes_of_x):
            self.read("rewire", home, dense.sent[matrix] * w.activation)
            self.write("rewire", home, dense.received[matrix] * w.activation)
        self.read_pre("rewire", events["dense_samples"] * shape.n_pre)
        self.read("rewire", "neuron_state", self.per_segment(dense.operations * w.error))
        self.update_in_place("rewire", "dense_gradient", self.per_segment(dense.operations * w.gradient))

    def _search_dense_gradient(self, events):
        shape, w = self.shape, self.w
        # Positions that are taken are no candidates.
        free = events["dense_searches"] * shape.n_slots - events["masked"]
        self.read("rewire", self.family.home, self.per_segment((events["masked"] + free) * w.mark))
        self.write("rewire", "dense_gradient", self.per_segment(events["masked"] * w.gradient))
        n_counting = count_search_passes(w.gradient)
        searched = events["dense_searches"] * shape.n_positions
        self.read("rewire", "dense_gradient", self.per_segment((n_counting + 1) * searched * w.gradient))
        self.update_in_place("rewire", "rewiring", self.per_segment(n_counting * searched * COUNTER_BITS))


def count_traffic(placement, training, evaluation):
    """Bits read and written: int64, shape (n_cores, len(PHASES), len(SECTIONS), 2).

    Parameters
    ----------
    placement : Placement
    training, evaluation : Activity
    """
    return TrafficCounter(placement).count(training, evaluation)
