"""One network on many chips as a table: one row each."""

from neurosim.reports.facts import words
from neurosim.reports.rich_parts import Grid, bullets, line, percent
from neurosim.units import format_bytes, format_count


def print_survey(console, scenario, rows, note=""):
    """Print `neurosim.scenario.survey.survey`: chips on which the network fits first.

    Parameters
    ----------
    console : rich.console.Console
    scenario : Scenario
    rows : list of ChipRow
    note : str
        What holds for some chips only.
    """
    n = sum(row.state == "fits" for row in rows)
    line(console, (scenario.name, "bold"), f"  fits {n} of {len(rows)} chips")
    grid = Grid("=chip", "=", "=learns", "cores", "=fullest limit", "use", "fullest core", "largest")
    order = {"fits": 0, "does not fit": 1, "cannot run": 2}
    rows = sorted(rows, key=lambda row: order[row.state])
    for row in rows:
        if row.state == "cannot run":
            continue
        use = row.fullest
        cores = "" if row.n_cores is None else f"{format_count(row.n_cores)} of {format_count(row.n_chip_cores)}"
        limit = ("", "") if use is None else (words(use["name"]), percent(use["used"], use["limit"]))
        size = "" if row.n_bytes is None else format_bytes(row.n_bytes)
        grid.row(row.profile, row.state, row.learning, cores, *limit, size, _largest(row))
    grid.print(console)
    if stopped := [row for row in rows if row.state == "cannot run"]:
        bullets(console, refusals(stopped))
    if note:
        line(console, note)
    if any(row.fullest and row.state == "fits" and row.fullest["used"] > row.fullest["limit"] for row in rows):
        line(console, "use above 100 %: the limit is kept at every step, and slots without a position stay dormant")
    line(console, "largest: connectivity of the network, alike for all matrices, that all its cores hold whatever is drawn")


def refusals(rows):
    """Why chips cannot run a network, each reason once with the chips that have it: list of str. `rows` : with `profile` and `reason`."""
    by_reason = {}
    for row in rows:
        by_reason.setdefault(row.reason.replace(row.profile, "the chip"), []).append(row)
    return [
        f"{', '.join(row.profile for row in alike)} cannot run it: {alike[0].reason if len(alike) == 1 else reason}"
        for reason, alike in by_reason.items()
    ]


def _largest(row):
    if row.largest is None:
        return ""
    if not row.largest:
        return "none"
    share = 100 * row.largest_connectivity
    return f"{share:.3g} %"
