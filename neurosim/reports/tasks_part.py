"""The part of a run's page and table that is about changing tasks."""

from neurosim.reports.facts import bytes_text, matrix_text, percent_text, typeset
from neurosim.reports.page import PageTable, count_cell, joules_cell
from neurosim.units import format_si


def tasks_part(record):
    """What the template of a run asks for; nothing to be shown where it has no phases."""
    if record.phases is None:
        return {"tasks_text": "", "tasks": None, "task_matrix": None, "likeness": None}
    return {"tasks_text": tasks_text(record), "tasks": _phases(record), "task_matrix": _matrix(record), "likeness": _likeness(record)}


def tasks_text(record):
    """Average accuracy, forgetting, backward transfer and recovery in words."""
    phases = record.phases
    text = f"{percent_text(phases.average_accuracy)} on average over the {len(phases.phases)} tasks at the end"
    if phases.forgetting is not None:
        text += f"; forgetting {100 * phases.forgetting:.1f} points, backward transfer {100 * phases.backward_transfer:+.1f} points"
    if later := phases.phases[1:]:
        found = [phase.recovery[0] for phase in later if phase.recovery[0].n_samples is not None]
        text += f". {len(found)} of {len(later)} phases came back to {percent_text(later[0].recovery[0].accuracy)} (95 % of the first phase)"
        if found:
            n, joules = (sum(getattr(each, key) for each in found) / len(found) for key in ("n_samples", "energy_j"))
            text += f", after {n:,.0f} samples and {typeset(format_si(joules, 'J'))} on average"
    return text + "."


def task_words(phase):
    """What the task of a phase is, in words."""
    words = {"relabel": "labels permuted", "permute_inputs": "features permuted", "classes": "classes"}
    return (
        ", ".join(f"{words[key]} ({', '.join(map(str, v)) if isinstance(v, (list, tuple)) else f'seed {v}'})" for key, v in phase.task.items())
        or phase.dataset
    )


def _phases(record):
    table = PageTable(
        "Phases; until recovery: to 95 % of the accuracy at the end of the first phase, counted in epochs",
        "=phase", "=task", "samples", "accuracy", "arrivals", "traffic", "energy", "samples until", "energy until", "traffic until", "arrivals until",
    )  # fmt: skip
    for number, phase in enumerate(record.phases.phases):
        until = phase.recovery[0]
        end = record.phases.accuracy[number][number]
        known = until.n_samples is not None
        table.row(
            phase.name,
            task_words(phase),
            count_cell(phase.n_samples),
            (percent_text(end), end),
            count_cell(phase.n_arrived),
            (bytes_text(phase.traffic_bytes), phase.traffic_bytes),
            joules_cell(phase.energy_j),
            count_cell(until.n_samples) if known else "never",
            joules_cell(until.energy_j) if known else "",
            (bytes_text(until.traffic_bytes), until.traffic_bytes) if known else "",
            count_cell(until.n_arrived) if known else "",
        )
    return table


def _matrix(record):
    names = record.phases.names
    table = PageTable("Accuracy on the samples of each task, after each phase", "=after", *(f"on {name}" for name in names))
    for name, row in zip(names, record.phases.accuracy, strict=False):
        table.row(name, *((percent_text(value), value) for value in row))
    return table


def _likeness(record):
    control = record.phases.control
    table = PageTable(
        "Connections of each matrix, compared with the end of the phase before and of the first phase" + ("; in brackets the control" if control else ""),
        "=phase", "=matrix", "overlap, before", "correlation, before", "overlap, first", "correlation, first",
    )  # fmt: skip
    for number, phase in enumerate(record.phases.phases[1:], 1):
        for m, likeness in enumerate(phase.weights):
            other = control.weights[number][m] if control else None
            cells = [_cell(likeness, other, key) for key in ("overlap_before", "correlation_before", "overlap_first", "correlation_first")]
            table.row(phase.name, matrix_text(record, m), *cells)
    return table


def _cell(likeness, other, key):
    value, beside = getattr(likeness, key), other and getattr(other, key)
    return ("" if value is None else f"{value:.2f}" + (f" ({beside:.2f})" if beside is not None else ""), value)
