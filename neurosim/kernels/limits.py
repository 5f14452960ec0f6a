"""Limits beside slots and fan-in that every exchange keeps: input axons, output axons, words of packed lists, routes.

A chip that states none of them has `Segments.is_limited` and `Segments.counts_routes` false, and none of this runs. Routes are
counted wherever their limit is stated; where no draw can reach it, `is_limited` stays false and nothing is tested.
"""

import numpy as np

from neurosim.kernels.compile import inlined, kernel, part
from neurosim.kernels.layout import Binding, Resource, SegmentEvent
from neurosim.kernels.marks import count_seen

_IN_AXONS, _OUT_AXONS, _WORDS = int(Resource.IN_AXONS), int(Resource.OUT_AXONS), int(Resource.WORDS)
_ENTRIES, _TARGETS = int(Resource.ROUTING_ENTRIES), int(Resource.TARGETS)
_WORDS_NONZERO = int(SegmentEvent.WORDS_NONZERO)
_WORDS_READ, _WORDS_WRITTEN = int(SegmentEvent.WORDS_READ), int(SegmentEvent.WORDS_WRITTEN)
_BY_SLOTS, _BY_FAN_IN, _BY_IN_AXONS = int(Binding.SLOTS), int(Binding.FAN_IN), int(Binding.IN_AXONS)
_BY_OUT_AXONS, _BY_WORDS = int(Binding.OUT_AXONS), int(Binding.WORDS)
_BY_ENTRIES, _BY_TARGETS = int(Binding.ROUTING_ENTRIES), int(Binding.TARGETS)


@inlined
def list_words(segments, core, n):
    """Words of a packed list of n synapses: blocks of at most `block_synapses`, each rounded up to whole words."""
    bits, block, unit = segments.synapse_bits[core], segments.block_synapses, segments.word_bits
    rest = n % block
    words = n // block * ((block * bits + segments.header_bits + unit - 1) // unit)
    if rest > 0:
        words += (rest * bits + segments.header_bits + unit - 1) // unit
    return words


@inlined
def _has_full_router(slots, segments, neuron, chip):
    """Whether a neuron needs a new entry in the router of a chip, and there is none."""
    return slots.routed[neuron, chip] == 0 and slots.routing_entries[chip] >= segments.entry_limit[chip]


@inlined
def row_limits_at(slots, segments, matrices, tally, segment, pre):
    """Which limits keep a row from taking one more synapse: (in-axons, out-axons, words, routing entries, targets), booleans."""
    core = segments.core[segment]
    n = np.int64(slots.fan_out[segments.fan_out_start[segment] + pre])
    by_in, by_out, by_words, by_entries, by_targets = False, False, False, False, False
    if n == 0:
        by_in = slots.in_axons[core] >= segments.in_axon_limit[core]
        neuron = matrices.pre_neuron[segments.matrix[segment]] + pre
        home = tally.home[neuron]
        if home >= 0 and home != core:
            by_out = slots.out_axons[home] >= segments.out_axon_limit[home]
            if slots.routed.shape[1] > 0:
                by_entries = _has_full_router(slots, segments, segments.sender[neuron], segments.chip[home])
                by_entries = by_entries or _has_full_router(slots, segments, segments.sender[neuron], segments.chip[core])
        if home >= 0 and slots.reached.shape[1] > 0:
            sender = segments.sender[neuron]
            is_new = slots.reached[sender, segments.target_place[core]] == 0
            by_targets = is_new and slots.targets[sender] >= segments.target_limit[home]
    if segments.word_bits > 0:
        more = list_words(segments, core, n + 1) - list_words(segments, core, n)
        by_words = slots.words[core] + more > segments.word_limit[core]
    return by_in, by_out, by_words, by_entries, by_targets


@inlined
def row_has_room(slots, segments, matrices, tally, segment, pre):
    """Whether a row may take one more synapse as far as the limits of the cores go."""
    by_in, by_out, by_words, by_entries, by_targets = row_limits_at(slots, segments, matrices, tally, segment, pre)
    return not (by_in or by_out or by_words or by_entries or by_targets)


