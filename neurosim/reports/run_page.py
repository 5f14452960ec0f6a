"""report.html of a run: what the record says, in the order in which people ask."""

from neurosim.documents import dump_yaml
from neurosim.reports.facts import (
    changed_texts,
    EVALUATION,
    PHASES,
    STATIC,
    assumed_energy,
    assumed_text,
    bytes_text,
    energy_amounts,
    in_order,
    is_priced,
    is_convolutional,
    matrix_text,
    missing_energy,
    missing_time,
    n_cores_text,
    n_trained,
    network_text,
    percent_text,
    priced_names,
    span,
    split_idle,
    static_training_share,
    tightest,
    time_amounts,
    traffic_by_phase,
    typeset,
    unplaced_text,
    unrolling_text,
    words,
)
from neurosim.reports.page import PageTable, Tile, count_cell, joules_cell, render_page
from neurosim.reports.profile_table import CONFIDENCE, short_key
from neurosim.reports.tasks_part import tasks_part
from neurosim.reports.rich_parts import quantity_text
from neurosim.results.metrics import stored_bytes
from neurosim.results.metrics import CHOSEN
from neurosim.units import format_bytes, format_count, format_si

#: Anchor and heading of each section, in order.
SECTIONS = (
    ("verdict", "Verdict"),
    ("accuracy", "Accuracy"),
    ("memory", "Memory per core"),
    ("connections", "Connections"),
    ("traffic", "Traffic"),
    ("energy", "Energy"),
    ("time", "Time"),
    ("prices", "Prices and sources"),
    ("scenario", "Scenario"),
    ("environment", "Environment"),
)
#: After which one that of changing tasks stands, where there are some.
_BEFORE_TASKS = "accuracy"
#: Classes of a confusion matrix that a page shows.
_MOST_SHOWN = 32


def render_run_page(record, figures):
    """Page of a run.

    Parameters
    ----------
    record : RunRecord
    figures : dict of str to Drawing

    Returns
    -------
    str
    """
    profile, verdict, missing = record.profile, record.verdict, missing_energy(record)
    return render_page(
        "run.html",
        figures,
        title=record.scenario.get("name", "run"),
        source="result.json",
        sections=sections_of(record),
        description=record.scenario.get("description", ""),
        fits=verdict.get("fits", True),
        answer=answer(record),
        tiles=_tiles(record),
        verdict_text=_verdict_text(record),
        limits=_limits(verdict),
        unstated=", ".join(map(words, verdict.get("unstated", ()))),
        not_modelled=profile.not_modelled,
        accuracy_text=_accuracy_text(record),
        warnings=record.warnings,
        classes=_classes(record),
        confusion=_confusion(record),
        epochs=_epochs(record),
        **tasks_part(record),
        memory_text=_memory_text(record),
        cores=_cores(record),
        connections_text=_connections_text(record),
        matrices=_matrices(record),
        traffic_text=_traffic_text(record),
        traffic=_traffic(record),
        energy_text=typeset(_sentence(energy_amounts(record))),
        energy_missing=missing and _sentence(missing),
        energy_phases=_energy_phases(record),
        energy_components=_energy_components(record),
        time_text=typeset(_sentence(time_amounts(record))),
        time_missing=missing_time(record) and _sentence(missing_time(record)),
        price_set=profile.price_set + (f" at corner {profile.corner}" if profile.corner else ""),
        profile_name=profile.name,
        accounting=profile.accounting,
        prices=price_table(profile.prices),
        price_notes=price_notes(profile.prices),
        scenario_yaml=dump_yaml(record.scenario),
        environment=_environment(record),
    )


def sections_of(record):
    """Anchor and heading of each section of this run."""
    found = []
    for section in SECTIONS:
        found.append(section)
        if section[0] == _BEFORE_TASKS and record.phases:
            found.append(("tasks", "Changing tasks"))
    return tuple(found)


