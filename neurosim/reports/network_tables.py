"""Tables of networks from elsewhere: on one chip, on many chips, and what inference gave and cost."""

from neurosim.reports.facts import words
from neurosim.reports.rich_parts import Grid, bullets, heading, line, pairs, percent
from neurosim.reports.survey_table import refusals
from neurosim.reports.verdict_table import print_verdict
from neurosim.units import format_bytes, format_count, format_si


def print_deployment(console, name, what, facts):
    """Print a verdict on a given network.

    Parameters
    ----------
    console : rich.console.Console
    name, what : str
        Of its file, and the network in a few words.
    facts : dict
        From `Deployment.to_dict`.
    """
    line(console, (name, "bold"), f"  {what}; weights as {facts['weight_format']}, positions as given")
    print_verdict(console, facts)
    heading(console, "when each neuron sends one value", routes_text(facts["routes"]))


def routes_text(routes):
    """Where packets go, in words."""
    if not routes["packets"]:
        return "no packet leaves a core"
    text = f"{routes['packets']:,d} packets to other cores"
    if routes["packets_offchip"]:
        text += f", {routes['packets_offchip']:,d} of them to other chips"
    if "hops" in routes:
        text += f", {routes['hops']:,d} hops, {routes['most_hops']:,d} at most for one"
    return text


def print_deployments(console, name, what, rows):
    """Print `scenario.deploy.survey_network`: chips on which the network fits first."""
    n = sum(row.state == "fits" for row in rows)
    line(console, (name, "bold"), f"  {what}: fits {n} of {len(rows)} chips")
    grid = Grid("=chip", "=", "cores", "=weights", "=fullest limit", "=used", "packets", "hops")
    order = {"fits": 0, "does not fit": 1, "cannot run": 2}
    rows = sorted(rows, key=lambda row: order[row.state])
    for row in rows:
        if row.state == "cannot run":
            continue
        use = row.fullest or {}
        limit = (words(use["name"]), f"{use['used']:,d} of {format_count(use['limit'])}, {percent(use['used'], use['limit'])}") if use else ("", "")
        cores = f"{format_count(row.n_cores)} of {format_count(row.n_chip_cores)}"
        grid.row(row.profile, row.state, cores, row.weight_format, *limit, f"{row.routes['packets']:,d}", _of(row.routes, "hops"))
    grid.print(console)
    if stopped := [row for row in rows if row.state == "cannot run"]:
        bullets(console, refusals(stopped))
    line(console, "packets: to other cores when each neuron sends one value; hops where the profile says where tiles lie")


def _of(routes, name):
    return f"{routes[name]:,d}" if name in routes else ""


def print_inference(console, name, what, found):
    """Print an `Inference`."""
    line(console, (name, "bold"), f"  {what}, on {found.profile}")
    energy, time = found.energy["per_sample_j"], found.time["per_sample_s"]
    traffic = found.traffic_bytes
    rows = [
        ("accuracy", f"{found.accuracy:.2%} of {found.n_samples:,d} samples of {found.dataset}, weights as {found.weight_format}"),
        ("with the weights as given", f"{found.accuracy_given:.2%}; {found.n_rounded:,d} rounded, {found.n_saturated:,d} beyond the range"),
        ("traffic a sample", f"{format_bytes(traffic['read'] / found.n_samples)} read, {format_bytes(traffic['write'] / found.n_samples)} written"),
        ("energy a sample", "no price is known" if energy is None else f"{_at_least(found.energy)}{format_si(energy, 'J')}"),
        ("time a sample", "not modelled" if time is None else f"{'' if found.time['complete'] else 'at least '}{format_si(time, 's')}"),
        ("events", ", ".join(f"{words(kind)} {n:,d}" for kind, n in found.events.items())),
    ]
    pairs(console, rows)
    if found.energy["unpriced"]:
        line(console, f"without a price: {', '.join(map(words, found.energy['unpriced']))}")


def _at_least(energy):
    return "" if energy["complete"] else "at least "
