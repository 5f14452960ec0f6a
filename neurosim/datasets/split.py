"""Parts of a set of samples in which every class has its share."""

import numpy as np


def quotas(counts, total, keep=0):
    """Divide `total` samples among classes as `counts` are, at least 1 of each and leaving `keep` in each: largest remainders.

    Parameters
    ----------
    counts : int array, shape (n_classes,)
        At least keep + 1.
    total : int
        At least 1.
    keep : int

    Returns
    -------
    int array, shape (n_classes,)
        Its sum is `total` where that is possible, else the nearest.
    """
    counts = np.asarray(counts, np.int64)
    ideal = counts * (total / counts.sum())
    taken = np.floor(ideal).astype(np.int64).clip(1, counts - keep)
    while (missing := total - int(taken.sum())) != 0:
        step = 1 if missing > 0 else -1
        can_move = np.flatnonzero((taken < counts - keep) if step > 0 else (taken > 1))
        if not can_move.size:
            break
        # Ties go to the first class: argsort is stable.
        first = can_move[np.argsort(step * (taken - ideal)[can_move], kind="stable")[: abs(missing)]]
        taken[first] += step
    return taken


def draw_part(y, fraction, seed):
    """Draw a part at random that holds the same fraction of every class, at least one sample and never all.

    The same samples for the same labels, fraction and seed, with every version of NumPy: the bits of PCG64 are promised, what
    its generators make of them is not.

    Parameters
    ----------
    y : int array, shape (n_samples,)
        Class numbers; each class that occurs has at least 2 samples.
    fraction : float
        In (0, 1).
    seed : int

    Returns
    -------
    bool array, shape (n_samples,)
    """
    keys = np.random.PCG64(seed).random_raw(len(y))
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    order = np.lexsort((keys, codes))
    taken = quotas(counts, max(1, round(fraction * len(y))), keep=1)
    return _mark_first(order, counts, taken)


def first_samples(y, limit):
    """The first `limit` samples; where these lack classes that others have, the first ones of every class instead, in their shares.

    Returns
    -------
    int array, shape (limit,) or less, or None
        Positions in their order; None where it is simply the first samples.
    """
    if limit >= len(y):
        return None
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if limit < len(counts) or len(np.unique(y[:limit])) == len(counts):
        return None
    order = np.argsort(codes, kind="stable")
    return np.flatnonzero(_mark_first(order, counts, quotas(counts, limit)))


def _mark_first(order, counts, taken):
    """Mask of the first `taken` of each class, where `order` lists the samples class by class."""
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_taken = np.zeros(len(order), bool)
    is_taken[order] = rank < np.repeat(taken, counts)
    return is_taken
