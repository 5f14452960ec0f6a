"""report.html of a sweep: the curves, what binds first, every point with its status and reason."""

from neurosim.documents import dump_yaml
from neurosim.reports.facts import assumed_text, bytes_text, missing_energy, percent_text, typeset, words
from neurosim.reports.page import PageTable, Tile, count_cell, joules_cell, render_page
from neurosim.reports.run_page import price_notes, price_table
from neurosim.reports.sweep_facts import (
    FEW_SEEDS, PROFILE_KEY, bindings_of, chance_level, dense_group, n_synapses, pareto_front, possible, score_of, series_of, setting_text,
)  # fmt: skip
from neurosim.reports.sweep_figure_limits import sentence
from neurosim.units import format_bytes, format_si

#: Anchor and heading of each section, in order.
SECTIONS = (
    ("curves", "Accuracy against cost"),
    ("binding", "What binds first"),
    ("groups", "Means over seeds"),
    ("points", "Points"),
    ("prices", "Prices and sources"),
    ("scenario", "Base scenario"),
    ("environment", "Environment"),
)
#: Series that the first screen tells of.
MOST_LINES = 5
_STATUSES = {"done": "done", "unfit": "does not fit", "failed": "failed", "missing": "not run yet"}


def render_sweep_page(record, figures, runs=()):
    """Page of a sweep.

    Parameters
    ----------
    record : SweepRecord
    figures : dict of str to Drawing
    runs : sequence of RunRecord
        One finished run of each chip, whose prices and sources are shown.

    Returns
    -------
    str
    """
    bindings = bindings_of(record)
    n_seeds = len(record.seeds)
    return render_page(
        "sweep.html",
        figures,
        title=record.name,
        source="sweep.json",
        sections=SECTIONS,
        description=record.description,
        answer=answer(record, chance_level(record, runs)),
        tiles=_tiles(record),
        curves_text=_curves_text(record),
        best=_best_settings(record, bindings),
        energy_bound=_energy_bound(record, runs),
        binding_sentences=[f"{sentence(binding)}." for binding in bindings],
        bindings=_bindings(bindings),
        groups_text=(
            f"Each row is the mean over the seeds that finished, of {n_seeds}; brackets hold the 95 % confidence interval (Student's t)."
            if n_seeds >= FEW_SEEDS
            else f"Each row is the mean over the seeds that finished, of {n_seeds}: too few for an interval; the points are below."
            if n_seeds > 1
            else "One seed: no interval is known."
        ),
        groups=_groups(record),
        points_text=_points_text(record),
        points=_points(record),
        prices=[_chip_prices(run) for run in runs],
        seeds=", ".join(map(str, record.seeds)),
        axes_yaml=dump_yaml({"axes": [axis.values for axis in record.axes]}),
        base_yaml=dump_yaml(record.base),
        environment=_environment(record),
    )


def answer(record, chance=None):
    """The sweep in few lines: the best point of each series, best first, and what stops it; then what to hold it against."""
    best = _best(record)
    never = [series.label for series in series_of(record) if not series.done and series.first_unfit]
    if not best and not never:
        return f"No point of {len(record.points):,d} has finished with a result yet."
    stops = {binding.series.label: binding for binding in bindings_of(record)}
    sentences = []
    for series, group in best[:MOST_LINES]:
        text = f"{series.label}: up to {100 * group.metrics['test_accuracy'].mean:.2f} % with {n_synapses(group):,.0f} synapses"
        memory = group.metrics.get("bytes_per_core_max")
        text += f" in {format_bytes(memory.mean)} of the fullest core" if memory else ""
        binding = stops.get(series.label)
        text += f"; {words(binding.limit.name)} stops it" if binding and binding.is_reached else "; nothing stops it in this sweep"
        sentences.append(text + ".")
    more = [f"{len(best) - MOST_LINES} more series below."] if len(best) > MOST_LINES else []
    return "\n".join(sentences + more + ([f"No point fits: {', '.join(never)}."] if never else []) + _references(record, best, chance))


def _references(record, best, chance):
    """The best setting, the dense network, and what a guess would reach: a line, or none."""
    parts = []
    if best and (setting := setting_text(best[0][1], record.keys)):
        parts.append(f"Best setting: {setting}.")
    if dense := dense_group(record):
        parts.append(f"Dense reference: {percent_text(dense.metrics['test_accuracy'].mean)} on {dense.profile}.")
    if chance:
        parts.append(f"Chance: {percent_text(chance)}.")
    return [" ".join(parts)] if parts and best else []


