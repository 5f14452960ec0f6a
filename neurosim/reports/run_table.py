"""One finished run: accuracy, connectivity, memory, traffic, energy and time, with what was not priced."""

from rich.table import Table

from neurosim.reports.facts import (
    changed_texts,
    EVALUATION,
    PHASES,
    STATIC,
    accuracy_text,
    bytes_text,
    confused_text,
    energy_amounts,
    in_order,
    is_priced,
    misfit_text,
    missing_energy,
    missing_time,
    n_cores_text,
    n_trained,
    network_text,
    percent_text,
    priced_names,
    static_training_share,
    time_amounts,
    traffic_by_phase,
    unplaced_text,
    with_reason,
    words,
)
from neurosim.reports.memory_table import CoreMemory, print_memory
from neurosim.reports.profile_table import print_cycles, print_quantities
from neurosim.reports.tasks_text import tasks_text
from neurosim.reports.rich_parts import Grid, bullets, heading, line, pairs, percent, quantity_text
from neurosim.results.metrics import stored_bytes
from neurosim.units import format_bytes, format_count, format_si

MOST_COMPONENTS = 10
#: The line of the sensitivity that stands for all loops of a program.
CYCLES = "cycles of the program"
MOST_PRICES = 5
_BETWEEN = 4


def print_run(console, record):
    """Print a run in about one and a half screens.

    Parameters
    ----------
    console : rich.console.Console
    record : RunRecord
    """
    _print_summary(console, record)
    print_memory(console, [_core_memory(core, len(record.cores) > 1) for core in record.cores])
    _print_traffic(console, record)
    _print_time(console, record)
    if is_priced(record):
        _print_energy(console, record)
        _print_sensitivity(console, record)
    profile = record.profile
    note = f"{profile.price_set} of profile {profile.name}, accounting by {profile.accounting}"
    heading(console, "prices", note if profile.prices else f"{note}: none")
    print_quantities(console, [row for row in profile.prices if not row["key"].startswith("programs.")], with_notes=False)
    if profile.accounting == "program":
        console.print()
    print_cycles(console, [row for row in profile.prices if row["key"].startswith("programs.")])


def _print_summary(console, record):
    data, net = record.dataset, record.connectivity
    profile, scenario = record.profile, record.scenario
    network = network_text(record)
    n_epochs = len(record.epochs)
    line(console, (scenario.get("name", "run"), "bold"), f"  seed {record.seed}")
    if misfit := misfit_text(record.verdict):
        line(console, ("DOES NOT FIT", "bold red"), f"  no run on this chip, only a comparison; limits exceeded: {misfit}")
    for warning in record.warnings:
        line(console, ("LEARNING", "bold red"), f"  {warning}")
    rows = [
        ("chip", f"{profile.name}: {profile.title}; {n_cores_text(len(record.cores))} used, prices {profile.price_set}"),
        *([("fit", record.verdict["fit"]["text"])] if (record.verdict or {}).get("fit") else []),
        *[("changed", text) for text in changed_texts(record.verdict)],
        (
            "data",
            f"{data.name}, {data.n_train:,d} training"
            f"{f', {data.n_validation:,d} validation' if data.n_validation else ''} and {data.n_test:,d} test samples, "
            f"{n_epochs} epoch{'s' * (n_epochs != 1)}{'; network ' + network if network else ''}",
        ),
        (
            "accuracy",
            accuracy_text(record),
            "bold",
        ),
        *([("tasks", tasks_text(record))] if record.phases else []),
        *([("weakest", f"classes {confused_text(record)}")] if confused_text(record) else []),
        (
            "synapses",
            f"{net.active:,d} of {net.possible:,d} possible ({percent_text(net.fraction)}), {net.rewired:,d} rewired, "
            + _active_text(record)
            + _unfilled_text(net),
        ),
        *([("unplaced", unplaced)] if (unplaced := unplaced_text(net.unplaced, net.unplaced_by)) else []),
        *_row_texts(record),
        *([("packets", packets)] if (packets := _packets_text(record)) else []),
        *([("weights", _weights_text(record))] if net.matrices[0].weight_step else []),
        ("energy", with_reason(energy_amounts(record), missing_energy(record))),
        ("time", with_reason(time_amounts(record), missing_time(record))),
    ]
    pairs(console, rows)


