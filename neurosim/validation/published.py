"""Published energies, powers and sizes, predicted by the code that accounts for runs."""

import itertools
import math
import re

import numpy as np

from neurosim.accounting import KINDS, PHASES, Ledger, make_ledger
from neurosim.accounting.events import KIND, PHASE, Firing
from neurosim.accounting.pricing import DIRECTIONS, EnergyLine, model_time, price_energy
from neurosim.accounting.sections import Spill
from neurosim.documents import WrongKey, find_document, read_yaml
from neurosim.errors import InputError, nearest
from neurosim.hardware.loader import FOLDER, make_profile
from neurosim.hardware.program import load_program
from neurosim.hardware.structure import ChipClass
from neurosim.networks import Convolution, Convolve, Pool, Spiking, Topology
from neurosim.placement import Workload, judge, place, synapse_counts
from neurosim.placement.sections import SECTIONS
from neurosim.validation.activity import dense_activity
from neurosim.validation.cases import ConvLayer, PoolLayer, load_cases

REFUSED = "refused, as it must be"
OUTSIDE = "outside, as it must be"
#: Verdicts with which a case holds.
GOOD = ("inside", REFUSED, OUTSIDE, "reported")


def validate_published(cases=None, read_profile=None):
    """Predict every point of every case.

    Parameters
    ----------
    cases : list of Case, optional
        The bundled ones without.
    read_profile : callable, optional
        Gives the parsed document of a profile by its name.

    Returns
    -------
    list of dict
        One per point, plain data: ``number``, ``title``, ``claim``, ``point``, ``profile``, ``price_set``, ``published``, ``unit``,
        ``ours``, ``error`` (relative), ``band``, ``verdict``, ``holds``, ``independent``, ``source``, ``note``. What does not apply is None.
    """
    read_profile = read_profile or _read_profile
    rows = []
    for case in load_cases() if cases is None else cases:
        for point in case.points:
            found = _PREDICT[point.kind](point, read_profile)
            rows.append(_row(case, point, *found))
    return rows


def _row(case, point, ours, verdict, note, price_set=None):
    published = point.published
    error = None
    if published is not None and ours is not None:
        error = ours / published.value - 1
    if verdict is None:
        verdict = "reported" if point.band is None else _judge(point, error)
    return {
        "number": case.number,
        "title": case.title,
        "claim": case.claim,
        "point": point.name,
        "profile": point.profile,
        "price_set": price_set,
        "published": published.value if published else None,
        "unit": published.unit if published else None,
        "ours": ours,
        "error": error,
        "band": [point.band.low, point.band.high] if point.band else None,
        "verdict": verdict,
        "holds": verdict in GOOD,
        "independent": case.independent,
        "source": published.source if published else None,
        "confidence": published.confidence if published else None,
        "explanation": case.explanation,
        "not_covered": case.not_covered,
        "note": "; ".join(filter(None, (point.note, note))) or None,
    }


def _judge(point, error):
    is_inside = point.band.low <= error <= point.band.high
    if point.outside:
        return "inside, as it must not be" if is_inside else OUTSIDE
    return "inside" if is_inside else "outside"


def _read_profile(name):
    return read_yaml(find_document(name, FOLDER, what="hardware profile"))


def _profile(point, read_profile):
    """Profile of a point, with its changes, price set and corner."""
    document = read_profile(point.profile)
    for key, word in getattr(point, "alternatives", {}).items():
        _take_alternative(document, key, word, point)
    for change in getattr(point, "changes", ()):
        document.override(change)
    profile = make_profile(document)
    try:
        profile = profile.choose(point.price_set, point.corner)
        return profile.with_shared_signs() if getattr(point, "shares_signs", False) else profile
    except WrongKey as error:
        raise InputError(f"validation case, point {point.name}: {error}") from None


def _take_alternative(document, key, word, point):
    """Put another published value of a number in its place."""
    level = document.data
    for part in key.split("."):
        level = level.get(part) if isinstance(level, dict) else None
    others = [other for other in (level or {}).get("alternatives", ()) if word in (other.get("note") or "")]
    if len(others) != 1:
        found = f"found {len(others)} alternatives of {key} with {word!r} in the note"
        raise InputError(f"validation case, point {point.name}: {found}; expected one")
    level["value"] = others[0]["value"]