def answer(record):
    """The run in one sentence: accuracy, synapses, memory of the fullest core, energy."""
    fullest = max(record.cores, key=stored_bytes)
    memory, stored = fullest.memory_bytes, stored_bytes(fullest)
    room = f"{stored:,d} of {memory.limit:,d} B" if memory.limit and memory.used == stored else f"{stored:,d} B"
    where = "" if len(record.cores) == 1 else f" on the fullest of {n_cores_text(len(record.cores))}"
    energy = "energy unknown (no price)"
    if is_priced(record):
        joules = typeset(format_si(record.energy.per_sample_j, "J"))
        energy = f"energy ≥ {joules} per sample (lower bound)" if missing_energy(record) else f"energy {joules} per sample"
        assumed = assumed_energy(record)
        energy += f", with {typeset(assumed)} assumed" if assumed else ""
    return f"{percent_text(record.accuracy.test)} with {record.connectivity.active:,d} synapses in {room}{where}; {energy}."


def _sentence(text):
    return text[:1].upper() + text[1:] + "."


def _tiles(record):
    accuracy, net = record.accuracy, record.connectivity
    fullest = max(record.cores, key=stored_bytes)
    memory, stored = fullest.memory_bytes, stored_bytes(fullest)
    n_epochs = len(record.epochs)
    memory_note = f"{percent_text(memory.used / memory.limit)} of {format_bytes(memory.limit)}" if memory.limit else "no limit stated"
    if memory.used != stored:
        memory_note = f"{format_bytes(memory.used)} in local memory{f', {memory_note}' if memory.limit else ''}; the rest are synapses"
    return [
        Tile("Test accuracy", percent_text(accuracy.test), _best_note(accuracy, n_epochs)),
        Tile("Synapses", format_count(net.active), f"{percent_text(net.fraction)} of {net.possible:,d} possible"),
        Tile("Memory, fullest core", format_bytes(stored), memory_note),
        Tile("Traffic per sample", bytes_text(_training_traffic(record) / n_trained(record)), "read and written in training"),
        _energy_tile(record),
        _time_tile(record),
    ]


def _best_note(accuracy, n_epochs):
    if accuracy.validation is not None:
        return f"validation {percent_text(accuracy.validation)}, {n_epochs} epoch{'s' * (n_epochs != 1)}"
    return f"best {percent_text(accuracy.best)}, {n_epochs} epoch{'s' * (n_epochs != 1)}"


def _energy_tile(record):
    if not is_priced(record):
        return Tile("Energy per sample", "unknown", "no event has a price", True)
    missing, assumed = missing_energy(record), assumed_text(record)
    value = typeset(format_si(record.energy.per_sample_j, "J"))
    notes = ["lower bound: not everything is priced"] * bool(missing) + [typeset(assumed)] * bool(assumed)
    return Tile("Energy per sample", f"≥ {value}" if missing else value, "; ".join(notes), bool(missing))


def _time_tile(record):
    seconds = record.timing.model_s_per_sample
    if seconds is None:
        return Tile("Time per sample", "unknown", "the chip's time is not modelled", True)
    value = typeset(format_si(seconds, "s"))
    if missing_time(record):
        return Tile("Time per sample", f"≥ {value}", "lower bound, on the chip", True)
    return Tile("Time per sample", value, "on the chip")


def _verdict_text(record):
    profile, n = record.profile, len(record.cores)
    head = f"{format_count(record.connectivity.active)} synapses on {n_cores_text(n)} of {profile.name}: {profile.title}."
    if (record.verdict or {}).get("fit"):
        head += f" {record.verdict['fit']['text']}."
    if changed := changed_texts(record.verdict):
        head += f" Numbers of the chip that the scenario changed: {'; '.join(changed)}."
    found = tightest(record.verdict) if record.verdict else []
    # What is chosen is no answer to how tight it is, unless it is broken or there is nothing else.
    found = sorted(found, key=lambda pair: pair[0]["name"] in CHOSEN and pair[0]["used"] <= pair[0]["limit"])
    if not found:
        return head
    usage = found[0][0]
    share = 100 * usage["used"] / max(1, usage["limit"])
    return f"{head} The tightest limit is {words(usage['name'])}: {share:.1f} % used at {usage['where']}."