def _packets_text(record):
    """What travelled between cores, counted; and what was expected of a trained sample."""
    total = {name: sum(core.packets.get(name, 0) for core in record.cores) for name in ("sent", "hops", "offchip")}
    if not total["sent"]:
        return ""
    text = f"{total['sent']:,d} between cores" + "".join(
        f", {n:,d} {what}" for what, n in (("hops", total["hops"]), ("off the chip", total["offchip"])) if n
    )
    placement = record.scenario.get("hardware", {}).get("placement", "contiguous")
    expected = ((record.verdict or {}).get("arrangement") or {}).get("packets")
    return text + f"; placement {placement}" + (f", at most {expected:,.0f} expected of a trained sample at the start" if expected else "")


def _active_text(record):
    net = record.connectivity
    if net.least_active is None:
        return "no rewiring took place"
    count = f"{net.most_active:,d}" if net.least_active == net.most_active else f"{net.least_active:,d} to {net.most_active:,d}"
    return f"{count} active after every {_rewiring(record)}"


def _unfilled_text(net):
    if not net.unfilled:
        return ""
    limits = ", ".join(f"{words(name)} ({n:,d})" for name, n in net.unfilled_by.items())
    return f", {net.unfilled:,d} slots dormant without a feasible position" + (f"; limits that bound: {limits}" if limits else "")


def _row_texts(record):
    """Axons and words that a chip limits per core: the fullest core of each."""
    for name in dict.fromkeys(name for core in record.cores for name in core.rows):
        core = max((core for core in record.cores if name in core.rows), key=lambda core: core.rows[name].peak / max(1, core.rows[name].limit))
        rows = core.rows[name]
        place = f"{'the chip of ' * (name == 'routing_entries')}core {core.id}"
        yield words(name), f"{rows.used:,d} of {rows.limit:,d} on {place}, at most {rows.peak:,d} at any step"


def _weights_text(record):
    hardware, matrices = record.scenario.get("hardware", {}), record.connectivity.matrices
    master = hardware.get("master", "none")
    steps = ", ".join(dict.fromkeys(f"{m.weight_step:.3g} to {m.weight_most:.4g}" for m in matrices))
    n_saturated = sum(m.saturated for m in matrices)
    return (
        f"{hardware.get('weight_format')}, rounding {hardware.get('rounding')}, "
        f"{'no master copy' if master == 'none' else 'master copy ' + master}; strengths of {steps}; "
        f"{n_saturated:,d} were cut to the largest"
    )


def _rewiring(record):
    period = record.scenario.get("rewiring", {}).get("period", 1)
    return "step" if period == 1 else f"rewiring, each {period} steps"


def _core_memory(core, with_further):
    further = {
        "neurons": (core.n_neurons, format_count),
        "connections": (core.synapses.used, format_count),
        "traffic": (core.traffic_bytes, format_bytes),
        "energy": (core.energy_j, _joules if core.energy_by_phase_j else _unknown),
    }
    memory = core.memory_bytes
    return CoreMemory(core.id, memory.sections, memory.limit, memory.spilled, further if with_further else {}, stored_bytes(core))


def _print_traffic(console, record):
    n, host = n_trained(record), record.traffic_bytes.by_level_and_phase.get("host", {})
    rows = {phase: [sum(ways[i] for ways in levels.values()) for i in (0, 1)] for phase, levels in traffic_by_phase(record).items()}
    evaluation = rows.pop(EVALUATION, None)
    training = [sum(row[i] for row in rows.values()) for i in (0, 1)]
    heading(console, "memory traffic", "all cores, whole run and per trained sample")
    grid = Grid("=phase", "read", "write", "total", "per sample")

    def row(name, read, write, per_sample=True, rule=False):
        grid.row(name, *map(format_bytes, (read, write, read + write)), bytes_text((read + write) / n) if per_sample else "", rule=rule)

    for i, (phase, ways) in enumerate(rows.items()):
        row(phase, *ways, rule=i == len(rows) - 1)
    row("training", *training)
    if evaluation:
        row(EVALUATION, *evaluation, per_sample=False)
    trained = sum(n_bytes for phase, n_bytes in host.items() if phase != EVALUATION)
    if host:
        grid.row("from/to host", "", "", format_bytes(sum(host.values())), bytes_text(trained / n))
    grid.print(console)


def _print_time(console, record):
    """Time of the chip by phase, with its range where cycles are derived from a program."""
    timing, n = record.timing, n_trained(record)
    if not timing.model_by_phase_s:
        return
    ranges = timing.model_by_phase_range_s
    heading(console, "time", "the chip's, by phase" + ("; range over settings of the compiler" if ranges else ""))
    grid = Grid("=phase", "time", "per sample", *(["per sample, from", "to"] if ranges else []))
    for phase, seconds in timing.model_by_phase_s.items():
        times = [seconds, *ranges.get(phase, ())]
        per_sample = ["" if phase == EVALUATION else format_si(value / n, "s") for value in times]
        grid.row(phase, format_si(seconds, "s"), *(per_sample + [""] * 2)[: 3 if ranges else 1])
    grid.print(console)


