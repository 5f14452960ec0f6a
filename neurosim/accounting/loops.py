"""Turns of the loops of the training program, core by core: what a table of cycles (`neurosim.hardware.program`) is multiplied with.

The loops are the functions of ``program/loops.c`` (and of ``program/spiking.c``: `accounting.spiking_loops`), by name, and follow docs/hardware-model.md section 4 line by line, as the traffic does:
every turn is one slot, row, neuron, draw or position that the program looks at. Only chips whose synapses are words in local memory run
this program.
"""

import numpy as np

from neurosim.accounting.activity import Shape
from neurosim.accounting.events import KIND, PHASE, PHASES
from neurosim.accounting.visits import count_arrivals, count_dense, count_search_passes, count_visits
from neurosim.placement.memory import has_accumulators, has_row_pointers, host_rewires, theta_bits

#: Cells whose loops have another cell's name; a cell without loops in the table is listed as not priced.
_SAME_LOOPS = {"rnn": "tanh"}
#: Stored strengths that share a word with their sign, by their width without it, have loops of their own; fields of any other width share one.
_FIXED = {15: "i16", 7: "i8"}


def storage_of(profile, workload):
    """Suffix of the loops that read or write strengths: ``f32``, ``f16``, ``i16``, ``i8`` or ``bits``."""
    if workload.has_float16:
        return "f16"
    bits = theta_bits(profile, workload)
    return "f32" if bits in (31, 32) else _FIXED.get(bits, "bits")


def count_loops(placement, training, evaluation, events, make=None):
    """Turns of each loop.

    Parameters
    ----------
    placement : Placement
        On a chip of the family `address_space`.
    training, evaluation : Activity
    events : int64 array, shape (n_cores, len(PHASES), len(KINDS))
        As `count_events` counts them; packets are taken from it.
    make : callable, optional
        From (placement, events), what counts; a `LoopCounter` when left out.

    Returns
    -------
    dict of str to int64 array, shape (n_cores, len(PHASES))
        Loops with at least one turn.
    """
    counter = (make or LoopCounter)(placement, events)
    counter.forward("forward", training)
    if not placement.workload.host_learns:
        counter.outputs(training)
        counter.backward(training)
        counter.gradient(training)
        counter.update(training)
        if not host_rewires(placement.profile, placement.workload):
            counter.rewire(training)
        counter.sum_dense_gradient(training)
    counter.forward("evaluate", evaluation)
    return {name: turns for name, turns in counter.turns.items() if turns.any()}