@inlined
def count_use(slots, segments, tally, segment, neuron, before, after):
    """Keep what rows use, and its peak, when a row goes from `before` to `after` synapses. Writes `slots` and `tally`."""
    core = segments.core[segment]
    if before == 0 or after == 0:
        change = np.int64(after) - np.int64(before)
        slots.in_axons[core] += change
        tally.peak[_IN_AXONS, core] = max(tally.peak[_IN_AXONS, core], slots.in_axons[core])
        home = tally.home[neuron]
        if home >= 0 and home != core:
            slots.out_axons[home] += change
            tally.peak[_OUT_AXONS, home] = max(tally.peak[_OUT_AXONS, home], slots.out_axons[home])
    if segments.word_bits > 0:
        was, now = list_words(segments, core, np.int64(before)), list_words(segments, core, np.int64(after))
        slots.words[core] += now - was
        slots.segment_words[segment] += now - was
        tally.peak[_WORDS, core] = max(tally.peak[_WORDS, core], slots.words[core])
        # The whole list is written anew, so it stays packed; what it costs per sample is booked as for `PRE_NONZERO`.
        tally.by_segment[segment, _WORDS_READ] += was
        tally.by_segment[segment, _WORDS_WRITTEN] += now
        tally.by_segment[segment, _WORDS_NONZERO] -= (now - was) * count_seen(tally, neuron)


@inlined
def _count_entry(slots, tally, neuron, chip, change):
    """One row of a neuron more (+1) or less (-1) that needs the router of a chip. Writes `slots` and `tally`."""
    before = slots.routed[neuron, chip]
    slots.routed[neuron, chip] = before + change
    if before == 0 or before + change == 0:
        slots.routing_entries[chip] += change
        tally.peak[_ENTRIES, chip] = max(tally.peak[_ENTRIES, chip], slots.routing_entries[chip])


@inlined
def count_routes(slots, segments, tally, neuron, core, change):
    """Keep routing entries and targets, and their peaks, when a neuron's row on a core comes (+1) or goes (-1).

    A row on another core takes an entry in the router of its neuron's chip and in that of the core's chip, one for all rows of the
    neuron; what routers in between do is not known. Writes `slots` and `tally`.
    """
    home, neuron = tally.home[neuron], segments.sender[neuron]
    if slots.routed.shape[1] > 0 and home != core:
        here, there = segments.chip[home], segments.chip[core]
        _count_entry(slots, tally, neuron, here, change)
        if there != here:
            _count_entry(slots, tally, neuron, there, change)
    if slots.reached.shape[1] > 0:
        place = segments.target_place[core]
        before = slots.reached[neuron, place]
        slots.reached[neuron, place] = before + change
        if before == 0 or before + change == 0:
            slots.targets[neuron] += change
            tally.peak[_TARGETS, home] = max(tally.peak[_TARGETS, home], np.int64(slots.targets[neuron]))


@part
def note_binding(slots, segments, matrices, tally, scope, n_missing):
    """Book `n_missing` under everything that keeps free positions of a scope from being used. Writes `tally`."""
    bound = tally.unfilled_by
    by_slots, by_fan_in, by_in, by_out, by_words, by_entries, by_targets = False, False, False, False, False, False, False
    for segment in range(segments.scope_start[scope], segments.scope_start[scope + 1]):
        matrix = segments.matrix[segment]
        n_pre, first = matrices.n_pre[matrix], segments.post_start[segment]
        n_posts, skips_self = segments.n_positions[segment] // n_pre, np.int64(matrices.skips_self[matrix])
        n_slots = segments.slot_start[segment + 1] - segments.slot_start[segment]
        if slots.n_free[segment, 0] == 0:
            by_slots = by_slots or n_slots < segments.n_possible[segment]
            continue
        for post in range(first, first + n_posts):
            fan_in = slots.fan_in[matrices.fan_in_start[matrix] + post]
            by_fan_in = by_fan_in or (fan_in >= matrices.fan_in_limit[matrix] and fan_in < n_pre - skips_self)
        if segments.is_limited:
            for pre in range(n_pre):
                n_own = skips_self * np.int64(first <= pre < first + n_posts)
                if slots.fan_out[segments.fan_out_start[segment] + pre] < n_posts - n_own:
                    at_in, at_out, at_words, at_entries, at_targets = row_limits_at(slots, segments, matrices, tally, segment, pre)
                    by_in, by_out, by_words = by_in or at_in, by_out or at_out, by_words or at_words
                    by_entries, by_targets = by_entries or at_entries, by_targets or at_targets
    bound[_BY_SLOTS] += n_missing * by_slots
    bound[_BY_FAN_IN] += n_missing * by_fan_in
    bound[_BY_IN_AXONS] += n_missing * by_in
    bound[_BY_OUT_AXONS] += n_missing * by_out
    bound[_BY_WORDS] += n_missing * by_words
    bound[_BY_ENTRIES] += n_missing * by_entries
    bound[_BY_TARGETS] += n_missing * by_targets