def _limits(verdict):
    table = PageTable("Limits of the chip, each at its tightest place", "=limit", "=tightest at", "used", "allowed", "=unit", "share", "=from")
    for usage, n_places in tightest(verdict) if verdict else ():
        share = usage["used"] / max(1, usage["limit"])
        table.row(
            words(usage["name"]),
            usage["where"] + (f" (of {n_places:,d})" if n_places > 1 else ""),
            count_cell(usage["used"]),
            count_cell(usage["limit"]),
            usage["unit"],
            (f"{100 * share:.1f} %", share),
            usage["source"],
            kind="" if usage["used"] <= usage["limit"] else "bad",
        )
    return table


def _accuracy_text(record):
    data, accuracy = record.dataset, record.accuracy
    network = network_text(record)
    n_epochs = len(record.epochs)
    chosen = f"best epoch {percent_text(accuracy.best)}"
    if accuracy.validation is not None:
        chosen = (
            f"{percent_text(accuracy.validation)} on the {data.n_validation:,d} validation samples, on which choices are made (best epoch "
            f"{accuracy.best_epoch + 1}: {percent_text(accuracy.best)}; the test set was seen once)"
        )
    return (
        f"{percent_text(accuracy.test)} on the {data.n_test:,d} test samples of {data.name} after {n_epochs} epochs over "
        f"{data.n_train:,d} training samples; {chosen}, training set {percent_text(accuracy.train_per_epoch[-1])}."
        + (f" Network {network}." if network else "")
    )


def _classes(record):
    table = PageTable(
        "Accuracy of each class on the test set", "=class", "test samples", "right", "accuracy", "taken for this class", "=most often taken for"
    )
    for i, name in enumerate(record.classes.names if record.classes else ()):
        classes = record.classes
        n, share = classes.n_samples[i], classes.accuracy[i]
        table.row(
            name, count_cell(n), count_cell(None if share is None else round(share * n)), (percent_text(share), share), count_cell(classes.n_predicted[i]),
            _taken_for(classes, i), kind="bad" if n and not classes.n_predicted[i] else "",
        )  # fmt: skip
    return table


def _taken_for(classes, i, most=3):
    if classes.confusion is None:
        return ""
    others = sorted(((n, j) for j, n in enumerate(classes.confusion[i]) if n and j != i), key=lambda pair: (-pair[0], pair[1]))
    return ", ".join(f"{classes.names[j]} ({n:,d})" for n, j in others[:most])


def _confusion(record):
    """Every class by what it was taken for; None where there are too many for a page."""
    classes = record.classes
    if classes is None or classes.confusion is None or len(classes.names) > _MOST_SHOWN:
        return None
    table = PageTable("Test samples by class (rows) and what they were taken for (columns)", "=class", *classes.names)
    for name, row in zip(classes.names, classes.confusion):
        table.row(name, *map(count_cell, row))
    return table


def _epochs(record):
    part = "test" if record.accuracy.validation is None else "validation"
    table = PageTable(
        "Epochs", "epoch", f"{part} accuracy", "training accuracy", f"{part} loss (nats)", "training loss (nats)", "learning rate",
        "arrived", "released", "active",
    )  # fmt: skip
    for e in record.epochs:
        table.row(
            count_cell(e.epoch + 1),
            *((percent_text(x), x) for x in (getattr(e, f"{part}_accuracy"), e.train_accuracy)),
            *((f"{x:.4f}", x) for x in (getattr(e, f"{part}_loss"), e.train_loss)),
            (f"{e.learning_rate:.4g}", e.learning_rate),
            *map(count_cell, (e.n_arrived, e.n_released, e.n_active)),
        )
    return table


def _memory_text(record):
    cores = record.cores
    fullest = max(cores, key=stored_bytes)
    memory, beside = fullest.memory_bytes, stored_bytes(fullest) - fullest.memory_bytes.used
    limit = f" of {memory.limit:,d} B ({100 * memory.used / memory.limit:.1f} %)" if memory.limit else " (the profile states no limit)"
    unrolling = unrolling_text(record.verdict)
    steps = f" {unrolling}." if unrolling else ""
    if len(cores) == 1:
        return (
            f"The one core uses {memory.used:,d} B{limit} in local memory, and {beside:,d} B for synapses beside it.{steps}"
            if beside
            else (f"The one core uses {memory.used:,d} B{limit}.{steps}")
        )
    mean = sum(map(stored_bytes, cores)) / len(cores)
    synapses = f" in local memory, and {beside:,d} B for synapses beside it" if beside else ""
    of = f"; the mean of {n_cores_text(len(cores))} is {mean:,.0f} B{' in all' if beside else ''}"
    return f"The fullest core, {fullest.id}, uses {memory.used:,d} B{limit}{synapses}{of}.{steps}"


