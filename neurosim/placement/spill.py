"""What moves to the memory that the cores of a chip share, where the local memory of a core is too small.

Only what a core keeps per slot can move, and only whole sections: those with the smallest sum of bytes that makes the core fit. Of
equal sums the one with fewer sections moves, then the one whose sections come first in `sections.movable_sections`. A core that does not fit
even so moves all of them, and is over its limit by the rest.
"""

from itertools import combinations

import numpy as np

from neurosim.placement.sections import movable_sections


def can_spill(profile):
    """Whether the cores of a chip may move sections to the memory that they share."""
    return getattr(profile.storage, "overflow", "refuse") == "spill"


def choose_spill(profile, sections, n_bytes):
    """Sections that move to the shared memory.

    Parameters
    ----------
    profile : HardwareProfile
    sections : dict of str to int64 array, shape (n_cores,)
        Bytes of sections, those that cannot move may be left out.
    n_bytes : int64 array, shape (n_cores,)
        What each core keeps in all.

    Returns
    -------
    dict of str to int64 array, shape (n_cores,)
        Bytes that move, of each section that moves on some core; empty where nothing may, or needs to.
    """
    names = [name for name in movable_sections() if name in sections]
    if not can_spill(profile) or not names or (n_bytes <= profile.storage.local_bytes.value).all():
        return {}
    choices = [set(choice) for n in range(len(names) + 1) for choice in combinations(names, n)]
    moved = np.array([sum((sections[name] for name in choice), np.zeros_like(n_bytes)) for choice in choices])
    fits = n_bytes - moved <= profile.storage.local_bytes.value
    best = np.where(fits, moved, np.iinfo(np.int64).max).argmin(axis=0)  # the first of equals
    best[~fits.any(axis=0)] = len(choices) - 1
    found = {name: sections[name] * np.array([name in choice for choice in choices])[best] for name in names}
    return {name: n for name, n in found.items() if n.any()}
