"""What `neurosim validate` prints."""

from neurosim.reports.rich_parts import Grid, bullets, heading, line
from neurosim.units import format_count

_STYLE = {"outside": "bold red", "not resolved": "bold yellow"}


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
    line(console, ("verdict: ", "bold"), (result["verdict"], _STYLE.get(result["verdict"], "bold green")))
    if result["verdict"] == "not resolved":
        line(console, "The standard error is more than a fifth of the band: give more --steps.")


def _grid(console, rows, theories, compared):
    grid = Grid("drift", *(name.replace("_", " ") for name in theories), "simulated", "std error", f"less {compared.replace('_', ' ')}", "=verdict")
    for row in rows:
        simulated, error = row["simulated"], row["standard_error"]
        values = ["never active", "", ""] if simulated is None else [f"{simulated:.4f}", f"{error:.4f}", f"{simulated - row[compared]:+.4f}"]
        grid.row(f"{row['drift']:g}", *(f"{row[name]:.4f}" for name in theories), *values, "inside" if row["inside"] else "outside")
    grid.print(console)