def _cores(record):
    ordered = sorted(record.cores, key=lambda core: -len(core.memory_bytes.sections))
    names = list(dict.fromkeys(name for core in ordered for name in core.memory_bytes.sections))
    spilled = list(dict.fromkeys(name for core in record.cores for name in core.memory_bytes.spilled))
    has_beside = any(stored_bytes(core) != core.memory_bytes.used for core in record.cores)
    table = PageTable(
        "Memory of each core in B, its synapses, and its share of traffic and energy over the whole run",
        "core", "neurons", "synapses", *("bytes of synapses" if name == "synapses" else words(name) for name in names), "used", "limit", "share",
        *(("synapses beside", "in all") if has_beside else ()), *(f"{words(name)}, in SDRAM" for name in spilled), "traffic", "energy",
    )  # fmt: skip
    cores, idle = split_idle(record.cores)
    for core in [*cores, *idle[:1]]:
        memory = core.memory_bytes
        share = memory.used / memory.limit if memory.limit else None
        name = (f"{span([c.id for c in idle])} (idle, each)", core.id) if core in idle and len(idle) > 1 else count_cell(core.id)
        table.row(
            name,
            *map(count_cell, (core.n_neurons, core.synapses.used)),
            *(count_cell(memory.sections.get(name, 0)) for name in names),
            count_cell(memory.used),
            count_cell(memory.limit),
            ("" if share is None else f"{100 * share:.1f} %", share),
            *map(count_cell, (stored_bytes(core) - memory.used, stored_bytes(core)) if has_beside else ()),
            *(count_cell(memory.spilled.get(name, 0)) for name in spilled),
            (format_bytes(core.traffic_bytes), core.traffic_bytes),
            joules_cell(core.energy_j) if core.energy_by_phase_j else ("unknown", None),
        )
    return table


def _connections_text(record):
    net = record.connectivity
    unplaced = unplaced_text(net.unplaced, net.unplaced_by)
    return (
        f"{net.active:,d} of {net.possible:,d} possible connections are active at the end ({percent_text(net.fraction)}); "
        f"{net.rewired:,d} arrived during the training. {_active_text(net)}"
        + (f"; {net.unfilled:,d} slots found no feasible position{_binding_text(net)}." if net.unfilled else ".")
        + (f" {unplaced}." if unplaced else "")
    )


def _active_text(net):
    if net.least_active is None:
        return "No rewiring took place"
    most = f"{net.most_active:,d}"
    return f"After every rewiring {'exactly ' + most if net.least_active == net.most_active else f'{net.least_active:,d} to {most}'} were active"


def _binding_text(net):
    limits = ", ".join(words(name) for name in net.unfilled_by)
    return f" under the limits of: {limits}" if limits else ""


def _matrices(record):
    sizes = ("possible fan-in", "maps or neurons") if is_convolutional(record) else ("from neurons", "to neurons")
    table = PageTable("Matrices", "=matrix", *sizes, "active", "possible", "share", "mean fan-in")
    for m, matrix in enumerate(record.connectivity.matrices):
        counts = map(count_cell, (matrix.n_pre, matrix.n_post, matrix.active, matrix.possible))
        fan_in = matrix.active / matrix.n_post
        table.row(matrix_text(record, m), *counts, (percent_text(matrix.fraction), matrix.fraction), (f"{fan_in:.1f}", fan_in))
    return table


def _training_traffic(record):
    return sum(n for phase, n in record.traffic_bytes.by_phase.items() if phase != EVALUATION)


