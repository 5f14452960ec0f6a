"""From a finished training to its record: counts, ledger and environment in one object."""

import math
import platform
import sys
from types import SimpleNamespace

import numpy as np

import neurosim
from neurosim.accounting import KINDS, PHASES, Activity, count_by_phase, make_ledger, price_sensitivity
from neurosim.accounting.pricing import LOOP
from neurosim.hardware import check_profile
from neurosim.kernels.layout import SegmentEvent
from neurosim.placement.families import family_of
from neurosim.nn import Evaluation
from neurosim.results import render_record
from neurosim.results.schema import RunRecord
from neurosim.scenario.changing import describe_phases
from neurosim.scenario.confusion import count_confusion
from neurosim.scenario.histograms import histogram_of_counts, histogram_of_weights, profile_of_inputs
from neurosim.scenario.learning import find_warnings
from neurosim.training.loop import EpochRecord


def settle(experiment, trainer):
    """Ledger of a training.

    Parameters
    ----------
    experiment : Experiment
    trainer : Trainer
        With all epochs done.

    Returns
    -------
    Ledger
    """
    return _ledger(experiment, trainer, len(trainer.history), trainer.parts_evaluated, trainer.step, trainer.store.tally, trainer.evaluation_tally)


def settle_phases(experiment, trainer):
    """Ledgers of a training with phases, each of all that happened up to the end of a phase: what a phase is charged for is the difference to the
    one before, so that the phases are the run, whatever is rounded or counted as a maximum.

    Returns
    -------
    list of Ledger
        One for each finished phase; the last is that of the run.
    """
    found, n_epochs = [], 0
    for number, end in enumerate(trainer.phase_ends):
        n_epochs += trainer.phases[number].n_epochs
        if number + 1 == len(trainer.phases):
            found.append(settle(experiment, trainer))
            continue
        tallies = [SimpleNamespace(**counts) for counts in trainer.counts_at(number)]
        found.append(_ledger(experiment, trainer, n_epochs, trainer.parts_evaluated[:n_epochs], end["step"], *tallies))
    return found


def _ledger(experiment, trainer, n_epochs, parts, n_steps, training, evaluation):
    """Ledger of the first epochs of a training; `parts` are those that were evaluated, after each epoch and perhaps once more."""
    placement, plan = experiment.placement, trainer.plan
    train, seen = [], []
    for epoch in range(n_epochs):
        lengths = _within(placement, trainer.dataset_of(epoch), trainer.lengths_of(epoch), "train")
        train.append(lengths if plan.epoch_samples is None else lengths[trainer.order_of(epoch)])
    for i, part in enumerate(parts):
        seen.append(_lengths(placement, trainer.dataset_of(min(i, n_epochs - 1)), part))
    activities = (activity_of(placement, training, np.concatenate(train), n_steps), activity_of(placement, evaluation, np.concatenate(seen), 0))
    return make_ledger(placement, *activities)


def settle_step(experiment, trainer, n_samples):
    """Ledger of the one step that `Trainer.probe` made on `n_samples` samples."""
    placement, lengths = experiment.placement, _lengths(experiment.placement, trainer.dataset, "train")[:n_samples]
    training = activity_of(placement, trainer.store.tally, lengths, 1)
    return make_ledger(placement, training, activity_of(placement, trainer.evaluation_tally, lengths[:0], 0))


def _lengths(placement, dataset, part):
    """Steps in which the network takes each sample: int array, shape (n_samples,). A feed-forward one takes sequences as a whole."""
    return _within(placement, dataset, getattr(dataset, f"lengths_{part}"), part)


def _within(placement, dataset, lengths, part):
    n = getattr(dataset, f"n_{part}")
    return np.minimum(np.full(n, dataset.n_steps) if lengths is None else lengths, placement.workload.topology.n_steps)


def activity_of(placement, tally, lengths, n_steps):
    """Activity of a tally over samples of the given lengths."""
    segment = {event.name.lower(): tally.by_segment[:, event].copy() for event in SegmentEvent}
    counts = ("nonzero", "sent", "received", "pairs", "sent_back", "received_back", "pairs_back")
    topology = placement.workload.topology
    return Activity(
        segment,
        **{name: getattr(tally, name).copy() for name in counts},
        passes=np.stack(topology.count_passes(lengths)),
        walks=topology.count_walks(lengths),
        n_samples=len(lengths),
        n_steps=n_steps,
        n_losses=int(topology.count_losses(lengths).sum()),
    )


