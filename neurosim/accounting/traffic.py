"""Memory traffic: which section of which core is read and written, in bits, phase by phase.

One function per phase says how often each section is accessed per event; everything is a product of
an exact count and a width from the profile, so one person can audit it against the table in
`docs/hardware-model.md`. Counted in bits (a synapse word is 65 bits on Santos), reported in bytes.
"""

from dataclasses import dataclass

import numpy as np

from neurosim.accounting.activity import Shape
from neurosim.accounting.events import PHASE, PHASES
from neurosim.accounting.visits import count_arrivals, count_dense, count_search_passes, count_visits
from neurosim.placement.limits import has_lists, places_per_neuron
from neurosim.placement.memory import COUNTER_BITS, STEP_COUNT_BITS, has_accumulators, has_row_pointers, has_words, host_rewires, theta_bits

SECTIONS = (
    "synapses",
    "synapse_array",
    "synapse_lists",
    "master_weights",
    "row_pointers",
    "gradients",
    "optimizer_state",
    "dense_gradient",
    "neuron_state",
    "unrolled_state",
    "input_buffer",
    "label_buffer",
    "rewiring",
)
SECTION = {name: i for i, name in enumerate(SECTIONS)}
DIRECTIONS = ("read", "write")
#: What a host that rewires reads and writes; other accesses of that phase are the chip's.
HOST_SECTIONS = ("synapses", "synapse_array", "synapse_lists", "master_weights", "row_pointers", "optimizer_state")
_LEVEL = {"synapse_array": "synapse_array", "synapse_lists": "synapse_memory"}


def level_of(section, is_spilled=False):
    """Memory level of a section: the core's ``local_sram``, ``synapse_array`` of a crossbar, ``synapse_memory`` of packed lists.

    Of a section that its core has spilled: ``sdram``, which the cores of a chip share.
    """
    return "sdram" if is_spilled else _LEVEL.get(section, "local_sram")


LEVELS = ("local_sram", "sdram", "synapse_array", "synapse_memory")


@dataclass(frozen=True)
class Spill:
    """Which traffic is that of shared memory.

    `sections` : bool array, shape (n_cores, len(SECTIONS)), what each core has spilled; `chip` : int64 array, shape (n_cores,), the chip
    with whose cores it shares the memory.
    """

    sections: np.ndarray
    chip: np.ndarray

    @classmethod
    def of(cls, placement):
        sections = [[section in core.spilled for section in SECTIONS] for core in placement.cores]
        return cls(np.array(sections, bool), placement.geometry.chip)

    def bytes_by_chip(self, traffic_bytes):
        """Bytes that each chip's shared memory moves per phase: int64 array, shape (n_chips, phases)."""
        moved = (traffic_bytes * self.sections[:, None, :, None]).sum(axis=(2, 3))
        found = np.zeros((int(self.chip.max()) + 1, moved.shape[1]), np.int64)
        np.add.at(found, self.chip, moved)
        return found


@dataclass(frozen=True)
class _Widths:
    """Bits of what is stored, from the profile; index widths are 0 where slots have a fixed place."""

    position: int
    mark: int  # what says whether a slot is free: its index, or its weight in a fixed place; nothing where none ever is
    post: int
    strength: int  # weight and sign
    weight: int
    master: int
    activation: int
    error: int
    gradient: int
    input: int
    row_pointer: int

    @classmethod
    def of(cls, profile, workload):
        word, formats = profile.synapse_word, profile.formats
        bits = {name: getattr(word, name).value if getattr(word, name) else 0 for name in type(word).model_fields}
        if workload.has_places:
            bits["pre_index_bits"] = bits["post_index_bits"] = 0
        weight = theta_bits(profile, workload)
        position = bits["pre_index_bits"] + bits["post_index_bits"] + bits["label_bits"]
        return cls(
            position=position,
            mark=0 if has_lists(profile) else position or (0 if workload.starts_dense and not workload.rewires else weight),
            post=bits["post_index_bits"] or position,
            strength=weight + bits["sign_bits"],
            weight=weight,
            master=workload.master_bits,
            activation=formats.activation_bits.value,
            error=formats.error_bits.value,
            gradient=formats.gradient_bits.value,
            input=formats.input_bits.value,
            row_pointer=formats.row_pointer_bits.value if formats.row_pointer_bits else 0,
        )


