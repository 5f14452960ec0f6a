"""What a run says of its phases: accuracies on all tasks, forgetting, what it took to recover, and where weights moved."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from neurosim.accounting import count_by_phase
from neurosim.scenario.trainer import make_trainer

#: A phase has recovered where its accuracy is this part of another one: of that at the end of the first phase, and of its own at its end.
RECOVERED = 0.95


def unchanged(experiment):
    """The control of an experiment with phases: the first task in all of them; same placement, same learning rates."""
    first, scenario = experiment.scenario.phases[0], experiment.scenario
    same = {key: getattr(first, key) for key in ("relabel", "permute_inputs", "classes", "dataset")}
    return replace(experiment, scenario=scenario.model_copy(update={"phases": tuple(phase.model_copy(update=same) for phase in scenario.phases)}))


def train_control(experiment, data_dir=None, dataset=None, stop=None):
    """Train the control that a scenario asks for: its `Trainer`; None where none is wanted, or where `stop` was asked for meanwhile.

    It is no part of the run: nothing of it is charged, and an interrupted run trains it anew, to the same bits.
    """
    if not experiment.scenario.control:
        return None
    trainer, _ = make_trainer(unchanged(experiment), data_dir, dataset)
    with stop.deferred() if stop else nullcontext():
        is_over = trainer.run(should_stop=(lambda: stop.is_asked) if stop else None)
    return trainer if is_over else None


def describe_phases(experiment, trainer, ledgers, control=None):
    """Fields of `results.schema.PhasesUsed`.

    Parameters
    ----------
    experiment : Experiment
    trainer : Trainer
        With several phases, of which at least one is over.
    ledgers : list of Ledger
        Of all that happened up to the end of each finished phase.
    control : Trainer, optional
    """
    matrix = np.array([end["accuracy"] for end in trainer.phase_ends])
    parts, names, first = [], [phase.name for phase in experiment.scenario.phases], 0
    for number, end in enumerate(trainer.phase_ends):
        phase, choice = trainer.phases[number], experiment.scenario.phases[number]
        rows = trainer.history[first : first + phase.n_epochs]
        before = ledgers[number - 1] if number else None
        costs = _costs(ledgers[number], before)
        parts.append(
            {
                "name": choice.name,
                "task": choice.change,
                "dataset": phase.dataset.name,
                "sha256": phase.dataset.sha256,
                "first_epoch": first,
                "n_epochs": phase.n_epochs,
                "n_steps": end["step"] - (trainer.phase_ends[number - 1]["step"] if number else 0),
                "n_arrived": sum(row.n_arrived for row in rows),
                "n_released": sum(row.n_released for row in rows),
                **costs,
                "events": _events(ledgers[number], before),
                "recovery": _recovery(rows, matrix[0, 0], costs),
                "weights": end["weights"],
            }
        )
        first += phase.n_epochs
    return {"names": names, "accuracy": matrix.tolist(), **_summary(matrix), "phases": parts, "control": control and _control(control)}


def _control(trainer):
    return {
        "per_epoch": [_accuracy(row) for row in trainer.history],
        "accuracy": [end["accuracy"] for end in trainer.phase_ends],
        "weights": [end["weights"] for end in trainer.phase_ends],
    }


def _accuracy(row):
    return row.test_accuracy if row.validation_accuracy is None else row.validation_accuracy


def _summary(matrix):
    """Average accuracy, forgetting and backward transfer, after the last phase that is over.

    Average accuracy and backward transfer: Lopez-Paz, Ranzato, NIPS 2017, equations 2 and 3, over the tasks seen so far; forgetting: the mean over
    earlier tasks of the best accuracy that was ever reached on them, less the last.
    """
    last = len(matrix) - 1
    seen = matrix[last, : last + 1]
    if not last:
        return {"average_accuracy": float(seen.mean()), "forgetting": None, "backward_transfer": None}
    earlier = matrix[:, :last]
    return {
        "average_accuracy": float(seen.mean()),
        "forgetting": float((earlier.max(axis=0) - earlier[last]).mean()),
        "backward_transfer": float((earlier[last] - np.diag(matrix)[:last]).mean()),
    }


def _costs(ledger, before):
    def of(what):
        now, then = what(ledger), what(before) if before else 0
        return None if now is None or then is None else now - then

    return {
        "n_samples": of(lambda ledger: ledger.n_trained),
        "energy_j": of(lambda ledger: ledger.total_energy_j),
        "training_energy_j": of(lambda ledger: ledger.training_energy_j),
        "traffic_bytes": of(lambda ledger: int(ledger.traffic.sum())),
        "model_training_s": of(lambda ledger: ledger.time.training_s),
    }


def _events(ledger, before):
    """Events of a phase by phase of the training and kind, zeros left out."""
    now, then = count_by_phase(ledger), count_by_phase(before) if before else {}
    found = {phase: {kind: n - then.get(phase, {}).get(kind, 0) for kind, n in kinds.items()} for phase, kinds in now.items()}
    return {phase: left for phase, kinds in found.items() if (left := {kind: n for kind, n in kinds.items() if n})}


def _recovery(rows, first_accuracy, costs):
    """What it took until an epoch's accuracy was good again; energy and bytes in the proportion of the samples of the phase."""
    seen = [_accuracy(row) for row in rows]
    found = []
    for of, whole in (("first", float(first_accuracy)), ("own", seen[-1])):
        wanted = RECOVERED * whole
        epoch = next((i for i, accuracy in enumerate(seen) if accuracy >= wanted), None)
        part = {"of": of, "accuracy": wanted, "n_epochs": None, "n_samples": None, "energy_j": None, "traffic_bytes": None, "n_arrived": None}
        if epoch is not None:
            share = (epoch + 1) / len(rows)
            part |= {
                "n_epochs": epoch + 1,
                "n_samples": round(share * costs["n_samples"]),
                "energy_j": share * costs["training_energy_j"],
                "traffic_bytes": round(share * costs["traffic_bytes"]),
                "n_arrived": sum(row.n_arrived for row in rows[: epoch + 1]),
            }
        found.append(part)
    return found
