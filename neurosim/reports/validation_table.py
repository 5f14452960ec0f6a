"""What `neurosim validate` prints."""

from neurosim.reports.rich_parts import Grid, Sources, bullets, heading, line
from neurosim.units import format_count, format_si

_STYLE = {"outside": "bold red", "not resolved": "bold yellow"}


def print_law(console, result):
    """Print the result of a law of DEEP R, hard or soft."""
    (print_soft if result["case"] == "soft_deep_r" else print_posterior)(console, result)


def print_posterior(console, result):
    """Print inclusion probabilities and means beside theory.

    Parameters
    ----------
    console : rich.console.Console
    result : dict
        Of `validation.posterior.validate_posterior`.
    """
    setting = f"T = {result['temperature']:g}, eta = {result['step_size']:g}, {len(result['positions'])} positions"
    line(console, (f"Hard DEEP R, K = {result['active']}", "bold"), f"  {setting}")
    copies, steps = format_count(result["copies"]), format_count(result["steps"])
    line(console, f"{copies} copies x {steps} steps through the synapse store, {format_count(result['exchanged'])} exchanges")
    heading(console, "probability of being active")
    _grid(console, result["positions"], ("theory", "finite_step"), "theory")
    heading(console, "mean theta of the active")
    _grid(console, [{"drift": p["drift"], **p["theta"]} for p in result["positions"]], ("theory", "corrected", "finite_step"), "finite_step")
    console.print()
    bullets(
        console,
        [
            f"Band: within {result['band']:.3g} of theory, the limit of small steps. The known bias of the finite step is part of that.",
            "theory of the mean: T/mu; corrected: T/mu - 0.5826 sqrt(2 eta T).",
            f"finite step: the exact law at this step size; simulated values must lie within {result['sigmas']} standard errors of it.",
        ],
    )
    _print_verdict(console, result)


def print_soft(console, result):
    """Print the probability of being active and the mean theta of soft DEEP R beside theory.

    Parameters
    ----------
    console : rich.console.Console
    result : dict
        Of `validation.soft.validate_soft`.
    """
    setting = ", ".join(f"{name} = {result[key]:g}" for name, key in _SOFT_SETTING)
    line(console, ("soft DEEP R, one connection, no loss", "bold"), f"  {setting}")
    line(console, f"{format_count(result['copies'])} copies x {format_count(result['steps'])} steps through the synapse store and the rule")
    console.print()
    grid = Grid("=quantity", "theory", "corrected", "finite step", "simulated", "std error", "less finite step", "=verdict")
    for name, row in (("probability of being active", result["active"]), ("mean theta of the active", result["theta"])):
        corrected = f"{row['corrected']:.4f}" if "corrected" in row else ""
        numbers = [f"{row[key]:.4f}" for key in ("finite_step", "simulated", "standard_error")]
        less = f"{row['simulated'] - row['finite_step']:+.4f}"
        grid.row(name, f"{row['theory']:.4f}", corrected, *numbers, less, "inside" if row["inside"] else "outside")
    grid.print(console)
    console.print()
    bullets(
        console,
        [
            f"Band: the probability within {result['band']:.3g} of theory, (T/alpha) / (T/alpha + |theta_min|), the limit of small steps.",
            "corrected: |theta_min| + 0.5826 sqrt(2 eta T) in its place, since a step is cut off at theta_min and not reflected.",
            f"finite step: the exact law at this step size; simulated values must lie within {result['sigmas']} standard errors of it.",
        ],
    )
    _print_verdict(console, result)


def _print_verdict(console, result):
    line(console, ("verdict: ", "bold"), (result["verdict"], _STYLE.get(result["verdict"], "bold green")))
    if result["verdict"] == "not resolved":
        line(console, "The standard error is more than a fifth of the band: give more --steps.")


_SOFT_SETTING = (("p", "fraction"), ("alpha", "l1"), ("T", "temperature"), ("eta", "step_size"), ("theta_min", "theta_min"))


def _grid(console, rows, theories, compared):
    grid = Grid("drift", *(name.replace("_", " ") for name in theories), "simulated", "std error", f"less {compared.replace('_', ' ')}", "=verdict")
    for row in rows:
        simulated, error = row["simulated"], row["standard_error"]
        values = ["never active", "", ""] if simulated is None else [f"{simulated:.4f}", f"{error:.4f}", f"{simulated - row[compared]:+.4f}"]
        grid.row(f"{row['drift']:g}", *(f"{row[name]:.4f}" for name in theories), *values, "inside" if row["inside"] else "outside")
    grid.print(console)


def print_published(console, rows):
    """Print every published figure beside ours, then what the figures do and do not show.

    Parameters
    ----------
    console : rich.console.Console
    rows : list of dict
        Of `validation.published.validate_published`.
    """
    line(console, ("Published results", "bold"), "  predicted by the code that accounts for runs")
    grid, sources = Grid("#", "<claim", "published", "=from", "ours", "error", "band", "=independent", "=verdict"), Sources()
    for row in rows:
        cited = sources.cite(row["source"]) if row["source"] else ""
        grid.row(row["number"], f"{row['title']}: {row['point']}", *figures(row, cited), row["independent"], row["verdict"])
    grid.print(console)
    sources.print(console)
    console.print()
    bullets(console, remarks(rows))
    wrong = [row for row in rows if not row["holds"]]
    verdict = f"{len(wrong)} of {len(rows)} outside" if wrong else f"all {len(rows)} as they must be"
    line(console, ("verdict: ", "bold"), (verdict, "bold red" if wrong else "bold green"))


def figures(row, cited):
    """Texts of one row: published, source, ours, error, band."""
    unit = row["unit"] or ("B" if isinstance(row["ours"], int) else "")
    error = "" if row["error"] is None else f"{row['error']:+.1%}".replace("%", " %")
    band = "" if row["band"] is None else "{:+g} to {:+g} %".format(*(100 * end for end in row["band"]))
    return _value(row["published"], unit), cited, _value(row["ours"], unit), error, band


def _value(value, unit):
    if value is None:
        return ""
    if unit in ("B", "entries"):
        return f"{round(value):,d} {unit}"
    return f"{value:.3g}" if unit in ("", "1") else format_si(value, unit)


def remarks(rows):
    """Explanations of the cases and notes of their points, once each, with the number of the case."""
    texts = []
    for row in rows:
        if row["explanation"]:
            texts.append(f"{row['number']}: {row['explanation']}")
        if row["not_covered"]:
            texts.append(f"{row['number']}, not covered: {row['not_covered']}")
        if row["note"]:
            texts.append(f"{row['number']}, {row['point']}: {row['note']}")
    return list(dict.fromkeys(texts))
