"""Whether a placement fits, which limits it breaks, and what would help."""

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np

from neurosim.errors import DoesNotFitError
from neurosim.hardware import KNOWN_LIMITS
from neurosim.placement.arrange import compare_arrangements, expected_traffic
from neurosim.placement.checks import Usage
from neurosim.placement.compare_programs import describe_programs
from neurosim.placement.families import family_of
from neurosim.placement.memory import host_rewires
from neurosim.placement.place import Placement
from neurosim.placement.remedies import Remedy, find_remedies
from neurosim.placement.search import MOST_STEPS, FitStop, most_unrolled
from neurosim.placement.sections import SECTIONS
from neurosim.placement.spiking import history_steps


@dataclass(frozen=True)
class SectionOver:
    """A core whose memory overflows: the section that crosses the limit when stacked in order, and the largest ones.

    `over` is in B; `largest` holds (section, B), largest first.
    """

    core: int
    section: str
    over: int
    largest: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Verdict:
    """Answer of `judge`.

    Attributes
    ----------
    placement : Placement
    violations, headroom : list of Usage
        All broken limits, of every core, and all the other ones.
    unstated : list of str
        Known limits that the profile leaves out.
    storage : list of str
        What a removed synapse frees, and what is sure where a use depends on the positions that are drawn.
    not_modelled : list of str
        What the chip would also demand and this model does not check.
    section_over : list of SectionOver
        One per core whose local memory overflows.
    remedies : list of Remedy
    most_steps : int, optional
        Of a network that takes a sample step by step: the most through which training could go back on these cores, in windows or
        longer samples; None where no memory limits it.
    fit : tuple of FitStop
        Of a network as large as the chip holds (``fit``): what stopped it, or each of its matrices.
    """

    placement: Placement
    violations: list[Usage]
    headroom: list[Usage]
    unstated: list[str]
    not_modelled: list[str]
    section_over: list[SectionOver]
    remedies: list[Remedy]
    storage: list[str] = field(default_factory=list)
    fit: tuple[FitStop, ...] = ()
    most_steps: int | None = None

    @property
    def unrolling(self):
        """Steps and the fullest core of `unrolled_state` as plain data, or None where a sample takes one step."""
        workload = self.placement.workload
        topology = workload.topology
        section, kept = ("history", history_steps(workload)) if topology.spiking else ("unrolled_state", workload.kept_steps)
        if not topology.is_unrolled or not kept:
            return None
        cores = (core for core, _ in self.placement.distinct_cores)
        core = max(cores, key=lambda core: core.sections.get(section, 0))  # a core without neurons keeps none
        return {
            "n_steps": topology.n_steps,
            "window": topology.window,
            "kept_steps": kept,
            "most_steps": self.most_steps,
            "core": core.id,
            "n_bytes": core.sections.get(section, 0),
            "limit": self.placement.local_limit,
        }

    @cached_property
    def programs(self):
        """What each training program of a spiking network would keep: list of dict, see `describe_programs`; empty for other networks."""
        return describe_programs(self.placement)

    @property
    def fits(self):
        return not self.violations

    def arrangements(self):
        """Every arrangement of the neurons on these cores, with what is expected to travel: list of dict, see `compare_arrangements`."""
        return compare_arrangements(self.placement.profile, self.placement.workload, self.placement.n_cores)

    @property
    def hints(self):
        """What would help, one sentence each, computed by the same model."""
        return [remedy.text for remedy in self.remedies]

    @property
    def worst(self):
        """The violation with the largest use per limit, or None."""
        return max(self.violations, key=lambda usage: _need(usage) / max(1, usage.limit), default=None)

    def to_dict(self):
        """Plain data for JSON."""
        return {
            "fits": self.fits,
            "profile": self.placement.profile.name,
            "n_cores": self.placement.n_cores,
            "changed": [change.to_dict() for change in self.placement.profile.changes],
            "n_active": list(self.placement.workload.n_active),
            "violations": [usage.to_dict() for usage in self.violations],
            "headroom": [usage.to_dict() for usage in self.headroom],
            "unstated": list(self.unstated),
            "not_modelled": list(self.not_modelled),
            "section_over": [{"core": s.core, "section": s.section, "over": s.over, "largest": dict(s.largest)} for s in self.section_over],
            "hints": self.hints,
            "unrolling": self.unrolling,
            **({"programs": self.programs} if self.programs else {}),
            "storage": list(self.storage),
            "arrangement": _arrangement_dict(self.placement),
            "fit": _fit_dict(self.fit) if self.fit else None,
            "cores": _core_dicts(self.placement),
        }