def _best(record):
    """(series, its best group), best first; chosen on the validation set where there is one."""
    found = [(s, max(s.done, key=score_of)) for s in series_of(record) if s.done]
    return sorted(found, key=lambda pair: -score_of(pair[1]))


def _tiles(record):
    best = _best(record)
    count = {status: record.count(status) for status in _STATUSES}
    tiles = [
        Tile(
            "Points", f"{len(record.points):,d}", f"{len(record.summary):,d} settings, {len(record.seeds)} seed{'s' * (len(record.seeds) != 1)} each"
        ),
        Tile("Done", f"{count['done']:,d}", f"{count['missing']:,d} not run yet" if count["missing"] else "trained to the end"),
        Tile("Does not fit", f"{count['unfit']:,d}", "refused before training"),
        Tile("Failed", f"{count['failed']:,d}", "training diverged or broke" if count["failed"] else "none", bool(count["failed"])),
    ]
    if best:
        series, group = best[0]
        tiles.append(Tile("Best mean accuracy", percent_text(group.metrics["test_accuracy"].mean), series.label))
        cheap = _cheapest_near(record, group.metrics["test_accuracy"].mean)
        if cheap:
            tiles.append(Tile("Within 1 % of it", f"{n_synapses(cheap):,.0f}", f"synapses on {cheap.profile}, the fewest"))
    return tiles


def _cheapest_near(record, best, margin=0.01):
    """Group with the fewest synapses whose mean accuracy is at most `margin` below the best."""
    near = [g for s in series_of(record) for g in s.done if g.metrics["test_accuracy"].mean >= best - margin]
    return min(near, key=n_synapses, default=None)


def _curves_text(record):
    groups = [g for s in series_of(record) for g in s.done if "n_active" in g.metrics]
    front = pareto_front((n_synapses(g), g.metrics["test_accuracy"].mean, g) for g in groups)
    if not front:
        return "No point has finished with a result yet."
    first, last = front[0], front[-1]
    return (
        f"On the Pareto front no other point has both fewer synapses and more accuracy: it runs from "
        f"{100 * first[1]:.2f} % with {first[0]:,.0f} to {100 * last[1]:.2f} % with {last[0]:,.0f} synapses of the whole network."
    )


def _best_settings(record, bindings):
    """The best setting of each series, best first, and what stops it."""
    table = PageTable(
        "Best setting of each series", "=series", "test accuracy", "synapses", "memory/core", "energy/sample", "=setting", "=stopped by"
    )
    stops = {binding.series.label: words(binding.limit.name) for binding in bindings if binding.is_reached}
    for series, group in _best(record):
        metrics = group.metrics
        table.row(
            series.label,
            _estimate(metrics["test_accuracy"], lambda v: f"{100 * v:.2f}", " %", ends=possible),
            count_cell(round(n_synapses(group))),
            _estimate(metrics.get("bytes_per_core_max"), format_bytes),
            _estimate(metrics.get("energy_per_sample_j"), _joules_text, bound=group.energy_is_complete is False, ends=lambda found: None),
            setting_text(group, [key for key in record.keys if key != PROFILE_KEY], is_short=True),
            stops.get(series.label, "nothing in this sweep"),
        )
    return table


def _energy_bound(record, runs):
    """Why energies are lower bounds, chip by chip; None when all are complete."""
    if not any(group.energy_is_complete is False for group in record.summary):
        return None
    reasons = [
        f"{run.profile.name}: {missing}{f', {assumed}' if (assumed := assumed_text(run)) else ''}" for run in runs if (missing := missing_energy(run))
    ]
    return "; ".join(reasons) + "." if reasons else "Part of what happened has no price."


def _bindings(bindings):
    table = PageTable(
        "The limit that binds first, or the fullest one where nothing binds",
        "=series", "=limit", "=binds", "used", "allowed", "=unit", "share", "largest that fits", "first that does not", "=from",
    )  # fmt: skip
    for binding in bindings:
        limit, share = binding.limit, binding.limit.used / max(1, binding.limit.limit)
        table.row(
            binding.series.label,
            words(limit.name),
            "yes" if binding.is_reached else "not here",
            count_cell(limit.used),
            count_cell(limit.limit),
            limit.unit,
            (f"{100 * share:.1f} %", share),
            count_cell(round(n_synapses(binding.last)) if binding.last else None),
            count_cell(round(n_synapses(binding.group)) if binding.is_reached else None),
            limit.source,
        )
    return table