def _print_sensitivity(console, record):
    """How the total follows the prices that matter most, and what it is where sources disagree."""
    rows = record.energy.sensitivity[:MOST_PRICES]
    if not rows:
        return
    what = "total energy" if record.energy.complete else "priced part of the energy"
    heading(console, "sensitivity", f"{what} of the run with one price changed")
    grid = Grid("=price", "used", "share", "at -20 %", "at +20 %")
    for row in rows:
        used = quantity_text(row.value, row.unit)
        grid.row(row.price, used, percent(row.energy_j, record.energy.total_j), _joules(row.total_low_j), _joules(row.total_high_j))
    grid.print(console)
    bullets(console, [disagreement(row, record.energy.total_j) for row in rows if row.published])


def disagreement(row, total_j):
    """Range of the total over all published values: ``450 pJ to 1.50 nJ per synaptic_op published: total 1 J to 3 J``."""
    values = [(row.value, total_j), *((other.value, other.total_j) for other in row.published)]
    (low, total_low), (high, total_high) = min(values), max(values)
    if row.price == CYCLES:
        return f"{low:.2f} to {high:.2f} times the cycles with other settings of the compiler: total {_joules(total_low)} to {_joules(total_high)}"
    per = f"of {row.price}" if row.price.startswith("static.") else f"per {row.price}"
    return (
        f"{quantity_text(low, row.unit)} to {quantity_text(high, row.unit)} {per} published, {quantity_text(row.value, row.unit)} used: "
        f"total {_joules(total_low)} to {_joules(total_high)}"
    )


def _print_energy(console, record):
    missing = missing_energy(record)
    prices = f"price set {record.profile.price_set}"
    heading(console, "energy", f"{prices}; lower bound (see above)" if missing else prices)
    phases, components = _phase_grid(record), _component_grid(record)
    if phases.width + components.width + _BETWEEN > console.width:
        phases.print(console)
        console.print()
        components.print(console)
        return
    both = Table.grid(padding=(0, _BETWEEN, 0, 0))
    both.add_row(phases.fitted(console.width), components.fitted(console.width))
    console.print(both)


def _phase_grid(record):
    energy, n = record.energy, n_trained(record)
    priced, lacking = priced_names(record, "phase")
    ranges = energy.by_phase_range_j
    grid = Grid("=phase", "energy", "per sample", *(["from", "to"] if ranges else []))
    order = in_order([*energy.by_phase_j, *priced, *lacking], PHASES)
    for i, phase in enumerate(order):
        joules, rule = energy.by_phase_j.get(phase, 0.0), i == len(order) - 1
        at_least = ">= " if phase in lacking else ""
        if phase not in priced:
            grid.row(phase, "not priced", "", rule=rule)
        elif phase == EVALUATION:
            grid.row(phase, at_least + _joules(joules), "", rule=rule)
        else:
            share = static_training_share(record) if phase == STATIC else 1.0
            ends = [_joules(value / n) for value in ranges.get(phase, ())]
            grid.row(phase, at_least + _joules(joules), at_least + _joules(joules * share / n), *ends, rule=rule)
    at_least = "" if energy.complete else ">= "
    grid.row("all", at_least + _joules(energy.total_j), at_least + _joules(energy.per_sample_j))
    return grid


def _component_grid(record):
    """Components from the dearest on; the cheapest of many share one row."""
    energy = record.energy
    priced, lacking = priced_names(record, "component")
    items = sorted(((name, j) for name, j in energy.by_component_j.items() if name in priced), key=lambda item: -item[1])
    cheap = items[MOST_COMPONENTS - 1 :] if len(items) > MOST_COMPONENTS else []
    grid = Grid("=component", "energy", "share")
    for name, joules in items[: len(items) - len(cheap)]:
        grid.row(name, (">= " if name in lacking else "") + _joules(joules), _share(joules, energy.total_j))
    if cheap:
        joules = sum(j for _, j in cheap)
        grid.row(f"{len(cheap)} others", _joules(joules), _share(joules, energy.total_j))
    return grid


def _joules(value):
    return format_si(value, "J")


def _unknown(value):
    return "unknown"


def _share(part, total):
    return f"{100 * part / total:.1f} %" if total else ""