def make_record(experiment, trainer, n_threads, *, with_classes=True, control=None):
    """Record of a finished run.

    Parameters
    ----------
    experiment : Experiment
    trainer : Trainer
    n_threads : int
    with_classes : bool
        Whether to predict the test set once more, for the accuracy of each class.
    control : Trainer, optional
        Done with the control of a scenario with phases.

    Returns
    -------
    RunRecord
    """
    ledger = settle(experiment, trainer)
    history, scenario = trainer.history, experiment.scenario
    record = RunRecord(
        scenario=scenario.model_dump(mode="json", exclude_none=True),
        seed=scenario.seed,
        profile=_profile_part(experiment, ledger),
        dataset=_dataset_part(trainer.dataset),
        accuracy=_accuracy_part(trainer),
        epochs=[_epoch_part(record) for record in history],
        connectivity=_connectivity_part(trainer, scenario.network.matrices),
        cores=_core_parts(experiment.placement, ledger, trainer.store),
        energy=_energy_part(experiment.profile, ledger),
        traffic_bytes=_traffic_part(ledger),
        events=count_by_phase(ledger),
        metrics=_metrics(experiment, trainer, ledger),
        verdict=experiment.verdict.to_dict(),
        timing={
            "epoch_s": [record.train_s for record in history],
            "evaluation_s": [record.test_s for record in history],
            "model_s_per_sample": _share(ledger.time.training_s, ledger.n_trained),
            "model_training_s": ledger.time.training_s,
            "model_complete": ledger.time.is_complete,
            "model_unmodelled": list(ledger.time.unmodelled),
            "model_by_phase_s": ledger.time.phase_s,
            "model_by_phase_range_s": {phase: list(ends) for phase, ends in ledger.time.phase_range_s.items()},
        },
        environment=_environment(n_threads),
        classes=count_confusion(experiment, trainer) if with_classes else None,
        phases=describe_phases(experiment, trainer, settle_phases(experiment, trainer), control) if trainer.phase_ends else None,
        n_trained=ledger.n_trained,
    )
    return record.model_copy(update={"warnings": find_warnings(record)})


def rehearse_record(experiment, trainer, n_threads):
    """Make the record of an epoch in which nothing happened, and its files, to throw them away: what cannot be said fails before training.

    Parameters
    ----------
    experiment : Experiment
    trainer : Trainer
        New; it stays as it is.
    n_threads : int
    """
    n_neurons, dataset = trainer.store.plan.n_neurons, trainer.dataset
    empty = {name: 0 for name in EpochRecord.__dataclass_fields__} | {"train_loss": math.log(2), "test_loss": math.log(2)}
    nothing = SimpleNamespace(
        store=trainer.store,
        dataset=dataset,
        dataset_of=lambda epoch: dataset,
        lengths_of=lambda epoch: dataset.lengths_train,
        order_of=trainer.order_of,
        phases=(),
        phase_ends=[],
        plan=trainer.plan,
        step=0,
        best_epoch=0,
        parts_evaluated=["test"],
        history=[EpochRecord(**empty)],
        evaluation_tally=trainer.evaluation_tally,
        last_evaluation=Evaluation(0.0, math.log(2), dataset.n_test, np.zeros(n_neurons, np.int64)),
    )
    render_record(make_record(experiment, nothing, n_threads, with_classes=False))


def _share(total, n):
    return None if total is None else total / n


def _profile_part(experiment, ledger):
    used = {f"programs.{experiment.profile.energy.chosen.program}.{line.component.removeprefix(LOOP)}" for line in ledger.energy}
    profile, energy = experiment.profile, experiment.profile.energy
    rows = check_profile(profile)
    return {
        "name": profile.name,
        "title": profile.title,
        "sha256": profile.sha256,
        "accounting": energy.accounting,
        "price_set": energy.price_set,
        "corner": profile.corner,
        "prices": [row for row in rows if row["key"].startswith(_used_prices(profile)) or row["key"] in used],
        "not_modelled": list(experiment.verdict.not_modelled),
        "mesh": _mesh_part(profile.network.mesh),
    }


def _mesh_part(mesh):
    if mesh is None:
        return None
    return {key: getattr(mesh, key).value for key in type(mesh).model_fields if getattr(mesh, key) is not None}


def _used_prices(profile):
    """Beginnings of the keys of the numbers that a run is charged with: those of other price sets and corners are not."""
    return ("energy.static.", f"energy.price_sets.{profile.energy.price_set}.", "time.", f"corners.{profile.corner}.clock")


def _accuracy_part(trainer):
    history, best = trainer.history, trainer.best_epoch
    part = {
        "test": history[-1].test_accuracy,
        "per_epoch": [record.test_accuracy for record in history],
        "train_per_epoch": [record.train_accuracy for record in history],
        "best_epoch": best,
    }
    if not trainer.dataset.n_validation:
        return {**part, "best": history[best].test_accuracy}
    seen = [record.validation_accuracy for record in history]
    return {**part, "best": seen[best], "validation": seen[best if trainer.plan.keeps_best else -1], "validation_per_epoch": seen}


