"""Searches by the model itself: the most synapses that fit, the fewest cores, and the most steps of unrolling."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from neurosim.errors import InputError
from neurosim.placement.checks import Usage
from neurosim.placement.homes import lay_out
from neurosim.placement.layout import n_slots
from neurosim.placement.limits import depends_on_draw, fixed_checks, slot_checks
from neurosim.placement.memory import fixed_sections
from neurosim.placement.spill import can_spill

#: Where the search for the most steps of unrolling ends.
MOST_STEPS = 10**6
#: Segments that a search may look at one by one, about 2 s; beyond that it takes larger steps. Chips of 5,000 cores stay below.
_EFFORT = 3 * 10**7
#: Counting the rows of given connections once.
_EFFORT_OF_A_CONNECTION = 20
#: Every try costs at least as much as so many segments.
_LEAST_EFFORT = 1000


def check_cores(profile, n_cores):
    """Refuse what is not a number of cores. More than the chip has is a broken limit and no error.

    Raises
    ------
    InputError
    """
    if not isinstance(n_cores, int) or isinstance(n_cores, bool) or not 1 <= n_cores <= 10**6:
        raise InputError(f"cores: found {n_cores!r}; expected a whole number, 1 to the {profile.cores.value:,d} cores of {profile.name}")


def smallest_cores(profile, workload):
    """Smallest number of cores of the chip on which the workload fits, or None.

    One on which every draw fits comes before one on which only some do, and one whose cores hold everything themselves before one
    that spills. Every number is tried: more cores also mean more copies, so that one may fit and the next may not. On a chip of so many
    cores that this takes too long (`tries_all_cores`) the numbers that are tried grow by steps.
    """
    numbers = _numbers_of_cores(profile, workload)

    def first(is_sure, low, high, may_spill):
        return next((n for n in numbers if low <= n <= high and _make_fits(profile, workload, n, is_sure, may_spill)(workload.n_active)), None)

    for may_spill in dict.fromkeys((False, can_spill(profile))):
        some = first(False, 1, numbers[-1], may_spill)
        if some is not None:
            is_drawn = depends_on_draw(profile, workload) and workload.positions is None
            return is_drawn and first(True, some, _most_sure_cores(profile, workload), may_spill) or some
    return None


def _most_sure_cores(profile, workload):
    """Cores beyond which some draw surely gives a neuron more targets than it may have, where targets are cores; else all of the chip.

    A projection spreads over as many cores as there are, until each post neuron, or each synapse, has one of its own.
    """
    limit, most = profile.limits.targets_per_neuron, profile.cores.value
    if limit is None or limit.of != "core" or workload.own is not None:
        return most
    topology = workload.topology
    widest = (min(topology.populations[p.post].n, n) for p, n in zip(topology.projections, workload.n_active, strict=True) if p.pre > 0)
    return min(limit.max.value, most) if max(widest, default=0) > limit.max.value else most


def tries_all_cores(profile, workload):
    """Whether `smallest_cores` tries every number of cores of the chip."""
    return len(_numbers_of_cores(profile, workload)) == profile.cores.value


def _numbers_of_cores(profile, workload):
    """Numbers of cores to try, ascending: all of them, or as many as the effort allows and from there on in growing steps."""
    most, weight = profile.cores.value, len(workload.n_positions) * (5 if profile.storage.family == "packed_lists" else 1)
    every = np.arange(1, most + 1, dtype=np.int64)
    effort = _LEAST_EFFORT if workload.positions is None else _LEAST_EFFORT + _EFFORT_OF_A_CONNECTION * workload.n_synapses
    dense = int(np.searchsorted(np.cumsum(every * weight + effort), _EFFORT)) if most <= 10**6 else 0
    if dense >= most:
        return every.tolist()
    # One by one for half of the effort; then some 40 that lead to the last.
    dense = max(dense // 2, 1)
    return [*range(1, dense), *np.unique(np.geomspace(dense, most, 40).round().astype(np.int64)).tolist()]


def largest_fit(profile, workload, n_cores, may_spill=False, most=None):
    """Most synapses that the cores hold themselves, whichever positions are drawn, with the matrices in the proportion of `workload.n_active`.

    A matrix that is full stays full while the others grow on; each keeps at least one synapse.

    Parameters
    ----------
    profile : HardwareProfile
    workload : Workload
        For equal connectivity of all matrices, give ``n_active=synapse_counts(topology, 1.0)``.
    n_cores : int or None
        None for all cores of the chip.
    may_spill : bool
        Whether the memory that the cores share counts, too.
    most : sequence of int, optional
        Of each matrix, where it is not to grow to all its positions.

    Returns
    -------
    tuple of int, or None
        Synapses of each matrix; None when not even one synapse per matrix fits.

    Raises
    ------
    InputError
        When `n_cores` is not a positive whole number.
    """
    n_cores = profile.cores.value if n_cores is None else n_cores
    check_cores(profile, n_cores)
    weights, positions = workload.n_active, workload.n_positions if most is None else most
    fits = _make_fits(profile, workload.drawn, n_cores, may_spill=may_spill)

    def counts(total):
        return scale_counts(weights, positions, total)

    low, high = len(positions), sum(positions)
    if fits(counts(high)):
        return counts(high)
    # The remainders of a division among cores wander: a larger total can give a core one synapse less. What a core gets
    # for sure only grows, so it bounds the answer from above, and the few totals in between are tried one by one.
    high = _last(lambda total: fits(counts(total), at_least=True), low, high)
    best = _last(lambda total: fits(counts(total)), low, high)
    window = 2 * n_cores if tries_all_totals(workload, n_cores) else 0
    while window and best < high:
        above = range(min(high, max(best, low - 1) + window), best, -1)
        better = next((total for total in above if fits(counts(total))), best)
        if better == best:
            break
        best = better
    return counts(best) if best >= low else None


def fill(profile, workload, n_cores, may_spill=False):
    """Most synapses of each matrix: `largest_fit`, and then those that a limit of their own has not stopped grow on, until none can.

    Parameters
    ----------
    profile, workload, n_cores, may_spill
        As of `largest_fit`.

    Returns
    -------
    tuple of int, or None
    """
    n_cores = profile.cores.value if n_cores is None else n_cores
    most = list(workload.n_positions)
    counts = largest_fit(profile, workload, n_cores, may_spill, most)
    fits = _make_fits(profile, workload, n_cores, may_spill=may_spill)
    while counts is not None:
        open_ones = [i for i, n in enumerate(counts) if n < most[i]]
        stopped = [i for i in open_ones if not fits([n + (i == j) for j, n in enumerate(counts)])]
        if not open_ones:
            break
        # Where each could take one more and all together cannot, the last of them waits: remainders of a division among cores.
        for i in stopped or open_ones[-1:]:
            most[i] = counts[i]
        counts = largest_fit(profile, workload, n_cores, may_spill, most)
    return counts


def widest(fits, least, most):
    """Largest width from `least` to `most` for which ``fits(width)``, when it holds up to there; None when not even the least does."""
    found = _last(fits, least, most)
    return None if found < least else found


def fits_whatever_is_drawn(profile, workload, n_cores):
    """Whether all limits hold on so many cores, all of the chip for None, for every draw; shared memory counts where the chip spills."""
    n_cores = profile.cores.value if n_cores is None else n_cores
    return _make_fits(profile, workload, n_cores, may_spill=can_spill(profile))(workload.n_active)


@dataclass(frozen=True)
class FitStop:
    """What keeps a network from growing: the limit that breaks then, or None where nothing is left to grow.

    Attributes
    ----------
    what : str
        What has grown as far as it can, such as ``12,000 synapses``.
    n_cores : int
        The cores that were asked for; of ``auto`` all of the chip.
    usage : Usage or None
        Of one more, at its fullest place, as the worst draw has it.
    n_places : int
        Where that limit breaks.
    end : str
        In words, where no limit stops it.
    """

    what: str
    n_cores: int
    usage: Usage | None
    n_places: int = 0
    end: str = "every possible connection is there, and no limit stops it"

    @property
    def text(self):
        """In one sentence."""
        on = f"{self.what}, the most on {self.n_cores:,d} core{'s' * (self.n_cores != 1)}"
        use = self.usage
        if use is None:
            return f"{on}: {self.end}"
        more = f" (of {self.n_places:,d} places)" if self.n_places > 1 else ""
        return f"{on}: one more would need {use.used:,d} of {use.limit:,d} {use.unit} of {use.name} at {use.where}{more}; limit from {use.source}"


def find_stops(profile, workload, n_cores, names):
    """What stops each matrix of a workload that `fill` found: list of `FitStop`.

    Parameters
    ----------
    names : sequence of str
        Of the matrices.
    """
    n_cores = profile.cores.value if n_cores is None else n_cores
    stops = []
    for i, (n, possible) in enumerate(zip(workload.n_active, workload.n_positions, strict=True)):
        what, found = f"{names[i]}: {n:,d} of {possible:,d} connections", (None,)
        for more in (1, 2 * n_cores, 8 * n_cores) if n < possible else ():
            counts = [min(m + more * (i == j), p) for j, (m, p) in enumerate(zip(workload.n_active, workload.n_positions, strict=True))]
            if broken := broken_checks(profile, replace(workload, n_active=tuple(counts)), n_cores):
                found = _fullest(broken)
                break
        stops.append(FitStop(what, n_cores, *found))
    return stops


def broken_checks(profile, workload, n_cores):
    """Limits that some draw of a workload breaks on so many cores, all of the chip for None: list of `Check`."""
    layout = lay_out(profile, workload, profile.cores.value if n_cores is None else n_cores)
    fixed = [check for check in fixed_checks(profile, layout) if not check.fits]
    fixed_bytes = sum(fixed_sections(profile, workload, layout).values())
    divided = layout.divide(workload.n_active)
    slots = n_slots(divided, layout.n_possible, workload)
    for may_spill in (False, can_spill(profile)):
        checks = list(slot_checks(profile, workload, layout, divided, slots, fixed_bytes, with_expected=False, may_spill=may_spill))
        if broken := [check for check in checks if not check.is_guaranteed]:
            return fixed + broken
    return fixed


def find_stop_of_width(profile, wider, n_cores, what):
    """What stops layers from being one neuron wider: `FitStop`; `wider` is the workload with it, None where a layer cannot be wider."""
    n_cores = profile.cores.value if n_cores is None else n_cores
    broken = [] if wider is None else broken_checks(profile, wider, n_cores)
    return FitStop(what, n_cores, *(_fullest(broken) if broken else (None,)), end="the widest that a layer can be, and no limit stops it")


def find_stop(profile, workload, n_cores, weights=None):
    """What stops `largest_fit` at a workload that it found.

    Parameters
    ----------
    profile : HardwareProfile
    workload : Workload
        With the synapses that fit.
    n_cores : int or None
        As given to `largest_fit`.
    weights : sequence of int, optional
        The proportion of the matrices as given there; equal fractions without.

    Returns
    -------
    FitStop
    """
    n_cores = profile.cores.value if n_cores is None else n_cores
    positions, total = workload.n_positions, workload.n_synapses
    weights = positions if weights is None else weights
    what = f"{total:,d} synapses"
    if total >= sum(positions):
        return FitStop(what, n_cores, None)
    # A step that gives each core one more is enough where a single one finds room in the remainders.
    for more in (1, 2 * n_cores, 8 * n_cores * len(positions)):
        counts = scale_counts(weights, positions, min(total + more, sum(positions)))
        if broken := broken_checks(profile, replace(workload, n_active=counts), n_cores):
            return FitStop(what, n_cores, *_fullest(broken))
    return FitStop(what, n_cores, None)


def _fullest(checks):
    """The use that is beyond its limit by the largest factor, as the worst draw has it, and in how many places that limit is broken."""
    uses = [replace(use, used=use.used if use.most is None else use.most, least=None, most=None) for check in checks for use in check.usages()]
    broken = [use for use in uses if use.used > use.limit]
    worst = max(broken, key=lambda use: use.used / max(1, use.limit))
    return worst, sum(use.n_places for use in broken if use.name == worst.name)


def tries_all_totals(workload, n_cores):
    """Whether `largest_fit` finds the very largest total; on so many cores that this takes too long, one within two synapses per core."""
    return 2 * n_cores * (n_cores * len(workload.n_positions) + _LEAST_EFFORT) <= _EFFORT


def most_unrolled(profile, workload, n_cores, most=MOST_STEPS):
    """Most steps through which training could go back on these cores: windows up to the steps of a sample, then longer samples.

    Parameters
    ----------
    profile : HardwareProfile
    workload : Workload
    n_cores : int
    most : int
        Where the search ends.

    Returns
    -------
    int
        From 0, when not even one step fits, to `most`.
    """
    topology = workload.topology

    def fits(n):
        unrolled = replace(workload, topology=replace(topology, n_steps=max(topology.n_steps, n), window=n))
        return _make_fits(profile, unrolled, n_cores, is_sure=False, may_spill=can_spill(profile))(workload.n_active)

    return _last(fits, 1, most)


def scale_counts(weights, positions, total):
    """Divide a total among matrices in proportion to weights, so that no count falls when the total rises.

    Sainte-Laguë's rule: the next synapse goes to the matrix with the smallest (count + 1/2) / weight, the first of equals.

    Parameters
    ----------
    weights, positions : sequence of int
        Wanted proportion (at least 1) and largest count of each matrix.
    total : int
        From one per matrix to the sum of positions.

    Returns
    -------
    tuple of int
        ``weights`` itself when `total` is their sum.
    """
    matrices = range(len(weights))

    def at(scale):  # everything whose turn comes up to this scale
        return [min(max(1, int(scale * w + Fraction(1, 2))), p) for w, p in zip(weights, positions, strict=True)]

    scale = Fraction(_solve_scale(weights, positions, total))
    counts = at(scale)
    while sum(counts) < total:
        i = min((i for i in matrices if counts[i] < positions[i]), key=lambda i: (Fraction(2 * counts[i] + 1, weights[i]), i))
        counts[i] += 1
    while sum(counts) > total:
        i = max((i for i in matrices if counts[i] > 1), key=lambda i: (Fraction(2 * counts[i] - 1, weights[i]), i))
        counts[i] -= 1
    return tuple(counts)


def _solve_scale(weights, positions, total):
    """Scale at which the clamped real counts add up to the total, as a float."""
    low, high = 0.0, max(p / w for w, p in zip(weights, positions, strict=True))
    for _ in range(60):
        middle = (low + high) / 2
        if sum(min(max(1.0, middle * w), p) for w, p in zip(weights, positions, strict=True)) < total:
            low = middle
        else:
            high = middle
    return high


def _make_fits(profile, workload, n_cores, is_sure=True, may_spill=False):
    """Function of the counts per matrix: whether all limits hold on this number of cores, for every draw or for some."""
    layout = lay_out(profile, workload, n_cores)
    is_possible = all(check.fits for check in fixed_checks(profile, layout))
    # Bytes that nothing limits need not be counted, nor those of an impossible number of cores: a search may try thousands.
    is_counted = is_possible and profile.storage.local_bytes is not None
    fixed_bytes = sum(fixed_sections(profile, workload, layout).values()) if is_counted else 0
    n_positions = layout.n_possible

    def fits(n_active, at_least=False):
        if not is_possible:
            return False
        if workload.positions is not None:
            divided = workload.divide(layout)
        else:
            divided = layout.divide_at_least(n_active) if at_least else layout.divide(n_active)
        slots = n_slots(divided, n_positions, workload)

        def holds(is_sure, with_expected):
            checks = slot_checks(profile, workload, layout, divided, slots, fixed_bytes, with_expected=with_expected, may_spill=may_spill)
            return all(check.is_guaranteed if is_sure else check.fits for check in checks)

        # Given positions are counted only where bounds leave it open.
        return holds(is_sure, False) if workload.positions is None else holds(False, False) and holds(True, True)

    return fits


def _last(holds, low, high):
    """Largest number from low to high for which `holds`, when it holds up to there; low - 1 when for none."""
    low -= 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