class TrafficCounter:
    """Counts the traffic of one placement.

    Parameters
    ----------
    placement : Placement

    Attributes
    ----------
    bits : int64 array, shape (n_cores, len(PHASES), len(SECTIONS), 2)
        Bits read and written.
    """

    def __init__(self, placement):
        self.placement = placement
        self.shape, self.topology = Shape(placement), placement.workload.topology
        self.homes_of_x = self._homes_of_x()
        self.w = _Widths.of(placement.profile, placement.workload)
        self.has_lists = has_lists(placement.profile)
        self.is_array = not self.has_lists and not has_words(placement.profile)
        self.is_sorted = has_row_pointers(placement.profile, placement.workload)
        self.word = placement.profile.storage.word_bits.value if self.has_lists else 0
        self.has_accumulators = has_accumulators(placement.profile, placement.workload)
        self.state = placement.workload.state_words * self.w.gradient
        self.home_of_synapses = "synapse_array" if self.is_array else "synapse_lists" if self.has_lists else "synapses"
        self.bits = np.zeros((self.shape.n_cores, len(PHASES), len(SECTIONS), 2), np.int64)

    def count(self, training, evaluation):
        """Add the traffic of a training and its evaluations; returns `bits`."""
        if self.placement.workload.host_learns:
            self._take_from_host(training)
        else:
            self._learn(training)
        self._write("evaluate", "input_buffer", self._inputs(evaluation))
        self._forward("evaluate", evaluation)
        self._read("evaluate", "neuron_state", evaluation.n_samples * self.shape.own[-1] * self.w.activation)
        return self.bits

    def _learn(self, training):
        self._input(training)
        self._forward("forward", training)
        self._output_errors(training.n_samples)
        self._backward(training)
        self._gradient(training)
        self._update(training)
        if host_rewires(self.placement.profile, self.placement.workload):
            self._rewire_by_host(training)
        else:
            self._rewire(training)

    def _take_from_host(self, training):
        """The host learns: it reads activations and logits, and writes weights that changed and synapses that came or went."""
        w, events, n = self.w, training.segment, training.n_samples
        self._write("input", "input_buffer", self._inputs(training))
        self._forward("forward", training)
        self._read("forward", "neuron_state", n * self.shape.own.sum(axis=0) * w.activation)
        if self.has_lists:  # the host has a copy, so words are written and not read
            self._write("update", "synapse_lists", self._per_segment(events["words_updated"] * self.word))
            self._write("rewire", "synapse_lists", self._per_segment(events["words_written"] * self.word))
            return
        self._write("update", self.home_of_synapses, self._per_segment(events["updated"] * w.weight))
        self._write_exchange(training)

    def _write_exchange(self, training):
        """The host writes synapses that came, and marks those that left."""
        w, events = self.w, training.segment
        self._write("rewire", self.home_of_synapses, self._per_segment(events["erased"] * w.mark))
        word = w.position + w.strength
        if self.is_sorted:  # a segment that got arrivals is written anew, in order
            self._write("rewire", "synapses", self._per_segment(events["merges"] * self.shape.n_slots * word))
            pointers = events["merges"] * (self.shape.n_pre + 1) * w.row_pointer
            self._write("rewire", "row_pointers", self._per_segment(pointers))
        else:
            arrivals = count_arrivals(self.placement, training)
            self._write("rewire", self.home_of_synapses, self._per_segment(arrivals * word))

    def _read(self, phase, section, bits):
        self.bits[:, PHASE[phase], SECTION[section], 0] += bits

    def _write(self, phase, section, bits):
        self.bits[:, PHASE[phase], SECTION[section], 1] += bits

    def _update_in_place(self, phase, section, bits):
        self._read(phase, section, bits)
        self._write(phase, section, bits)

    def _home_of_values(self, population):
        """Section of the values of a population other than the inputs: those of every step, where there are several."""
        return "unrolled_state" if self.topology.is_unrolled and population in self.topology.hidden else "neuron_state"

    def _homes_of_x(self):
        """Section of the values that each matrix is multiplied with: list of str."""
        return [
            "input_buffer" if p.pre == 0 else "neuron_state" if self.topology.reads_mean(p) else self._home_of_values(p.pre)
            for p in self.topology.projections
        ]

    def _inputs(self, activity):
        return np.where(self.shape.has_input, activity.passes[0, 0] * self.shape.n_inputs * self.w.input, 0)

    def _per_segment(self, values, where=True):
        return self.shape.per_core(np.where(where, values, 0))

    def _input(self, training):
        self._write("input", "input_buffer", self._inputs(training))
        labels = np.where(self.shape.has_output, self.shape.n_outputs * self.w.input, 0)
        self._write("input", "label_buffer", training.n_samples * labels)

    def _read_pre(self, phase, times):
        """Read pre activations, `times` per segment, each from its section."""
        for matrix, (home, projection) in enumerate(zip(self.homes_of_x, self.topology.projections, strict=True)):
            width = self.w.activation if projection.pre else self.w.input
            self._read(phase, home, self._per_segment(times * width, self.shape.matrix == matrix))

    def _add_to_sums(self, phase, times):
        """Read and write sums of post neurons, `times` per segment."""
        for matrix, projection in enumerate(self.topology.projections):
            bits = self._per_segment(times * self.w.activation, self.shape.matrix == matrix)
            self._update_in_place(phase, self._home_of_values(projection.post), bits)

    def _pass_free_slots(self, phase, n_walks, used):
        """A walk over all slots reads the mark of the free ones too, to pass them over."""
        free = n_walks * self.shape.n_slots - used
        self._read(phase, self.home_of_synapses, self._per_segment(free * self.w.mark))

    def _read_words(self, phase, n_words):
        """Read words of packed lists: per segment; none on other chips."""
        self._read(phase, "synapse_lists", self._per_segment(n_words * self.word))

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

    def _update(self, activity):
        w, updated = self.w, activity.segment["updated"]
        if self.has_lists:  # words are read and written as a whole
            self._update_in_place("update", "synapse_lists", self._per_segment(activity.segment["words_updated"] * self.word))
            self._update_in_place("update", "master_weights", self._per_segment(updated * w.master))
        else:
            self._move_strengths("update", updated)
            if w.master:
                self._write("update", self.home_of_synapses, self._per_segment(updated * w.weight))  # read out
        self._pass_free_slots("update", activity.n_steps, updated)
        if self.has_accumulators:
            self._update_in_place("update", "gradients", self._per_segment(updated * w.gradient))
        self._update_in_place("update", "optimizer_state", self._per_segment(updated * self.state))
        bias = self.w.activation + self.w.gradient + self.state  # beside each its accumulator and its state
        self._update_in_place("update", "neuron_state", activity.n_steps * self.shape.n_biases * bias)
        if self.placement.workload.counts_steps:
            count = np.where(self.shape.own.any(axis=0), activity.n_steps * STEP_COUNT_BITS, 0)
            self._update_in_place("update", "optimizer_state", count)
        # The walk has read the dormant ones already, as it passed them.
        self._write("update", self.home_of_synapses, self._per_segment(activity.segment["dormant"] * w.weight))

    def _rewire_by_host(self, activity):
        """The host reads every weight, and all dense gradients, and writes what it exchanged; searches and draws are its own."""
        w, events = self.w, activity.segment
        self._sum_dense_gradient(activity)
        self._read("rewire", "dense_gradient", self._per_segment(events["dense_searches"] * self.shape.n_positions * w.gradient))
        if self.has_lists:
            self._read_words("rewire", events["words_seen"])
            self._write("rewire", "synapse_lists", self._per_segment(events["words_written"] * self.word))
        else:
            self._read("rewire", self.home_of_synapses, self._per_segment(events["seen"] * w.strength))
            self._write_exchange(activity)
        arrivals = events["accepted"] + events["exact"] + events["placed"]
        moved = events["merges"] * self.shape.n_slots if self.is_sorted else 0
        for section, bits in (("optimizer_state", self.state), ("master_weights", w.master)):
            self._write("rewire", section, self._per_segment(arrivals * bits))
            self._update_in_place("rewire", section, self._per_segment(moved * bits))

    def _rewire(self, activity):
        shape, w = self.shape, self.w
        events = activity.segment
        proposals = events["accepted"] + events["rejected"]
        arrivals = count_arrivals(self.placement, activity)
        self._search(events)
        self._sum_dense_gradient(activity)
        self._search_dense_gradient(events)
        if self.is_sorted:
            self._read("rewire", "row_pointers", self._per_segment(proposals * 2 * w.row_pointer))
            self._read("rewire", "synapses", self._per_segment(events["rows_checked"] * w.post))
        elif self.is_array:
            column, _ = places_per_neuron(self.placement.profile)
            self._read("rewire", "synapse_array", self._per_segment(proposals * column * w.mark))
        elif self.has_lists:  # searches of lists, and the lists of rows that changed, read before and written after
            self._read_words("rewire", events["words_read"])
            self._write("rewire", "synapse_lists", self._per_segment(events["words_written"] * self.word))
        else:
            self._read("rewire", "synapses", self._per_segment(proposals * shape.n_slots * w.position))
        # An exact draw walks the slots twice: to count the free positions, and to find the drawn one.
        if not self.has_lists:
            self._read("rewire", self.home_of_synapses, self._per_segment(events["exact"] * 2 * shape.n_slots * w.mark))
            self._write("rewire", self.home_of_synapses, self._per_segment(arrivals * (w.position + w.strength)))
        self._write("rewire", "optimizer_state", self._per_segment((events["accepted"] + events["exact"] + events["placed"]) * self.state))
        self._write("rewire", self.home_of_synapses, self._per_segment(events["erased"] * w.mark))
        self._write("rewire", "master_weights", self._per_segment((events["accepted"] + events["exact"] + events["placed"]) * w.master))
        if self.is_sorted:
            self._update_in_place("rewire", "rewiring", self._per_segment(arrivals * w.position))
            word = events["merges"] * shape.n_slots * (w.position + w.strength)
            self._update_in_place("rewire", "synapses", self._per_segment(word))
            moved = events["merges"] * shape.n_slots * self.state
            self._update_in_place("rewire", "optimizer_state", self._per_segment(moved))
            moved = events["merges"] * shape.n_slots * w.master
            self._update_in_place("rewire", "master_weights", self._per_segment(moved))
            pointers = events["merges"] * (shape.n_pre + 1) * w.row_pointer
            self._update_in_place("rewire", "row_pointers", self._per_segment(pointers))


    def _search(self, events):
        """Smallest weights: passes that count, and one that names."""
        n_counting = count_search_passes(self.w.weight)
        free = events["searches"] * self.shape.n_slots - events["ranked"]
        bits = (n_counting + 1) * (events["ranked"] * self.w.weight + free * self.w.mark)
        self._read("rewire", self.home_of_synapses, self._per_segment(bits))
        self._update_in_place("rewire", "rewiring", self._per_segment(n_counting * events["ranked"] * COUNTER_BITS))

    def _sum_dense_gradient(self, activity):
        shape, w, events = self.shape, self.w, activity.segment
        dense = count_dense(self.placement, activity)
        for matrix, home in enumerate(self.homes_of_x):
            self._read("rewire", home, dense.sent[matrix] * w.activation)
            self._write("rewire", home, dense.received[matrix] * w.activation)
        self._read_pre("rewire", events["dense_samples"] * shape.n_pre)
        self._read("rewire", "neuron_state", self._per_segment(dense.operations * w.error))
        self._update_in_place("rewire", "dense_gradient", self._per_segment(dense.operations * w.gradient))

    def _search_dense_gradient(self, events):
        shape, w = self.shape, self.w
        # Positions that are taken are no candidates.
        free = events["dense_searches"] * shape.n_slots - events["masked"]
        self._read("rewire", self.home_of_synapses, self._per_segment((events["masked"] + free) * w.mark))
        self._write("rewire", "dense_gradient", self._per_segment(events["masked"] * w.gradient))
        n_counting = count_search_passes(w.gradient)
        searched = events["dense_searches"] * shape.n_positions
        self._read("rewire", "dense_gradient", self._per_segment((n_counting + 1) * searched * w.gradient))
        self._update_in_place("rewire", "rewiring", self._per_segment(n_counting * searched * COUNTER_BITS))


def count_traffic(placement, training, evaluation):
    """Bits read and written: int64, shape (n_cores, len(PHASES), len(SECTIONS), 2).

    Parameters
    ----------
    placement : Placement
    training, evaluation : Activity
    """
    return TrafficCounter(placement).count(training, evaluation)
