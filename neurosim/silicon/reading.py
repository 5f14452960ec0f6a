"""What the program in C wrote about its slots (states_N.bin), as arrays."""

from dataclasses import dataclass

import numpy as np

_SLOT = np.dtype([("pre", "<u2"), ("post", "<u2"), ("weight", "<f4")])
#: What a core counts of each matrix, in this order.
COUNTS = ("accepted", "rejected", "exact", "released", "merges", "received", "sent_back")


@dataclass(frozen=True, eq=False)
class State:
    """A core after an epoch.

    Attributes
    ----------
    slots : list of structured array
        Of each matrix, slot by slot: ``pre``, ``post`` (of the layer) and signed ``weight``; 0xFFFF as ``pre`` of a free slot.
    counts : list of dict
        Of each matrix, since the start.
    n_correct : int or None
        Right answers on the test set; None where it was not evaluated.
    """

    slots: list
    counts: list
    n_correct: int | None


def read_states(path, n_slots, is_evaluated=True):
    """Read states_N.bin.

    Parameters
    ----------
    path : path-like
    n_slots : sequence of int
        Slots of each matrix on the core.
    is_evaluated : bool
        Whether each epoch ends with the test set.

    Returns
    -------
    list of State
        One an epoch; a last epoch that was cut short has no `n_correct`.
    """
    with open(path, "rb") as file:
        content = file.read()
    found, at = [], 0
    while at < len(content):
        slots = []
        for n in n_slots:
            slots.append(np.frombuffer(content, _SLOT, n, at))
            at += n * _SLOT.itemsize
        counts = np.frombuffer(content, "<u4", len(n_slots) * len(COUNTS), at).reshape(len(n_slots), -1)
        at += counts.nbytes
        n_correct = None
        if is_evaluated and at < len(content):
            n_correct = int(np.frombuffer(content, "<u4", 1, at)[0])
            at += 4
        found.append(State(slots, [dict(zip(COUNTS, map(int, row), strict=True)) for row in counts], n_correct))
    return found
