"""Is a position taken? A hash table of positions a matrix: O(1) per query, 4 bytes per entry, one cache line as a rule.

Tables of different matrices can be written at the same time. A position is a number below the number of all positions of its
matrix. A bijection scatters these numbers; the upper bits of the result say where in the table its entry belongs, the lower ones, the *rest*, are stored together with
the distance of the entry from there (Cleary 1984, "Compact hash tables using bidirectional linear probing"). So an
entry of 4 bytes is the whole position: no query reads a slot, and slots may be moved without a word to the table.

Linear probing; removal shifts later entries back, so no tombstones pile up during training.
"""

import numpy as np

from neurosim.kernels.compile import inlined, inlined_and_called, kernel, prefetch
from neurosim.kernels.random import MIX_A, MIX_B

EMPTY = np.int32(-1)

#: Bits of an entry for its distance from home. At the highest load, 2/3, one entry in 10^30 would need more.
DISTANCE_BITS = 10

#: Bits of an entry for the rest; the remaining bit is the sign, which says that an entry is empty.
REST_BITS = 31 - DISTANCE_BITS

_DISTANCE, _ONE_BIT = np.int64((1 << DISTANCE_BITS) - 1), np.uint64(1)

#: How far ahead of its use an entry of a large table is asked for: they lie in random places of the memory.
AHEAD = 16

#: Entries of a table that stays in a near cache: asking for them ahead would only cost time.
_NEAR = 1 << 16


def table_bits(n_slots, n_positions):
    """Bits of the size of the table: room for 3/2 of the slots, and no rest longer than `REST_BITS`."""
    needed = max(8, -(-3 * n_slots // 2))
    return max((needed - 1).bit_length(), max(n_positions - 1, 0).bit_length() - REST_BITS)


@inlined
def _scatter(position, n_bits):
    """A bijection of the numbers below 2**n_bits: uint64."""
    mask, half = (_ONE_BIT << n_bits) - _ONE_BIT, (n_bits + _ONE_BIT) >> _ONE_BIT
    value = np.uint64(position)
    value = ((value ^ (value >> half)) * MIX_A) & mask
    value = ((value ^ (value >> half)) * MIX_B) & mask
    return value ^ (value >> half)


@inlined
def home_of(matrices, matrix, pre, post):
    """First place to look for a position in the table of its matrix, and what stands there if it is taken: two int64."""
    position = np.int64(pre) * matrices.n_post[matrix] + np.int64(post)
    value = _scatter(position, np.uint64(matrices.position_bits[matrix]))
    rest_bits = np.uint64(matrices.rest_bits[matrix])
    return np.int64(value >> rest_bits), np.int64(value & ((_ONE_BIT << rest_bits) - _ONE_BIT)) << DISTANCE_BITS


@inlined
def is_far(slots):
    """Whether entries should be asked for ahead of their use."""
    return slots.table.size > _NEAR


@inlined
def prefetch_entry(slots, matrices, matrix, pre, post):
    """Ask for the entry of a position, ahead of its use."""
    place, _ = home_of(matrices, matrix, pre, post)
    prefetch(slots.table, matrices.table_start[matrix] + place)


@inlined
def look_up(slots, matrices, matrix, pre, post):
    """Whether a position is taken, the place of its entry or of the one it would get, and that entry: boolean, two int64."""
    table = slots.table[matrices.table_start[matrix] : matrices.table_start[matrix + 1]]
    place, entry = home_of(matrices, matrix, pre, post)
    while True:
        found = np.int64(table[place])
        if found < 0 or found == entry:
            return found >= 0, place, entry
        place = (place + 1) & (table.size - 1)
        entry += 1  # one place further from home


@inlined
def count_active(slots, segments, segment):
    """Connections of a segment."""
    return segments.slot_start[segment + 1] - segments.slot_start[segment] - slots.n_free[segment, 0]


@inlined_and_called
def is_taken(slots, matrices, matrix, pre, post):
    """Whether a position has a synapse."""
    taken, _, _ = look_up(slots, matrices, matrix, pre, post)
    return taken


@inlined
def remove_position(slots, matrices, matrix, pre, post):
    """Take a position out that is taken. Writes `slots.table`."""
    table = slots.table[matrices.table_start[matrix] : matrices.table_start[matrix + 1]]
    mask = table.size - 1
    _, hole, _ = look_up(slots, matrices, matrix, pre, post)
    place = hole
    while True:
        place = (place + 1) & mask
        other = np.int64(table[place])
        if other < 0:
            break
        # An entry may move back into the hole unless its own home lies behind the hole.
        distance = (place - hole) & mask
        if (other & _DISTANCE) >= distance:
            table[hole] = np.int32(other - distance)
            hole = place
    table[hole] = EMPTY


@inlined
def enter(slots, matrices, matrix, place, entry):
    """Enter a position as `look_up` says. Writes `slots.table`."""
    slots.table[matrices.table_start[matrix] + place] = np.int32(entry)


@kernel
def rebuild_table(slots, matrices):
    """Enter the positions of all active slots anew. Writes `slots.table`."""
    slots.table[:] = EMPTY
    for matrix in range(matrices.n_pre.size):
        stop = matrices.slot_start[matrix + 1]
        for slot in range(matrices.slot_start[matrix], stop):
            ahead = min(slot + AHEAD, stop - 1)
            prefetch_entry(slots, matrices, matrix, slots.pre[ahead], slots.post[ahead])
            if slots.active[slot]:
                _, place, entry = look_up(slots, matrices, matrix, slots.pre[slot], slots.post[slot])
                enter(slots, matrices, matrix, place, entry)
