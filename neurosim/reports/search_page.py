"""report.html of a search: the answer, the trail, every trial and run."""

from neurosim.documents import dump_yaml
from neurosim.reports.facts import percent_text
from neurosim.reports.page import PageTable, Tile, count_cell, render_page
from neurosim.reports.search_table import COST_NAMES, OUTCOMES, answer_text, cost_text, effort_text, value_text
from neurosim.reports.sweep_facts import spread_text

SECTIONS = (("trail", "Trail"), ("trials", "Trials"), ("scenario", "Base scenario"))


def render_search_page(record, figures):
    """Page of a search.

    Parameters
    ----------
    record : SearchRecord
    figures : dict of str to Drawing

    Returns
    -------
    str
    """
    return render_page(
        "search.html",
        figures,
        title=record.name,
        source="search.json",
        sections=SECTIONS,
        description=record.description,
        answer=f"{answer_text(record)}.",
        tiles=_tiles(record),
        notes=[*record.notes, "Settings are judged on the validation set; the test set is read once, for the answer."],
        trials=_trials(record),
        space_yaml=dump_yaml({"budget": record.budget, "vary": record.vary, "seeds": record.seeds}),
        base_yaml=dump_yaml(record.base),
    )


def _tiles(record):
    best = record.best
    tiles = [
        Tile(
            f"Least {record.minimize}", cost_text(record, best.cost) if best else "none found", f"for {100 * record.target:g} % on the validation set"
        ),
        Tile("Runs", f"{record.n_runs:,d}", f"in {len(record.trials):,d} trials"),
    ]
    if record.n_exhaustive is not None:
        tiles.append(Tile("A full sweep", f"{record.n_exhaustive:,d}", "runs, over every value of the budget that fits"))
    if record.test_accuracy:
        tiles.append(Tile("Test accuracy", percent_text(record.test_accuracy.mean), "of the answer, read once"))
    return tiles


def _trials(record):
    headers = [f"={key.rpartition('.')[2]}" for key in record.keys]
    table = PageTable(effort_text(record), "trial", *headers, "validation accuracy", "seeds", COST_NAMES[record.minimize], "=outcome", "=why")
    for trial in record.trials:
        table.row(
            count_cell(trial.number),
            *(value_text(trial.overrides.get(key)) for key in record.keys),
            (f"{spread_text(trial.accuracy)} %", trial.accuracy.mean) if trial.accuracy else ("", None),
            count_cell(trial.n_runs),
            (cost_text(record, trial.cost), trial.cost),
            "the answer" if trial.number == record.answer else OUTCOMES[trial.outcome],
            trial.why,
            kind="bad" if trial.outcome in ("unfit", "failed") else "",
        )
    return table
