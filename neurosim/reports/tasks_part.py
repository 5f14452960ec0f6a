"""The part of a run's page that is about changing tasks."""

from neurosim.reports.facts import bytes_text, matrix_text, percent_text
from neurosim.reports.page import PageTable, count_cell, joules_cell
from neurosim.reports.tasks_text import task_words, tasks_text


def tasks_part(record):
    """What the template of a run asks for; nothing to be shown where it has no phases."""
    if record.phases is None:
        return {"tasks_text": "", "tasks": None, "task_matrix": None, "likeness": None}
    return {"tasks_text": tasks_text(record), "tasks": _phases(record), "task_matrix": _matrix(record), "likeness": _likeness(record)}


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
