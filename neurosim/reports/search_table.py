"""A search on the console: its answer, and its trials in order."""

from neurosim.reports.rich_parts import Grid, bullets, heading, line
from neurosim.reports.sweep_facts import spread_text
from neurosim.units import format_bytes, format_count, format_si

#: What the cost is called in tables and figures.
COST_NAMES = {"bytes": "memory", "energy": "energy/sample", "cores": "cores"}
OUTCOMES = {"reaches": "reaches", "misses": "misses", "unfit": "does not fit", "failed": "diverged", "missing": "not run yet"}


def print_search(console, record):
    """Print a search.

    Parameters
    ----------
    console : rich.console.Console
    record : SearchRecord
    """
    line(console, (record.name, "bold"), f"  {answer_text(record)}")
    bullets(console, [effort_text(record), *record.notes])
    grid = Grid(
        "trial", *(f"={key.rpartition('.')[2]}" for key in record.keys), "validation accuracy %", "seeds", COST_NAMES[record.minimize], "=", "<why"
    )
    for trial in record.trials:
        grid.row(
            trial.number,
            *(value_text(trial.overrides.get(key)) for key in record.keys),
            spread_text(trial.accuracy) if trial.accuracy else "",
            trial.n_runs or "",
            cost_text(record, trial.cost),
            "the answer" if trial.number == record.answer else OUTCOMES[trial.outcome],
            trial.why,
        )
    heading(console, "trials", "mean over seeds ± 95 % interval of the mean (Student's t)")
    grid.print(console)


def answer_text(record):
    """What was found, in one sentence or two."""
    target = f"{100 * record.target:g} %"
    best = record.best
    if best is None:
        return f"no setting reaches {target} on the validation set" if record.is_complete else f"nothing that reaches {target} yet"
    setting = ", ".join(f"{key} {value_text(best.overrides.get(key))}" for key in record.keys)
    text = f"{cost_text(record, best.cost)} for {target}: {setting}; validation accuracy {spread_text(best.accuracy)} %"
    if record.test_accuracy:
        return f"{text}, test accuracy {spread_text(record.test_accuracy)} %"
    return text if record.is_complete else f"{text}; the search is not over"


def effort_text(record):
    """How much was trained for it."""
    n = record.n_runs
    text = f"{n:,d} run{'s' * (n != 1)} in {len(record.trials):,d} trials"
    return text if record.n_exhaustive is None else f"{text}; a sweep over all values of the budget that fit would take {record.n_exhaustive:,d}"


def cost_text(record, cost):
    """What is minimized, with its unit."""
    if cost is None:
        return ""
    if record.minimize == "bytes":
        return f"{round(cost):,d} B" if cost < 2**20 else format_bytes(cost)
    if record.minimize == "energy":
        return format_si(cost, "J")
    return format_count(round(cost)) if cost == round(cost) else f"{cost:.1f}"


def value_text(value):
    """A value of a key as people read it."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