def _arrangement_dict(placement):
    """What is expected to travel between cores, and where neurons are if not in even ranges; None on one core, and of given connections."""
    if placement.n_cores == 1 or placement.workload.positions is not None:
        return None
    own = placement.workload.own
    traffic = expected_traffic(placement.profile, placement.workload, placement.n_cores).to_dict()
    return {**traffic, "own": None if own is None else [list(counts) for counts in own]}


def _fit_dict(stops):
    """Plain data of what stopped a network: in words, and the limit that is broken most."""
    uses = [stop.usage for stop in stops if stop.usage is not None]
    worst = max(uses, key=lambda use: use.used / max(1, use.limit), default=None)
    return {"text": "; ".join(stop.text for stop in stops), "limit": None if worst is None else worst.to_dict()}


def _at_worst(usage):
    """A use as the worst draw has it, where it depends on the draw and only some draws fit."""
    return replace(usage, used=usage.most, least=None, most=None) if usage.fits and not usage.is_guaranteed else usage


def _core_dicts(placement):
    """Plain data of each core, and how many are like it where not each is listed."""
    stored = placement.stored_bytes
    return [
        {**asdict(core), "n_bytes": core.n_bytes, "stored_bytes": int(stored[core.id]), **({"n_alike": n_alike} if n_alike > 1 else {})}
        for core, n_alike in placement.distinct_cores
    ]


def judge(placement, for_every_draw=False, with_remedies=True):
    """Compare every use with its limit, and search for remedies when something does not fit.

    Parameters
    ----------
    placement : Placement
    for_every_draw : bool
        Whether it must fit whichever positions are drawn, as ``connectivity: fit`` promises; else one draw that fits is enough.
    with_remedies : bool
        Whether to search for what would help, which takes longer than the verdict.

    Returns
    -------
    Verdict
    """
    usages = [_at_worst(usage) for usage in placement.usages] if for_every_draw else placement.usages
    violations = [usage for usage in usages if not usage.fits]
    return Verdict(
        placement=placement,
        violations=violations,
        headroom=[usage for usage in usages if usage.fits],
        unstated=[name for name in KNOWN_LIMITS if getattr(placement.profile.limits, name) is None],
        not_modelled=_not_modelled(placement.profile, placement.workload),
        section_over=[_section_over(placement.core(u.core), u) for u in violations if u.name == "local_memory"],
        remedies=(find_remedies(placement, for_every_draw) if violations and with_remedies else []),
        most_steps=_most_steps(placement),
        storage=[
            text
            for text in (
                family_of(placement.profile).release_text(placement),
                _spill_text(placement),
                _rewiring_text(placement),
                *_draw_texts(placement),
            )
            if text
        ],
    )


def refuse_unless_fits(placement):
    """Verdict of a placement that fits.

    Raises
    ------
    DoesNotFitError
        One line with the worst violation and the first hint; the whole verdict is its `verdict`.
    """
    verdict = judge(placement)
    if verdict.fits:
        return verdict
    raise DoesNotFitError(summarize(verdict), verdict)