def price_workload(profile, workload):
    """The ledger of a workload: events in one table, priced as those of a run.

    Parameters
    ----------
    profile : HardwareProfile
    workload : validation.cases.Workload

    Returns
    -------
    Ledger
        Without a time model; energy does not depend on which core an event is booked.

    Raises
    ------
    InputError
        An event that does not exist.
    """
    events = np.zeros((workload.cores, len(PHASES), len(KINDS)), np.int64)
    quiet = np.zeros((workload.cores, len(PHASES)), np.int64)
    for kind, factors in workload.events.items():
        if kind not in KIND:
            raise InputError(f"validation case: found the event {kind!r}; {nearest(kind, KIND)}")
        phase = PHASE["update" if kind == "synaptic_update" else "forward"]
        events[0, phase, KIND[kind]] = round(math.prod(factors))
        if kind == "neuron_update" and workload.quiet:
            quiet[0, phase] = events[0, phase, KIND[kind]]
    if workload.synapses == "dense":
        profile = _dense(profile)
    if workload.chips > 1:
        many = profile.cores.model_copy(update={"value": workload.chips})
        profile = profile.model_copy(update={"chips": (ChipClass(chips=many, working_cores=profile.cores),)})
    _check_rate(profile, workload, events)
    traffic = np.zeros((workload.cores, len(PHASES), len(SECTIONS), len(DIRECTIONS)), np.int64)
    lines = price_energy(profile, events, traffic, workload.seconds or 0.0, Firing(np.zeros_like(quiet), quiet))
    lines += _busy_lines(profile, workload)
    unseen = [name for name in workload.without if name not in {line.component for line in lines}]
    if unseen:
        raise InputError(f"validation case: without {unseen[0]!r}, which costs nothing here")
    nothing = Spill(np.zeros((len(events), len(SECTIONS)), bool), np.zeros(len(events), np.int64))
    return Ledger(events, traffic, nothing, [line for line in lines if line.component not in workload.without], None, 0, 0)


#: Below this part of the rate at which it was measured, an average that contains static power is refused.
LEAST_RATE = 0.1


def _check_rate(profile, workload, events):
    """Refuse an average of one peak beside a low rate of events."""
    chosen, operations = profile.energy.chosen, int(events[..., KIND["synaptic_op"]].sum())
    price = chosen.prices.synaptic_op
    is_average = price is not None and price.meaning == "average_including_static" and chosen.peak_rate is not None
    if is_average and workload.seconds and operations < LEAST_RATE * chosen.peak_rate.value * workload.seconds:
        raise InputError(
            f"profile {profile.name}: price set {profile.energy.price_set}: found {operations / workload.seconds:.3g} synaptic operations/s; its average "
            f"contains static power at {chosen.peak_rate.value:.3g} operations/s and means nothing below {LEAST_RATE:.0%} of that: "
            "take a set with static power of its own"
        )


def _busy_lines(profile, workload):
    """Cycles of cores that work all the time, at the price of a cycle."""
    if not workload.busy_cores:
        return []
    price, clock = profile.energy.prices.core_cycle, profile.clock
    if price is None or clock is None or workload.seconds is None:
        raise InputError(
            f"validation case: busy_cores needs seconds, a clock and a price of core_cycle; price set {profile.energy.price_set} lacks one"
        )
    cycles = round(workload.busy_cores * clock.value * workload.seconds)
    return [EnergyLine(0, "forward", "core_cycle", cycles, price.value, cycles * price.value)]


def _dense(profile):
    """The same chip with the synaptic operation of dense synapses."""
    energy, name = profile.energy, profile.energy.price_set
    prices = energy.prices.model_copy(update={"synaptic_op": energy.prices.synaptic_op_dense})
    sets = {**energy.price_sets, name: energy.price_sets[name].model_copy(update={"prices": prices})}
    return profile.model_copy(update={"energy": energy.model_copy(update={"price_sets": sets})})


