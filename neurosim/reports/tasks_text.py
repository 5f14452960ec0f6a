"""Changing tasks in words, for tables and pages."""

from neurosim.reports.facts import percent_text, typeset
from neurosim.units import format_si


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
