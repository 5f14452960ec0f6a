"""What figures and pages of a sweep share: series, fronts, where a chip stops fitting, what binds first."""

from dataclasses import dataclass

from neurosim.results.metrics import CHOSEN
from neurosim.results.sweep import LimitUse, Summary

#: Keys that set how many synapses a network has.
BUDGET_KEYS = {"network.connectivity", "network.synapses"}
PROFILE_KEY = "hardware.profile"
RULE_KEY = "rewiring.rule"
#: From so many seeds on a mean says more than the points.
FEW_SEEDS = 3


@dataclass(frozen=True)
class Series:
    """The groups of one curve, in the order of their synapses: one chip, one choice on every axis but the budget's."""

    label: str
    profile: str
    groups: list[Summary]

    @property
    def done(self):
        """Groups with an accuracy."""
        return [group for group in self.groups if "test_accuracy" in group.metrics]

    @property
    def first_unfit(self):
        """The smallest group that fits with no seed; None when all fit."""
        return next((group for group in self.groups if group.n_unfit and not group.n_done), None)


def series_of(record):
    """Curves of a sweep.

    Parameters
    ----------
    record : SweepRecord

    Returns
    -------
    list of Series
    """
    budget = _budget_keys(record)
    found = {}
    for group in record.summary:
        others = {key: value for key, value in group.overrides.items() if key not in budget and key != PROFILE_KEY}
        label = ", ".join([group.profile, *(f"{key.rpartition('.')[2]} {_short(value)}" for key, value in others.items())])
        found.setdefault(label, []).append(group)
    return [Series(label, groups[0].profile, sorted(groups, key=n_synapses)) for label, groups in found.items()]


def n_synapses(group):
    """Synapses of a group, 0 when unknown."""
    found = group.metrics.get("n_active")
    return found.mean if found else 0


def score_of(group):
    """Mean accuracy by which a setting is chosen: on the validation set where there is one, else on the test set."""
    return group.metrics.get("validation_accuracy", group.metrics["test_accuracy"]).mean


def pareto_front(points):
    """Points that no other one beats: none has less cost and as much gain, or as little cost and more gain.

    Parameters
    ----------
    points : iterable of (cost, gain, what)

    Returns
    -------
    list of (cost, gain, what)
        By rising cost.
    """
    front = []
    for point in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


@dataclass(frozen=True)
class Binding:
    """Which limit stops a series: `limit` is exceeded at `group`, or, with `is_reached` false, only the fullest one there."""

    series: Series
    limit: LimitUse
    group: Summary
    is_reached: bool

    @property
    def last(self):
        """Largest group that fits, or None."""
        return self.series.done[-1] if self.series.done else None


def bindings_of(record):
    """For each series, the limit that binds first.

    Returns
    -------
    list of Binding
        Without the series for which nothing is known.
    """
    found = []
    for series in series_of(record):
        unfit = series.first_unfit
        known = [(group, limits) for group in series.groups if (limits := limits_at(record, group))]
        if unfit is not None:
            violated = [p.violation for p in record.points if p.group == unfit.group and p.violation]
            broken = [use for use in limits_at(record, unfit) if use.used > use.limit and use.name not in CHOSEN]
            # What is chosen stops a series only where nothing else does.
            if violation := next(iter([*(v for v in violated if v.name not in CHOSEN), *broken, *violated]), None):
                found.append(Binding(series, violation, unfit, True))
                continue
        if known:
            # Of groups with as many synapses, on chips of other numbers, the one that is nearest to a limit.
            most = n_synapses(known[-1][0])
            uses = [(use, group) for group, limits in known if n_synapses(group) == most for use in limits if use.name not in CHOSEN]
            if uses:
                use, group = max(uses, key=lambda pair: pair[0].used / max(1, pair[0].limit))
                found.append(Binding(series, use, group, False))
    return found


def dense_group(record):
    """The finished group of best accuracy that has every possible connection: what sparse ones are held against; None without one."""
    dense = [g for s in series_of(record) for g in s.done if (share := g.metrics.get("connectivity")) and share.mean >= 1]
    return max(dense, key=lambda group: group.metrics["test_accuracy"].mean, default=None)


def chance_level(record, runs=()):
    """Accuracy of a guess among equally frequent classes: a fraction, or None where the number of classes is not known."""
    layers = record.base.get("network", {}).get("layers") if isinstance(record.base.get("network"), dict) else None
    n_classes = runs[0].dataset.n_classes if runs else layers[-1] if isinstance(layers, list) and layers else None
    return 1 / n_classes if isinstance(n_classes, int) and n_classes > 0 else None


def possible(estimate):
    """Interval of a mean accuracy, clipped to what an accuracy can be; None where it has none, or too few seeds for one."""
    if estimate.low is None or estimate.n < FEW_SEEDS:
        return None
    return max(estimate.low, 0.0), min(estimate.high, 1.0)


def spread_text(estimate):
    """Mean accuracy in per cent with the half-width of its 95 % interval: ``"97.22 ± 1.10"``; without, where the seeds are too few for one."""
    return f"{100 * estimate.mean:.2f}" + ("" if possible(estimate) is None else f" ± {100 * (estimate.high - estimate.mean):.2f}")


def setting_text(group, keys, is_short=False):
    """What a group sets, in words: ``"network.connectivity 0.3, training.epochs 2"``, or ``"connectivity 0.3, epochs 2"``; empty without axes."""
    return ", ".join(f"{key.rpartition('.')[2] if is_short else key} {_short(group.overrides[key])}" for key in keys if key in group.overrides)


def limits_at(record, group):
    """Limits of a group's first point that knows them, fullest first; empty when none does."""
    return next((point.limits for point in record.points if point.group == group.group and point.limits), [])


def _budget_keys(record):
    """Keys of the axis along which a curve runs: that of the synapses, else the longest one that is not the chip's."""
    axes = [axis for axis in record.axes if PROFILE_KEY not in axis.keys]
    chosen = [axis for axis in axes if BUDGET_KEYS & set(axis.keys)] or sorted(axes, key=lambda axis: -len(axis.values))[:1]
    # Beside the chip's own key, an axis of chips may set others, such as its cores: they follow from the chip.
    chips = [axis for axis in record.axes if PROFILE_KEY in axis.keys]
    keys = {key for axis in (*chosen, *chips) for key in axis.keys}
    # A list that sets a rule beside its synapses has a curve for each rule.
    return keys - {RULE_KEY} if BUDGET_KEYS & keys else keys


def _short(value):
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."