def _groups(record):
    keys = record.keys
    table = PageTable(
        "Settings, mean over seeds", *(f"={_last(key)}" for key in keys), *([] if "hardware.profile" in keys else ["=chip"]),
        "done", "test accuracy", "synapses", "synapses/core", "memory/core", "energy/sample", "traffic/sample", "=status",
    )  # fmt: skip
    for group in record.summary:
        metrics = group.metrics
        table.row(
            *(_value(group.overrides.get(key)) for key in keys),
            *([] if "hardware.profile" in keys else [group.profile]),
            (f"{group.n_done}/{group.n_points}", group.n_done),
            _estimate(metrics.get("test_accuracy"), lambda v: f"{100 * v:.2f}", " %", ends=possible),
            *(_estimate(metrics.get(name), lambda v: f"{v:,.0f}") for name in ("n_active", "synapses_per_core_max")),
            _estimate(metrics.get("bytes_per_core_max"), format_bytes),
            _estimate(metrics.get("energy_per_sample_j"), _joules_text, bound=group.energy_is_complete is False),
            _estimate(metrics.get("traffic_per_sample_bytes"), bytes_text),
            _group_status(group),
            kind="bad" if group.n_unfit or group.n_failed else "todo" if group.n_missing else "",
        )
    return table


def _group_status(group):
    parts = [f"{n} {_STATUSES[s]}" for s in _STATUSES if s != "done" and (n := getattr(group, f"n_{s}"))]
    return ", ".join(parts) + (f": {group.reason}" if group.reason else "") if parts else "done"


def _points_text(record):
    counts = [(record.count(status), words_) for status, words_ in _STATUSES.items()]
    parts = [f"{n:,d} {'do not fit' if n > 1 and words_ == _STATUSES['unfit'] else words_}" for n, words_ in counts if n]
    return f"{', '.join(parts)}. The run of a point lies in the folder points/ under its name; neurosim report writes a page of its own for it."


def _points(record):
    keys = record.keys
    table = PageTable(
        "Every point with its status", "=point", *(f"={_last(key)}" for key in keys), "seed", "=status", "test accuracy", "synapses",
        "synapses/core", "memory/core", "energy/sample", "traffic/sample", "=reason",
    )  # fmt: skip
    for point in record.points:
        m = point.metrics
        table.row(
            point.id[:12],
            *(_value(point.overrides.get(key)) for key in keys),
            count_cell(point.seed),
            _STATUSES[point.status],
            (percent_text(m.test_accuracy), m.test_accuracy),
            count_cell(m.n_active),
            count_cell(m.synapses_per_core_max),
            ("" if m.bytes_per_core_max is None else format_bytes(m.bytes_per_core_max), m.bytes_per_core_max),
            ("", None) if m.energy_per_sample_j is None else joules_cell(m.energy_per_sample_j, m.energy_is_complete is False),
            ("" if m.traffic_per_sample_bytes is None else bytes_text(m.traffic_per_sample_bytes), m.traffic_per_sample_bytes),
            point.reason,
            kind={"done": "", "missing": "todo"}.get(point.status, "bad"),
        )
    return table


def _chip_prices(run):
    profile = run.profile
    return {
        "title": f"{profile.name}: {profile.title}",
        "price_set": profile.price_set,
        "accounting": profile.accounting,
        "table": price_table(profile.prices, f"Prices and durations of {profile.name}"),
        "notes": price_notes(profile.prices),
    }


def _environment(record):
    table = PageTable("What it was computed with", "=what", "=which")
    for name, value in record.environment.items():
        table.row(words(name), value)
    table.row("record", record.schema_)
    return table


def _interval(found):
    """Interval of a mean of what cannot be negative; None with too few seeds."""
    return None if found.low is None or found.n < FEW_SEEDS else (max(found.low, 0.0), found.high)


def _estimate(found, form, unit="", bound=False, ends=_interval):
    """Cell of a mean with its interval."""
    if found is None:
        return ("", None)
    text = ("≥ " if bound else "") + form(found.mean)
    if (interval := ends(found)) and form(interval[0]) != form(interval[1]):
        text += f" [{form(interval[0])}, {form(interval[1])}]"
    return (text + unit, found.mean)


def _joules_text(value):
    return typeset(format_si(value, "J"))


def _last(key):
    return key.rpartition(".")[2]


def _value(value):
    return "" if value is None else "[" + ", ".join(map(str, value)) + "]" if isinstance(value, (list, tuple)) else str(value)