def _dataset_part(dataset):
    keys = ("name", "source", "sha256", "n_train", "n_test", "n_features", "n_classes", "n_validation")
    part = {key: getattr(dataset, key) for key in keys} | {"classes": list(dataset.classes), "notes": list(dataset.notes)}
    known = dataset.standardization
    if known is None or dataset.encoding is not None:  # a network of spikes takes spikes
        return {**part, "scale": dataset.scale}
    if not hasattr(known, "mean"):
        return {**part, "scale": known.scale, "per_image": True}
    return {**part, "scale": known.scale, "mean": known.mean.tolist(), "spread": known.spread.tolist()}


def _epoch_part(record):
    from neurosim.results.schema import Epoch

    return {key: getattr(record, key) for key in Epoch.model_fields}


def _connectivity_part(trainer, names):
    store, history = trainer.store, trainer.history
    matrices = []
    for m, matrix in enumerate(store.plan.matrices):
        pre, post, weight = store.connections(m)
        possible = matrix.n_pre * matrix.n_post
        matrices.append(
            {
                "name": names[m],
                "n_pre": matrix.n_pre,
                "n_post": matrix.n_post,
                "active": pre.size,
                "possible": possible,
                "fraction": pre.size / possible,
                "weights": histogram_of_weights(weight),
                "fan_in": histogram_of_counts(np.bincount(post, minlength=matrix.n_post)),
                **_grid_part(matrix.grid, int(store.tally.saturated[m])),
            }
        )
    possible = sum(m["possible"] for m in matrices)
    return {
        "active": store.n_active,
        "possible": possible,
        "fraction": store.n_active / possible,
        "rewired": sum(record.n_arrived for record in history),
        "least_active": min((record.n_active_least for record in history if record.n_active_least is not None), default=None),
        "most_active": max(record.n_active_most for record in history),
        "unplaced": store.n_unplaced,
        "unplaced_by": store.unplaced_by,
        "unfilled": history[-1].n_unfilled,
        "unfilled_by": store.unfilled_by,
        "matrices": matrices,
        "inputs": profile_of_inputs(np.bincount(store.connections(0)[0], minlength=store.plan.matrices[0].n_pre)),
    }


def _grid_part(grid, n_saturated):
    return {"weight_step": grid.step, "weight_most": grid.top, "saturated": n_saturated} if grid.step else {}


def _core_parts(placement, ledger, store):
    energy, by_phase = ledger.energy_by("core"), {}
    for line in ledger.energy:
        if line.energy_j is not None:
            phases = by_phase.setdefault(line.core, {})
            phases[line.phase] = phases.get(line.phase, 0.0) + line.energy_j
    traffic = ledger.traffic.sum(axis=(2, 3))
    packets = ledger.events.sum(axis=1)
    n_active = np.zeros(store.plan.n_cores, np.int64)
    np.add.at(n_active, store.segments.core, store.n_active_by_segment)
    counted = {"sent": ["packet_sent"], "received": ["packet_received"]}
    if placement.geometry.tells_packets_apart and placement.geometry.x is not None:
        counted["hops"] = ["hop_east_west", "hop_north_south"]
    if placement.geometry.tells_packets_apart and placement.geometry.chip[-1] > 0:
        counted["offchip"] = ["packet_offchip"]
    parts = []
    for core in placement.cores:
        c = core.id
        parts.append(
            {
                "id": c,
                "n_neurons": core.n_neurons,
                "synapses": {"used": int(n_active[c]), "limit": core.n_slots},
                "memory_bytes": {
                    "used": core.n_bytes,
                    "limit": placement.local_limit,
                    "sections": dict(core.sections),
                    "spilled": dict(core.spilled),
                },
                "events": count_by_phase(ledger, c),
                "stored_bytes": core.n_bytes + _bytes_beside(placement, store, c),
                "energy_j": energy.get(c, 0.0),
                "energy_by_phase_j": by_phase.get(c, {}),
                "traffic_bytes": int(traffic[c].sum()),
                "traffic_by_phase_bytes": {p: int(n) for p, n in zip(PHASES, traffic[c]) if n},
                "packets": {name: int(sum(packets[c, KINDS.index(kind)] for kind in kinds)) for name, kinds in counted.items()},
                "busy_s": ledger.time.core_s[c],
                "rows": {name: dict(zip(("used", "peak", "limit"), numbers)) for name, numbers in store.rows_used(c).items()},
            }
        )
    return parts