def _predict_priced(point, read_profile):
    profile = _profile(point, read_profile)
    ledger = price_workload(profile, point.workload)
    static = ledger.energy_by("phase").get("static", 0.0)
    joules = {
        "energy": ledger.total_energy_j,
        "dynamic_energy": ledger.total_energy_j - static,
        "power": ledger.total_energy_j,
        "static_power": static,
    }[point.quantity]
    ours = joules / point.workload.seconds if point.quantity.endswith("power") else joules
    return ours, *_unless_priced(ledger), profile.energy.price_set


def _predict_ratio(point, read_profile):
    profile = _profile(point, read_profile)
    upper, lower = (price_workload(profile, workload) for workload in (point.workload, point.over))
    verdict, note = _unless_priced(upper)
    joules = [ledger.total_energy_j - ledger.energy_by("phase").get("static", 0.0) for ledger in (upper, lower)]
    return joules[0] / joules[1], verdict, note or f"{joules[0]:.3g} J over {joules[1]:.3g} J", profile.energy.price_set


def _unless_priced(ledger):
    """(verdict, note) of a ledger with a missing price, else (None, None)."""
    return ("incomplete", f"not priced: {', '.join(ledger.unpriced)}") if ledger.unpriced else (None, None)


def _predict_cycles(point, read_profile):
    table = load_program(point.program)
    for name, known in ((point.loop, table.loops), (point.setting, table.settings)):
        if name not in known:
            raise InputError(f"validation case, point {point.name}: found {name!r}; {nearest(name, known)}")
    return table.loops[point.loop][table.settings.index(point.setting)], None, None


def _predict_run(point, read_profile):
    profile = _profile(point, read_profile)
    n_positions = tuple(a * b for a, b in itertools.pairwise(point.layers))
    workload = Workload(point.layers, n_positions, rewires=False, host_learns=point.host_learns)
    placement = place(profile, workload, n_cores=point.cores)
    verdict = judge(placement)
    if not verdict.fits:
        return None, "outside", f"does not fit: {', '.join(use.name for use in verdict.violations)}", profile.energy.price_set
    dense, nothing = dense_activity(placement, 1, *point.active), dense_activity(placement, 0, *point.active)
    ledger = make_ledger(placement, dense, nothing) if point.mode == "training" else make_ledger(placement, nothing, dense)
    if point.quantity == "time":
        ours = ledger.time.training_s if point.mode == "training" else ledger.time.evaluation_s
    else:
        static = ledger.energy_by("phase").get("static", 0.0)
        ours = ledger.total_energy_j - (static if point.quantity == "dynamic_energy" else 0.0)
    note = f"not priced: {', '.join(ledger.unpriced)}" if ledger.unpriced and point.quantity != "time" else None
    return ours, None, note, profile.energy.price_set


def _predict_fit(point, read_profile):
    profile = _profile(point, read_profile)
    topology = Topology.of(point.layers) if point.input_shape is None else _convolutional(point)
    connectivity = point.connectivity[0] if len(point.connectivity) == 1 else list(point.connectivity)
    counts = synapse_counts(topology, connectivity)
    verdict = judge(place(profile, Workload(topology, counts, host_learns=point.host_learns), n_cores=point.cores))
    broken = [use.name for use in verdict.violations]
    holds = verdict.fits == point.fits and (point.limit is None or point.limit in broken)
    note = "fits" if verdict.fits else f"does not fit: {', '.join(dict.fromkeys(broken))}"
    if point.use is None:
        return None, "inside" if holds else "outside", note
    uses = [use.used for use in verdict.placement.usages if use.name == point.use]
    if not uses:
        raise InputError(
            f"validation case, point {point.name}: found use {point.use!r}; {nearest(point.use, {u.name for u in verdict.placement.usages})}"
        )
    return max(uses), None if holds else "outside", note


def _convolutional(point):
    layers = [
        Convolve(layer.conv, Convolution(layer.kernel, layer.stride, layer.padding)) if isinstance(layer, ConvLayer)
        else Pool("average", layer.average, layer.average) if isinstance(layer, PoolLayer)
        else layer
        for layer in point.layers
    ]  # fmt: skip
    return Topology.convolutional(point.input_shape, layers)