def _traffic_text(record):
    n_bytes = _training_traffic(record)
    host = record.traffic_bytes.by_level_and_phase.get("host", {})
    trained = sum(n for phase, n in host.items() if phase != EVALUATION)
    text = (
        f"Training reads and writes {bytes_text(n_bytes / n_trained(record))} per sample, {format_bytes(n_bytes)} in all, "
        f"on {n_cores_text(len(record.cores))} together."
    )
    return text + (f" The host sends and takes {bytes_text(trained / n_trained(record))} per sample." if trained else "")


def _traffic(record):
    table = PageTable("Traffic by phase and memory level, whole run", "=phase", "=level", "read", "written", "both", "per sample")
    n = n_trained(record)
    for phase, levels in traffic_by_phase(record).items():
        for level, (read, write) in levels.items():
            per_sample = None if phase == EVALUATION else (read + write) / n
            cells = ((format_bytes(x), x) for x in (read, write, read + write))
            table.row(phase, words(level), *cells, ("" if per_sample is None else bytes_text(per_sample), per_sample))
    return table


def _energy_phases(record):
    energy, n = record.energy, n_trained(record)
    priced, lacking = priced_names(record, "phase")
    table = PageTable("Energy by phase", "=phase", "whole run", "per sample")
    for phase in in_order([*energy.by_phase_j, *priced, *lacking], PHASES):
        if phase not in priced:
            table.row(phase, ("not priced", None), ("", None))
            continue
        joules, is_bound = energy.by_phase_j.get(phase, 0.0), phase in lacking
        share = static_training_share(record) if phase == STATIC else 1.0
        table.row(phase, joules_cell(joules, is_bound), ("", None) if phase == EVALUATION else joules_cell(joules * share / n, is_bound))
    if is_priced(record):
        table.row("all", *(joules_cell(x, not energy.complete) for x in (energy.total_j, energy.per_sample_j)), kind="total")
    return table


def _energy_components(record):
    energy = record.energy
    priced, lacking = priced_names(record, "component")
    table = PageTable("Energy by component", "=component", "whole run", "share")
    for name, joules in sorted(energy.by_component_j.items(), key=lambda item: -item[1]):
        if name in priced:
            share = joules / energy.total_j if energy.total_j else None
            table.row(words(name), joules_cell(joules, name in lacking), ("" if share is None else f"{100 * share:.1f} %", share))
    for name in sorted(lacking - priced):
        table.row(words(name), ("not priced", None), ("", None))
    return table


def price_table(rows, caption="Prices and durations"):
    """Table of prices and durations as a record holds them, with their sources."""
    has_meaning = any(row.get("meaning") for row in rows)
    table = PageTable(caption, "=key", "value", "=kind", *(["=meaning"] if has_meaning else []), "=basis", "=source")
    for row in rows:
        table.row(
            short_key(row["key"]),
            (typeset(quantity_text(row["value"], row["unit"])), row["value"]),
            row["kind"],
            *([words(row.get("meaning") or "")] if has_meaning else []),
            CONFIDENCE.get(row.get("confidence"), row.get("confidence")),
            row["source"],
        )
    return table


def price_notes(rows):
    """Notes of prices, and other published values: list of str."""
    notes = []
    for row in rows:
        key = short_key(row["key"])
        notes += [f"{key}: {row['note']}"] if row.get("note") else []
        for other in row.get("alternatives") or ():
            value = typeset(quantity_text(other["value"], row["unit"]))
            notes.append(f"{key}: also published: {value} ({other['source']})" + (f", {other['note']}" if other["note"] else ""))
    return notes


def _environment(record):
    table = PageTable("What it was computed with", "=what", "=which")
    data, profile = record.dataset, record.profile
    for name, value in record.environment.items():
        table.row(words(name), value)
    table.row("seed", record.seed)
    table.row("simulation time", f"{sum(record.timing.epoch_s):.2f} s of training, {sum(record.timing.evaluation_s):.2f} s of evaluation")
    table.row("data set", f"{data.name}: {data.source}")
    table.row("data set, SHA-256", data.sha256)
    table.row("profile", f"{profile.name}: {profile.title}")
    table.row("profile, SHA-256", profile.sha256)
    table.row("record", record.schema_)
    return table