def summarize(verdict):
    """One line on a placement that does not fit: how many limits are broken, the worst of them, the first hint."""
    placement = verdict.placement
    worst, n = verdict.worst, sum(usage.n_places for usage in verdict.violations)
    over = next((s for s in verdict.section_over if s.core == worst.core), None) if worst.name == "local_memory" else None
    parts = [
        f"does not fit {placement.profile.name}: {n:,d} limit{'s' * (n > 1)} exceeded",
        f"{'worst: ' * (n > 1)}{worst.where}: {worst.name} needs {'at least ' * (worst.least is not None)}{_need(worst):,d} of {worst.limit:,d} {worst.unit}, {worst.over:,d} over"
        + (f", at section {over.section}" if over else ""),
        f"limit from {worst.source}",
        *verdict.hints[:1],
    ]
    return "; ".join(parts)


def _most_steps(placement):
    if placement.workload.topology.spiking and placement.workload.program != "bptt":
        return None
    if not placement.workload.topology.is_unrolled or placement.n_cores > placement.profile.cores.value:
        return None
    n = most_unrolled(placement.profile, placement.workload, placement.n_cores)
    return n if n < MOST_STEPS else None


def _need(usage):
    """What is needed at the least."""
    return usage.used if usage.least is None else usage.least


def _section_over(core, usage):
    stacked = 0
    for name in SECTIONS:
        stacked += core.sections.get(name, 0)
        if stacked > usage.limit:
            break
    largest = sorted(core.sections.items(), key=lambda item: -item[1])[:3]
    return SectionOver(core.id, name, usage.over, tuple(largest))


def _not_modelled(profile, workload):
    notes = []
    native = profile.limits.weight_bits_native
    if native is not None and not workload.is_rounded:
        notes.append(f"weight_bits_native {native.max.value}: training uses wider weights (float32); hardware.weight_format narrows them")
    notes += family_of(profile).not_modelled(profile)
    if profile.storage.local_bytes is None and not family_of(profile).has_tables:
        notes.append("storage.local_bytes is not stated: neuron state, gradients and buffers are counted and compared with no limit")
    spilling = [name for name in KNOWN_LIMITS if getattr(getattr(profile.limits, name), "action", None) == "spill"]
    notes += [f"{name}: spilling beyond the limit, which is refused here" for name in spilling]
    if profile.limits.routing_entries is not None and profile.chips and profile.n_chips > 1:
        notes.append("routing_entries: of routers on the way between the chips of sender and receiver")
    if profile.limits.targets_per_neuron is not None:
        notes.append("targets_per_neuron: copies of a neuron, which could reach more")
    return notes


def _spill_text(placement):
    """Which sections moved to the shared memory, in one sentence; None where none did."""
    if not placement.spilled:
        return None
    moved, names = sum(placement.spilled.values()), placement.spilled
    n_cores, total = np.count_nonzero(moved), int(moved.sum())
    return f"spilled to sdram from {n_cores:,d} of {placement.n_cores:,d} cores: {', '.join(names)}, {total:,d} B; their traffic is that of the shared memory"


def _rewiring_text(placement):
    """Who rewires where the chip that learns does not, in one sentence; None elsewhere."""
    profile, learning = placement.profile, placement.profile.learning
    if not host_rewires(profile, placement.workload):
        return None
    return (
        f"rewiring goes over the host (learning.rewiring; {learning.source}: {profile.sources[learning.source]}): each time, it reads all weights "
        f"and writes {family_of(profile).exchange_text}, counted as host bytes"
    )


def _draw_texts(placement):
    """What is sure, for limits on counts that depend on which positions are drawn: one sentence per limit."""
    groups = {}
    for usage in placement.usages:
        if usage.least is not None and usage.fits and usage.most > usage.least:
            groups.setdefault(usage.name, []).append(usage)
    for name, usages in groups.items():
        worst = max(usages, key=lambda usage: usage.most / max(1, usage.limit))
        text = f"{name}, {worst.where}: {worst.least:,d} to {worst.most:,d} of {worst.limit:,d} {worst.unit}, {worst.used:,d} expected: "
        if worst.is_guaranteed:
            yield text + "fits whichever positions are drawn"
        else:
            yield text + "depends on the positions; the limit is kept at every step, and a slot without a position stays dormant and is reported"
