"""Whether a placement fits, which limits it breaks, and what would help."""

from dataclasses import dataclass

from neurosim.errors import DoesNotFitError
from neurosim.hardware import KNOWN_LIMITS
from neurosim.placement.limits import Usage
from neurosim.placement.memory import SECTIONS, has_words
from neurosim.placement.place import Placement
from neurosim.placement.remedies import Remedy, find_remedies


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
    not_modelled : list of str
        What the chip would also demand and this model does not check.
    section_over : list of SectionOver
        One per core whose local memory overflows.
    remedies : list of Remedy
    """

    placement: Placement
    violations: list[Usage]
    headroom: list[Usage]
    unstated: list[str]
    not_modelled: list[str]
    section_over: list[SectionOver]
    remedies: list[Remedy]

    @property
    def fits(self):
        return not self.violations

    @property
    def hints(self):
        """What would help, one sentence each, computed by the same model."""
        return [remedy.text for remedy in self.remedies]

    @property
    def worst(self):
        """The violation with the largest use per limit, or None."""
        return max(self.violations, key=lambda usage: usage.used / max(1, usage.limit), default=None)

    def to_dict(self):
        """Plain data for JSON."""
        return {
            "fits": self.fits,
            "profile": self.placement.profile.name,
            "n_cores": self.placement.n_cores,
            "n_active": list(self.placement.workload.n_active),
            "violations": [usage.to_dict() for usage in self.violations],
            "headroom": [usage.to_dict() for usage in self.headroom],
            "unstated": list(self.unstated),
            "not_modelled": list(self.not_modelled),
            "section_over": [{"core": s.core, "section": s.section, "over": s.over, "largest": dict(s.largest)} for s in self.section_over],
            "hints": self.hints,
            "cores": [
                {"id": c.id, "n_neurons": c.n_neurons, "n_slots": c.n_slots, "n_bytes": c.n_bytes, "sections": dict(c.sections)}
                for c in self.placement.cores
            ],
        }


def judge(placement):
    """Compare every use with its limit, and search for remedies when something does not fit.

    Parameters
    ----------
    placement : Placement

    Returns
    -------
    Verdict
    """
    violations = [usage for usage in placement.usages if not usage.fits]
    return Verdict(
        placement=placement,
        violations=violations,
        headroom=[usage for usage in placement.usages if usage.fits],
        unstated=[name for name in KNOWN_LIMITS if getattr(placement.profile.limits, name) is None],
        not_modelled=_not_modelled(placement.profile),
        section_over=[_section_over(placement.cores[u.core], u) for u in violations if u.name == "local_memory"],
        remedies=find_remedies(placement) if violations else [],
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
    worst, n = verdict.worst, len(verdict.violations)
    over = next((s for s in verdict.section_over if s.core == worst.core), None) if worst.name == "local_memory" else None
    parts = [
        f"does not fit {placement.profile.name}: {n} limit{'s' * (n > 1)} exceeded",
        f"{'worst: ' * (n > 1)}{worst.where}: {worst.name} needs {worst.used:,d} of {worst.limit:,d} {worst.unit}, {worst.over:,d} over"
        + (f", at section {over.section}" if over else ""),
        f"limit from {worst.source}",
        *verdict.hints[:1],
    ]
    return "; ".join(parts)


def _section_over(core, usage):
    stacked = 0
    for name in SECTIONS:
        stacked += core.sections.get(name, 0)
        if stacked > usage.limit:
            break
    largest = sorted(core.sections.items(), key=lambda item: -item[1])[:3]
    return SectionOver(core.id, name, usage.over, tuple(largest))


def _not_modelled(profile):
    notes = []
    native = profile.limits.weight_bits_native
    if native is not None:
        notes.append(f"weight_bits_native {native.max.value}: training uses wider weights (float32)")
    if not has_words(profile):
        notes.append(f"address labels of {profile.synapse_word.label_bits.value} bits: which pre neurons can share a row of the array")
    elif profile.storage.shared_used:
        notes.append("shared_bytes: only local memory is filled, nothing spills into the shared memory")
    spilling = [name for name in KNOWN_LIMITS if getattr(getattr(profile.limits, name), "action", None) == "spill"]
    notes += [f"{name}: spilling beyond the limit, which is refused here" for name in spilling]
    upper = [name for name in ("in_axons_per_core", "out_axons_per_core", "routing_entries") if getattr(profile.limits, name) is not None]
    notes += [f"{name}: which pairs are connected; the use is an upper bound" for name in upper]
    return notes
