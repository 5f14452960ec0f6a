"""What lies in the memory of one core, array by array, with its first content.

The ledger (`placement.memory`) says how many bytes each section takes; this module says which arrays these are in the program in C. The two are
written apart, and a test holds the linker's map of the one against the other.
"""

from dataclasses import dataclass

import numpy as np

#: Mark in the pre index of a slot that is not in use, as in program/loops.h.
FREE = 0xFFFF
_C_TYPES = {"float32": "num", "uint16": "index_t", "uint8": "uint8_t"}


@dataclass(frozen=True, eq=False)
class Array:
    """One array of a core.

    Attributes
    ----------
    section : str
        Memory section of the ledger.
    name : str
        In C.
    values : ndarray
        float32, uint16 or uint8; first content.
    type : str
        In C.
    """

    section: str
    name: str
    values: np.ndarray

    @property
    def type(self):
        return _C_TYPES[self.values.dtype.name]

    @property
    def n_bytes(self):
        return self.values.nbytes


@dataclass(frozen=True, eq=False)
class Part:
    """One weight matrix on one core: its segment, or none where no post neuron of the matrix lies there.

    Attributes
    ----------
    matrix : int
    segment : int or None
        Number among all segments.
    n_slots, n_spare, first_slot : int
        Capacity, slots that stay free, and number of the first slot among all of the network.
    post_start, post_stop : int
        Own post neurons.
    own_pre : (int, int)
        Own pre neurons, [start, stop); of the inputs none.
    free : list of int
        Free slots, the one that is used next first.
    """

    matrix: int
    segment: int | None
    n_slots: int
    n_spare: int
    first_slot: int
    post_start: int
    post_stop: int
    own_pre: tuple[int, int]
    free: list


def parts_of_core(store, placement, core):
    """The `Part` of each matrix on a core: list."""
    plan, segments = store.plan, store.segments
    found = []
    for m, matrix in enumerate(plan.matrices):
        own = np.flatnonzero(placement.homes[m] == core) if m else np.zeros(0, int)
        own_pre = (int(own[0]), int(own[-1]) + 1) if own.size else (0, 0)
        g = next((g for g, s in enumerate(plan.segments) if s.matrix == m and s.core == core), None)
        if g is None:
            found.append(Part(m, None, 0, 0, 0, 0, 0, own_pre, []))
            continue
        start, stop = (int(at) for at in segments.slot_start[g : g + 2])
        n_free = int(store.slots.n_free[g, 0])
        stack = store.slots.free_slot[start : start + n_free][::-1] - start
        segment = plan.segments[g]
        found.append(Part(m, g, stop - start, stop - start - segment.n_active, start, segment.post_start, segment.post_stop, own_pre, stack.tolist()))
        assert matrix.n_pre < FREE and stop - start < FREE  # refused before
    return found


def slot_arrays(store, part, storage, has_accumulators, is_sorted):
    """Arrays of the slots of a segment: list of `Array`."""
    m, rows = part.matrix, slice(part.first_slot, part.first_slot + part.n_slots)
    slots = store.slots
    pre, post = slots.pre[rows].astype(np.uint16), (slots.post[rows] - part.post_start).astype(np.uint16)
    weight = slots.weight[rows]
    master = slots.master[rows] if slots.master.size else None
    # In the direction of the strength, as the update takes it.
    momentum = np.where(np.signbit(weight), -slots.moments[0, rows], slots.moments[0, rows]) if slots.moments.shape[0] else None
    below = [*part.free[1:], FREE]
    for slot, next_free in zip(part.free, below, strict=False):
        pre[slot], post[slot] = FREE, next_free
    row = None
    if is_sorted:
        order = np.lexsort((post, pre))  # free slots come last: their mark is the largest index
        pre, post, weight = pre[order], post[order], weight[order]
        master, momentum = (None if a is None else a[order] for a in (master, momentum))
        row = np.searchsorted(pre, np.arange(store.plan.matrices[m].n_pre + 1)).astype(np.uint16)
    signs = np.packbits(np.signbit(weight), bitorder="little")
    words = storage.words(np.abs(weight), np.signbit(weight), store.plan.matrices[m].grid)
    found = [Array("synapses", f"weight_{m}", words), Array("synapses", f"pre_{m}", pre), Array("synapses", f"post_{m}", post)]
    if storage.has_signs_apart:
        found.append(Array("synapses", f"signs_{m}", signs))
    zeros = np.zeros(part.n_slots, np.float32)
    if master is not None:
        found.append(Array("master_weights", f"master_{m}", master.astype(np.float32)))
    if has_accumulators:
        found.append(Array("gradients", f"gradient_{m}", zeros))
    if momentum is not None:
        found.append(Array("optimizer_state", f"momentum_{m}", momentum))
    if row is not None:
        found.append(Array("row_pointers", f"row_{m}", row))
    return found


def neuron_arrays(topology, parts, has_input, has_outputs):
    """Arrays of the neurons of a core: list of `Array`.

    The values of a hidden layer lie side by side, own ones and copies of the others, where the core has synapses of them; and so do their errors.
    """
    sizes = topology.sizes
    found = []
    for part in parts[1:]:
        n = sizes[part.matrix] if part.segment is not None else part.own_pre[1] - part.own_pre[0]
        if n:
            found += [Array("neuron_state", f"{kind}_{part.matrix}", np.zeros(n, np.float32)) for kind in ("values", "errors")]
    if has_outputs:
        last = parts[-1]
        found.append(Array("neuron_state", "logits", np.zeros(sizes[-1], np.float32)))
        found.append(Array("neuron_state", "output_error", np.zeros(last.post_stop - last.post_start, np.float32)))
        found.append(Array("label_buffer", "label_buffer", np.zeros(sizes[-1], np.float32)))
    if has_input:
        found.append(Array("input_buffer", "input_buffer", np.zeros(sizes[0], np.float32)))
    return found


def in_order(arrays):
    """Arrays section by section, wide numbers first, so that none needs filling bytes before it: list."""
    sections = list(dict.fromkeys(array.section for array in arrays))
    return sorted(arrays, key=lambda array: (sections.index(array.section), -array.values.dtype.itemsize))