@inlined
def note_refusal(slots, segments, matrices, tally, segment, pre, post):
    """Book one synapse under everything that keeps it from a free position of its own. Writes `tally`."""
    bound, matrix = tally.unfilled_by, segments.matrix[segment]
    bound[_BY_SLOTS] += np.int64(slots.n_free[segment, 0] == 0)
    bound[_BY_FAN_IN] += np.int64(slots.fan_in[matrices.fan_in_start[matrix] + post] >= matrices.fan_in_limit[matrix])
    if segments.is_limited:
        by_in, by_out, by_words, by_entries, by_targets = row_limits_at(slots, segments, matrices, tally, segment, pre)
        bound[_BY_IN_AXONS] += np.int64(by_in)
        bound[_BY_OUT_AXONS] += np.int64(by_out)
        bound[_BY_WORDS] += np.int64(by_words)
        bound[_BY_ENTRIES] += np.int64(by_entries)
        bound[_BY_TARGETS] += np.int64(by_targets)


@kernel
def recount_use(slots, segments, matrices, tally):
    """Count what rows use anew, from `slots.fan_out`. Writes `slots`."""
    slots.in_axons[:] = 0
    slots.out_axons[:] = 0
    slots.words[:] = 0
    slots.segment_words[:] = 0
    if not segments.is_limited:
        return
    for segment in range(segments.matrix.size):
        matrix, core = segments.matrix[segment], segments.core[segment]
        for pre in range(matrices.n_pre[matrix]):
            n = np.int64(slots.fan_out[segments.fan_out_start[segment] + pre])
            if n > 0:
                slots.in_axons[core] += 1
                home = tally.home[matrices.pre_neuron[matrix] + pre]
                if home >= 0 and home != core:
                    slots.out_axons[home] += 1
                if segments.word_bits > 0:
                    words = list_words(segments, core, n)
                    slots.words[core] += words
                    slots.segment_words[segment] += words


@kernel
def recount_routes(slots, segments, matrices, tally):
    """Count where rows lead anew, from `slots.fan_out`. Writes `slots`; its peaks are left alone."""
    slots.routed[:] = 0
    slots.routing_entries[:] = 0
    slots.reached[:] = 0
    slots.targets[:] = 0
    for segment in range(segments.matrix.size):
        matrix, core = segments.matrix[segment], segments.core[segment]
        for pre in range(matrices.n_pre[matrix]):
            neuron = matrices.pre_neuron[matrix] + pre
            home = tally.home[neuron]
            if home < 0 or slots.fan_out[segments.fan_out_start[segment] + pre] == 0:
                continue
            neuron = segments.sender[neuron]
            if slots.routed.shape[1] > 0 and home != core:
                slots.routed[neuron, segments.chip[home]] += 1
                if segments.chip[core] != segments.chip[home]:
                    slots.routed[neuron, segments.chip[core]] += 1
            if slots.reached.shape[1] > 0:
                slots.reached[neuron, segments.target_place[core]] += 1
    for neuron in range(tally.home.size):
        for chip in range(slots.routed.shape[1]):
            slots.routing_entries[chip] += slots.routed[neuron, chip] > 0
        for place in range(slots.reached.shape[1]):
            slots.targets[neuron] += slots.reached[neuron, place] > 0