def _predict_refusal(point, read_profile):
    try:
        profile = _profile(point, read_profile)
        if point.workload is not None:
            price_workload(profile, point.workload)
    except InputError as error:
        message = re.sub(r"\S*/(?=\w+\.yaml:)", "", str(error))  # the folder is the reader's own
        if point.because in message:
            return None, REFUSED, message
        return None, "refused for another reason", message
    return None, "accepted, as it must not be", None


def _predict_memory(point, read_profile):
    profile = _profile(point, read_profile)
    counts = synapse_counts(point.layers, list(point.connectivity))
    placement = place(profile, Workload(point.layers, counts), n_cores=1)
    sections = placement.cores[0].sections
    unknown = [name for name in point.sections if name not in sections]
    if unknown:
        raise InputError(f"validation case, point {point.name}: found the section {unknown[0]!r}; {nearest(unknown[0], sections)}")
    ours = sum(sections[name] for name in point.sections)
    fits = judge(placement).fits
    limit = profile.storage.local_bytes.value
    note = f"{placement.cores[0].n_bytes:,} B with code, of {limit:,} B: {'fits' if fits else 'does not fit'}"
    if ours != point.exact_bytes:
        return ours, "outside", f"{note}; the formula gives {point.exact_bytes:,} B"
    return ours, "inside" if fits == point.fits else "outside", note


def _predict_spiking(point, read_profile):
    profile = _profile(point, read_profile)
    topology = Topology.spikes(Spiking(**point.network), point.inputs, [point.units], point.classes, point.steps)
    workload = Workload(
        topology, topology.n_positions, optimizer=point.optimizer, program=point.program, rewires=False, has_places=True, starts_dense=True,
        has_spike_inputs=True,
    )  # fmt: skip
    placement = place(profile, workload, n_cores=point.cores)
    sections = {name: int((n + placement.spilled.get(name, 0)).sum()) for name, n in placement.local.items()}
    if unknown := [name for name in point.sections if name not in sections]:
        raise InputError(f"validation case, point {point.name}: found the section {unknown[0]!r}; {nearest(unknown[0], sections)}")
    n_bytes = sum(n for name, n in sections.items() if name in point.sections or not point.sections and name != "code")
    note = ", ".join(f"{name} {n:,} B" for name, n in sections.items() if n and (name in point.sections or not point.sections and name != "code"))
    if point.exact_bytes not in (None, n_bytes):
        return n_bytes, "outside", f"{note}; the formula gives {point.exact_bytes:,} B"
    if point.quantity == "bytes":
        return n_bytes, None, note
    storage = profile.storage
    total = profile.cores.value * (
        storage.rows.value * storage.columns.value * profile.synapse_word.weight_bits.value // 8 + topology.sizes[1] * storage.neuron_bits.value // 8
    )
    return n_bytes / (total - n_bytes), None, f"{note} of {total:,} B"


def _predict_throughput(point, read_profile):
    profile = _profile(point, read_profile)
    cycles = profile.cycles
    one = next(q for q in (getattr(cycles, name) for name in type(cycles).model_fields) if q is not None)
    cycles = cycles.model_copy(update={point.event: one.model_copy(update={"value": point.cycles})})
    # The operations are those of a circuit of its own: time by events, whatever the price set counts by.
    chosen = profile.energy.chosen.model_copy(update={"accounting": "event", "cycles": cycles})
    sets = {**profile.energy.price_sets, profile.energy.price_set: chosen}
    profile = profile.model_copy(update={"energy": profile.energy.model_copy(update={"price_sets": sets})})
    events = np.zeros((profile.cores.value, len(PHASES), len(KINDS)), np.int64)
    n_each = 10**9
    events[:, PHASE["forward"], KIND[point.event]] = n_each
    seconds = model_time(profile, events, 1, 0).training_s
    return len(events) * n_each * point.operations / seconds, None, None


_PREDICT = {
    "priced": _predict_priced,
    "ratio": _predict_ratio,
    "refused": _predict_refusal,
    "memory": _predict_memory,
    "spiking": _predict_spiking,
    "throughput": _predict_throughput,
    "cycles": _predict_cycles,
    "run": _predict_run,
    "fit": _predict_fit,
}