class LoopCounter:
    """Adds turns up, phase by phase."""

    def __init__(self, placement, events):
        self.placement, self.events = placement, events
        self.profile, self.workload = placement.profile, placement.workload
        self.shape, self.topology = Shape(placement), placement.workload.topology
        self.is_sorted = has_row_pointers(self.profile, self.workload)
        self.storage = storage_of(self.profile, self.workload)
        self.generator = self.profile.energy.chosen.draws
        self.turns = {}

    def add(self, phase, loop, turns):
        """`turns` : int64 array, shape (n_cores,)."""
        self.turns.setdefault(loop, np.zeros((self.shape.n_cores, len(PHASES)), np.int64))[:, PHASE[phase]] += turns

    def add_segments(self, phase, loop, turns):
        """`turns` : int64 array, shape (n_segments,)."""
        self.add(phase, loop, self.shape.per_core(turns))

    def add_packets(self, phase, receive):
        """Values that are sent and received, with what receiving does."""
        self.add(phase, "send_value", self.events[:, PHASE[phase], KIND["packet_sent"]])
        self.add(phase, receive, self.events[:, PHASE[phase], KIND["packet_received"]])

    def open_rows(self, phase, activity, walks, with_first=True):
        self.add_segments(phase, "row_test", walks * self.shape.n_pre)
        first, later = self.shape.visible_rows(activity)
        self.add(phase, "row_open", later + (first if with_first else 0))

    def forward(self, phase, activity):
        shape, topology, passes = self.shape, self.topology, activity.passes[0]
        walks = activity.walks[0][shape.matrix]
        visits = count_visits(self.placement, activity)
        if self.is_sorted:
            self.open_rows(phase, activity, walks)
            self.add_segments(phase, f"forward_row_{self.storage}", visits.forward)
        else:
            self.add_walk(phase, "forward", f"_{self.storage}", visits.forward, visits.forward_words, activity.segment["place_rows"])
            self.pass_free(phase, walks, visits.forward_words)
        for i in range(1, len(passes)):
            self.add(phase, "start_bias" if topology.populations[i].has_bias else "start_sum", passes[i] * shape.own_sums[i])
        for matrix, projection in enumerate(topology.projections):
            if projection.pre and not topology.sends_zeros(projection.pre):  # copies start at zero
                self.add_segments(phase, "start_sum", np.where(shape.matrix == matrix, walks * shape.remote, 0))
        for i in topology.hidden:
            self.add(phase, f"{self.cell(i)}_forward", passes[i] * shape.own[i])
            self.add_pool(phase, i, "pool", passes[i])
        if topology.readout == "mean":
            self.add(phase, "mean_add", passes[-2] * shape.own[-2])
        self.add_packets(phase, "receive_value")

    def add_walk(self, phase, loop, end, turns, words, rows):
        """Turns of a walk over slots: of dense layers one a slot; of convolutions one a slot, one a row of its places and one a place.

        The places of a slot are found in the same way forward and back; only then is its strength read.
        """
        is_shared = np.array([projection.pattern is not None for projection in self.topology.projections])[self.shape.matrix]
        self.add_segments(phase, f"{loop}{end}", np.where(is_shared, 0, turns))
        if is_shared.any():
            self.add_segments(phase, f"convolve_{loop}", np.where(is_shared, turns, 0))
            self.add_segments(phase, "map_row", np.where(is_shared, rows, 0))
            self.add_segments(phase, f"convolve_slot{end}" if end else f"convolve_{loop}_slot", np.where(is_shared, words, 0))

    def add_pool(self, phase, population, loop, passes):
        maps = self.topology.populations[population].maps
        if maps and maps.pool:
            self.add(phase, f"{loop}_window", passes * self.shape.own_pooled[population])
            self.add(phase, "map_row", passes * self.shape.window_rows[population])
            self.add(phase, f"{loop}_{maps.pool.kind}", passes * self.shape.pooled_pairs[population])

    def cell(self, population):
        name = self.topology.populations[population].model.name
        return _SAME_LOOPS.get(name, name)

    def pass_free(self, phase, walks, visited):
        if not self.workload.starts_dense or self.workload.rewires:
            self.add_segments(phase, "free_slot", walks * self.shape.n_slots - visited)

    def outputs(self, training):
        """Softmax: an exponential for each logit that the core sees, an error for each of its own."""
        self.softmax(training.n_samples)

    def softmax(self, n):
        own = self.shape.own[-1]
        self.add("forward", "softmax_exponential", n * (own + self.shape.other_outputs))
        self.add("forward", "softmax_error", n * own)

    def backward(self, activity):
        shape, passes = self.shape, activity.passes[1]
        walks = activity.walks[1][shape.matrix]
        visits = count_visits(self.placement, activity)
        self.add("backward", "start_sum", shape.own_hidden(passes) + (passes[:, None] * shape.own_pooled).sum(axis=0))
        self.add_segments("backward", "start_sum", walks * shape.remote)
        if self.is_sorted:
            self.open_rows("backward", activity, walks, with_first=False)
            self.add_segments("backward", f"backward_row_{self.storage}", visits.backward_ops)
            self.add_segments("backward", "row_skip", visits.backward - visits.backward_ops)
        else:
            self.add_walk("backward", "backward", f"_{self.storage}", visits.backward, visits.backward_words, self.rows_back(activity))
            self.pass_free("backward", walks, visits.backward_words)
        for i in self.topology.hidden:
            self.add("backward", f"{self.cell(i)}_backward", passes[i] * shape.own[i])
            self.add_pool("backward", i, "unpool", passes[i])
        if self.topology.readout == "mean":
            self.add("backward", "mean_add", passes[-2] * shape.own[-2])
        self.add_packets("backward", "receive_error")

    def rows_back(self, activity):
        """Rows of places of slots that send errors back: none of the first matrix, which reads inputs."""
        return np.where(self.shape.pre > 0, activity.segment["place_rows"], 0)

    def gradient(self, activity):
        walks = activity.walks[2][self.shape.matrix]
        visits = count_visits(self.placement, activity)
        is_summed = has_accumulators(self.profile, self.workload)
        if self.is_sorted:
            self.open_rows("gradient", activity, walks)
            n_numbers = 1 if is_summed else self.workload.state_words
            loop = "gradient_row" if n_numbers else "gradient_row_apply"
            self.add_segments("gradient", loop, max(n_numbers, 1) * visits.gradient_ops)
            self.add_segments("gradient", "row_skip", visits.gradient - visits.gradient_ops)
        else:
            self.add_walk(
                "gradient",
                "gradient" if is_summed else "gradient_at_once",
                "",
                visits.gradient,
                visits.gradient_words,
                activity.segment["place_rows"],
            )
            self.pass_free("gradient", walks, visits.gradient_words)
        has_bias = np.array([[population.has_bias] for population in self.topology.populations])
        n_biases = (activity.passes[1][:, None] * has_bias * self.shape.own_sums).sum(axis=0)
        self.add("gradient", "gradient_bias", n_biases)

    def update(self, activity):
        updated, drawn, workload = activity.segment["updated"], activity.segment["drawn"], self.workload
        if workload.clips:
            self.take_norm(activity.n_steps, updated)
        storage = "f32" if workload.master_bits else self.storage
        self.add_segments("update", f"update_{workload.optimizer}_{storage}", updated)
        if workload.master_bits:
            self.add_segments("update", f"read_out_{self.storage}", updated)
        self.pass_free("update", activity.n_steps, updated)
        # One draw of each slot that is stored rounded by chance, the others are noise.
        rounding = np.minimum(drawn, updated) if workload.draws_rounding else np.zeros_like(drawn)
        self.add_segments("update", f"draw_{self.generator}", rounding)
        self.add_segments("update", f"noise_{self.generator}", drawn - rounding + activity.segment["dormant"])
        bias = "update_bias" if workload.optimizer == "sgd" else f"update_{workload.optimizer}_f32"
        self.add("update", bias, activity.n_steps * self.shape.n_biases)

    def take_norm(self, n_steps, updated):
        """Squares of all accumulators and of the gradients of biases; a part that came is added. SGD has the factor in its rate; the loops of
        other updates lack its product, which no table has, so that it is listed as not priced."""
        self.add_segments("update", "clip_norm", n_steps * self.shape.n_slots)
        self.add("update", "clip_norm", n_steps * self.shape.n_biases)
        self.add_packets("update", "receive_error")
        if self.workload.optimizer != "sgd":
            self.add_segments("update", "clip_factor", updated)
            self.add("update", "clip_factor", n_steps * self.shape.n_biases)

    def rewire(self, activity):
        events, shape, workload = activity.segment, self.shape, self.workload
        proposals, arrivals = events["accepted"] + events["rejected"], count_arrivals(self.placement, activity)
        fresh = events["accepted"] + events["exact"] + events["placed"]
        self.add_segments("rewire", f"draw_{self.generator}", proposals + events["exact"] + arrivals)
        self.add_segments("rewire", "proposal", proposals)
        if self.is_sorted:
            self.add_segments("rewire", "row_open", proposals)
            self.add_segments("rewire", "proposal_row_slot", events["rows_checked"])
            moved = events["merges"] * shape.n_slots
            self.add_segments("rewire", f"merge_{self.storage}", moved)
            self.add_segments("rewire", "merge_number", moved * (workload.state_words + bool(workload.master_bits)))
            self.add_segments("rewire", "merge_row", events["merges"] * (shape.n_pre + 1))
        else:
            self.add_segments("rewire", "proposal_slot", proposals * shape.n_slots)
        self.add_segments("rewire", "exact_slot", 2 * events["exact"] * shape.n_slots)
        self.add_segments("rewire", f"arrival_{self.storage}", arrivals)
        self.add_segments("rewire", "clear_number", fresh * (workload.state_words + bool(workload.master_bits)))
        self.add_segments("rewire", "departure", events["erased"])
        n_counting = count_search_passes(theta_bits(self.profile, workload))
        self.add_segments("rewire", "search_count", n_counting * events["ranked"])
        self.add_segments("rewire", "search_name", events["ranked"])
        self.add_segments("rewire", "free_slot", (n_counting + 1) * (events["searches"] * shape.n_slots - events["ranked"]))
        searched = events["dense_searches"] * shape.n_positions
        n_counting = count_search_passes(self.profile.formats.gradient_bits.value)
        self.add_segments("rewire", "exact_slot", events["dense_searches"] * shape.n_slots)  # what is taken is no candidate
        self.add_segments("rewire", "search_count", n_counting * searched)
        self.add_segments("rewire", "search_name", searched)

    def sum_dense_gradient(self, activity):
        self.add_segments("rewire", "row_test", activity.segment["dense_samples"] * self.shape.n_pre)
        self.add_segments("rewire", "dense_gradient", count_dense(self.placement, activity).operations)
        self.add_packets("rewire", "receive_value")