def _bytes_beside(placement, store, core):
    """Bytes of a core's synapses in cells, lists or words of neurons."""
    n_synapses = sum(int(n) for n, s in zip(store.n_active_by_segment, placement.segments, strict=True) if s.core == core)
    words = store.rows_used(core).get("words")
    return family_of(placement.profile).bytes_beside(placement.profile, n_synapses, 0 if words is None else words[0])


def _energy_part(profile, ledger):
    return {
        "total_j": ledger.total_energy_j,
        "complete": ledger.is_complete,
        "unpriced": list(ledger.unpriced),
        "by_phase_j": ledger.energy_by("phase"),
        "by_phase_range_j": {phase: list(ends) for phase, ends in ledger.energy_range.items()},
        "by_component_j": ledger.energy_by("component"),
        "per_sample_j": ledger.training_energy_j / ledger.n_trained,
        "rows": [vars(line) for line in ledger.energy],
        "sensitivity": price_sensitivity(profile, ledger.energy),
    }


def _traffic_part(ledger):
    rows = list(ledger.traffic_rows())
    host = {p: int(n) for p, n in zip(PHASES, ledger.events[:, :, KINDS.index("host_byte")].sum(axis=0)) if n}
    levels = {}
    for _, phase, _, level, read, write in rows:
        levels.setdefault(level, {})
        levels[level][phase] = levels[level].get(phase, 0) + read + write
    levels["host"] = host
    by_phase = ledger.traffic.sum(axis=(0, 2, 3))
    return {
        "read": int(ledger.traffic[..., 0].sum()),
        "write": int(ledger.traffic[..., 1].sum()),
        "by_phase": {p: int(n) for p, n in zip(PHASES, by_phase) if n},
        "by_level": {level: sum(phases.values()) for level, phases in levels.items()},
        "by_level_and_phase": levels,
        "rows": [dict(zip(("core", "phase", "section", "level", "read_bytes", "write_bytes"), row)) for row in rows],
    }


def _metrics(experiment, trainer, ledger):
    """NeuroBench's names and definitions (version 2.3); the training.* counts are ours, per trained sample.

    A sequence walks a matrix several times: operations of all its steps count, and an activation counts once per walk that uses it, or of a
    convolution once per element of a kernel that reads it.
    """
    store, result = trainer.store, trainer.last_evaluation
    plan = store.plan
    effective = 0
    for m, matrix in enumerate(plan.matrices):
        pre, _, weight = store.connections(m)
        effective += int(result.n_nonzero[matrix.pre_neuron + pre[weight != 0]].sum())
    topology, possible = experiment.placement.workload.topology, sum(m.n_pre * m.n_post for m in plan.matrices)
    walks = topology.count_walks(_lengths(experiment.placement, trainer.dataset, "test"))[0]
    hidden = [(m, int(n)) for m, n, p in zip(plan.matrices, walks, topology.projections, strict=True) if p.pre > 0]
    uses = {id(m): int(u.sum()) for m, u in zip(plan.matrices, topology.uses, strict=True)}
    n_used = sum(uses[id(m)] * n for m, n in hidden)
    n_nonzero = sum(int(result.n_nonzero[m.pre_neuron : m.pre_neuron + m.n_pre].sum()) for m, _ in hidden)
    operations = ledger.events.sum(axis=0)[:, KINDS.index("synaptic_op")]
    updates = ledger.events.sum(axis=0)[:, KINDS.index("synaptic_update")]
    per_phase = {f"training.{p}": operations[PHASES.index(p)] / ledger.n_trained for p in ("forward", "backward", "gradient")}
    return {
        "Footprint": sum(
            core.n_bytes - core.sections.get("code", 0) + sum(core.spilled.values()) + _bytes_beside(experiment.placement, store, core.id)
            for core in experiment.placement.cores
        ),
        "ConnectionSparsity": 1.0 - store.n_active / possible,
        "ActivationSparsity": 1.0 - n_nonzero / n_used if hidden else None,
        "SynapticOperations": {
            "Effective_MACs": effective / result.n_samples,
            "Effective_ACs": 0.0,
            "Dense": sum(uses[id(m)] * m.n_post * int(n) for m, n in zip(plan.matrices, walks, strict=True)) / result.n_samples,
        },
        "ClassificationAccuracy": result.accuracy,
        **{name: float(value) for name, value in per_phase.items()},
        "training.update": float(updates.sum() / ledger.n_trained),
        "training.rewire": float(ledger.events.sum(axis=0)[:, KINDS.index("synaptic_write")].sum() / ledger.n_trained),
    }


def _environment(n_threads):
    import numba

    return {
        "neurosim": neurosim.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
        "threads": n_threads,
    }
