"""Is a position taken? A hash table of slots: O(1) per query, 4 bytes per entry.

The table stores slot numbers, not positions; a position is compared through the slot's own `pre` and
`post`. Linear probing; removal shifts later entries back, so no tombstones pile up during training.
"""

import numpy as np

from neurosim.kernels.compile import inlined, kernel, prefetch
from neurosim.kernels.random import mix64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
EMPTY = np.int32(-1)

#: How far ahead of its use an entry of a large table is asked for: they lie in random places of the memory.
_AHEAD = 16


@inlined
def home_of(table, matrices, matrix, pre, post):
    """First place to look for a position: int64 index into `table`."""
    position = np.uint64(np.int64(pre) * matrices.n_post[matrix] + np.int64(post))
    return np.int64(mix64(position * _GOLDEN + np.uint64(matrix)) & np.uint64(table.size - 1))


@inlined
def matrix_of(matrices, slot):
    """Matrix that a slot belongs to."""
    matrix = np.int64(0)
    for i in range(1, matrices.n_pre.size):  # no early end: its branch could not be predicted
        matrix += np.int64(slot >= matrices.slot_start[i])
    return matrix


@inlined
def look_up(slots, matrices, matrix, pre, post):
    """Slot that holds a position, or -1, and its place in the table, or that where it would be entered: two int64."""
    table = slots.table
    first, last = matrices.slot_start[matrix], matrices.slot_start[matrix + 1]
    place = home_of(table, matrices, matrix, pre, post)
    while True:
        slot = np.int64(table[place])
        if slot < 0:
            return np.int64(-1), place
        if slots.pre[slot] == pre and slots.post[slot] == post and first <= slot < last:
            return slot, place
        place = (place + 1) & (table.size - 1)


@inlined
def find_slot(slots, matrices, matrix, pre, post):
    """Slot that holds a position, or -1: int64."""
    slot, _ = look_up(slots, matrices, matrix, pre, post)
    return slot


@inlined
def insert_slot(slots, matrices, matrix, slot):
    """Enter a slot under its position. Writes `slots.table`."""
    table = slots.table
    place = home_of(table, matrices, matrix, slots.pre[slot], slots.post[slot])
    while table[place] >= 0:
        place = (place + 1) & (table.size - 1)
    table[place] = np.int32(slot)


@inlined
def remove_slot(slots, matrices, matrix, slot):
    """Take a slot out. Writes `slots.table`."""
    table = slots.table
    mask = table.size - 1
    hole = home_of(table, matrices, matrix, slots.pre[slot], slots.post[slot])
    while table[hole] != slot:
        hole = (hole + 1) & mask
    place = hole
    while True:
        place = (place + 1) & mask
        other = np.int64(table[place])
        if other < 0:
            break
        home = home_of(table, matrices, matrix_of(matrices, other), slots.pre[other], slots.post[other])
        # An entry may move back into the hole unless its own home lies behind the hole.
        if ((place - home) & mask) >= ((place - hole) & mask):
            table[hole] = np.int32(other)
            hole = place
    table[hole] = EMPTY


@kernel
def rebuild_table(slots, matrices):
    """Enter all active slots anew. Writes `slots.table`."""
    slots.table[:] = EMPTY
    for matrix in range(matrices.n_pre.size):
        stop = matrices.slot_start[matrix + 1]
        for slot in range(matrices.slot_start[matrix], stop):
            ahead = min(slot + _AHEAD, stop - 1)
            prefetch(slots.table, home_of(slots.table, matrices, matrix, slots.pre[ahead], slots.post[ahead]))
            if slots.active[slot]:
                insert_slot(slots, matrices, matrix, slot)
