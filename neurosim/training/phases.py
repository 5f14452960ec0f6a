"""Phases of a run: stretches of epochs, each with samples and a learning rate of its own, over one network that learns on."""

from dataclasses import dataclass

import numpy as np

from neurosim.training.schedules import Schedule


@dataclass(frozen=True)
class Phase:
    """One stretch of epochs.

    Attributes
    ----------
    dataset : Dataset
        Of the sizes of all other phases.
    n_epochs : int
    schedule : Schedule
    restarts : bool
        Whether the schedule sees the epochs of this phase, or those of the run.
    """

    dataset: object
    n_epochs: int
    schedule: Schedule
    restarts: bool = True


@dataclass(frozen=True)
class Place:
    """Where an epoch lies: the number of its phase, its own within that, and the first epoch of the phase."""

    phase: int
    epoch: int
    first: int


def find_place(phases, epoch):
    """`Place` of an epoch, counted from 0 over all phases; one behind the last counts as its last."""
    first = 0
    for number, phase in enumerate(phases):
        if epoch < first + phase.n_epochs:
            return Place(number, epoch - first, first)
        first += phase.n_epochs
    last = phases[-1]
    return Place(len(phases) - 1, last.n_epochs - 1, first - last.n_epochs)


def positions_of(store):
    """Position and weight of every active synapse, in the order of positions: list of (int64 array, float32 array), one for each matrix."""
    found = []
    for m, matrix in enumerate(store.plan.matrices):
        pre, post, weight = store.connections(m)
        place = pre.astype(np.int64) * matrix.n_post + post
        order = np.argsort(place)
        found.append((place[order], weight[order]))
    return found


def compare_weights(before, now, n_possible):
    """How alike two sets of connections of one matrix are.

    Parameters
    ----------
    before, now : (int64 array, float32 array)
        Positions, ascending, and their weights.
    n_possible : int
        Positions of the matrix.

    Returns
    -------
    overlap : float or None
        Part of the positions before that are still there; None without any.
    correlation : float or None
        Pearson's, of the weights of all possible positions, those without a connection being 0; None where one side is constant.
    """
    _, here, there = np.intersect1d(before[0], now[0], assume_unique=True, return_indices=True)
    overlap = here.size / before[0].size if before[0].size else None
    a, b = (side[1].astype(np.float64) for side in (before, now))
    mean = a.sum() / n_possible * b.sum() / n_possible
    spread = [np.square(v).sum() / n_possible - (v.sum() / n_possible) ** 2 for v in (a, b)]
    if min(spread) <= 0:
        return overlap, None
    return overlap, float(np.clip(((a[here] * b[there]).sum() / n_possible - mean) / np.sqrt(spread[0] * spread[1]), -1, 1))
