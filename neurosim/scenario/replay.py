"""One training step of a finished run, as trains of events for an independent counter.

A run's files hold its synapses and its sums of events, not the train of every neuron. So the step is made again with the saved
weights: a trainer takes over the checkpoint and trains on the first batch of the training set, counting from zero. What was connected
before the step, which activations and errors were not zero in it, and what the ledger of that step says is written; the run stays as it is.
"""

from pathlib import Path

import numpy as np

from neurosim.accounting import KINDS, PHASES
from neurosim.accounting.pricing import price_parts
from neurosim.errors import InputError
from neurosim.placement.memory import has_row_pointers
from neurosim.results.sanafe import Grid, Replay, write_sanafe
from neurosim.scenario.experiment import prepare
from neurosim.scenario.folder import CHECKPOINT
from neurosim.scenario.load import load_scenario
from neurosim.scenario.trainer import make_trainer

#: What the replays say something about.
_PHASES = ("forward", "backward", "gradient", "update")
_KINDS = ("synaptic_op", "synaptic_update", "packet_sent", "packet_received", "hop_east_west", "hop_north_south")


def export_sanafe(run, out, data_dir=None):
    """Write a folder that SANA-FE can replay; see `results.sanafe.write_sanafe`.

    Parameters
    ----------
    run : path-like
        Folder of a run, or its result.json.
    out : path-like
        Folder for the files.
    data_dir : path-like, optional
        Where to look for data sets first.

    Raises
    ------
    InputError
        No run, another version or data set than that of the run, or a kind of run that is not driven by events.
    """
    from neurosim.training import load_checkpoint

    run, out = Path(run), Path(out)
    folder = run.parent if run.is_file() else run
    if not (folder / CHECKPOINT).is_file():
        raise InputError(f"{folder / CHECKPOINT}: no such file; give a folder that `neurosim run` wrote")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; --format sanafe writes several, give a folder")
    experiment = prepare(load_scenario(str(folder / "scenario.yaml")))
    _refuse_unless_replayable(experiment)
    trainer, identity = make_trainer(experiment, data_dir)
    trainer.restore(*load_checkpoint(folder / CHECKPOINT, identity))
    connections = [trainer.store.connections(m)[:2] for m in range(len(trainer.store.plan.matrices))]
    n_samples = trainer.probe()
    active, wrong = trainer.network.last_nonzero(n_samples)

    from neurosim.scenario.record import settle_step

    ledger = settle_step(experiment, trainer, n_samples)
    steps = _Steps(experiment.placement, connections, active, wrong)
    replays = [replay for replay in (steps.forward(), steps.logits(), steps.products("backward", 1), steps.partial_errors(),
                                     steps.products("gradient", 0), steps.update()) if replay.edges]  # fmt: skip
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be created: {error.strerror}") from None
    write_sanafe(out, _grid(experiment.placement), _prices(experiment.profile), replays, _summary(experiment, trainer, ledger, n_samples))


def _refuse_unless_replayable(experiment):
    scenario, placement = experiment.scenario, experiment.placement
    if scenario.network.is_recurrent:
        raise InputError(f"{scenario.name}: a network of type {scenario.network.type} works step by step, not event by event; choose a run of an mlp")
    if scenario.network.has_maps:
        raise InputError(f"{scenario.name}: a network of type conv sends whole maps, not events; choose a run of an mlp")
    if not has_row_pointers(placement.profile, placement.workload):
        raise InputError(
            f"{scenario.name}: SANA-FE counts events, this run does not work event by event (hardware.execution "
            f"{placement.workload.execution}, storage {placement.profile.storage.family}); "
            "run it with --set hardware.execution=event_driven on a chip whose synapses are words in memory"
        )
    if placement.workload.has_places:
        raise InputError(f"{scenario.name}: rule {scenario.rewiring.rule} moves dormant positions, which no synapse stands for; choose another run")


def _grid(placement):
    mesh, n = placement.profile.network.mesh, placement.n_cores
    if mesh is not None and None not in (mesh.width, mesh.height, mesh.cores_per_tile):
        if n <= mesh.width.value * mesh.height.value * mesh.cores_per_tile.value:
            return Grid(n, mesh.width.value, mesh.height.value, mesh.cores_per_tile.value)
    return Grid(n, n, 1)


def _prices(profile):
    parts = {kind: price_parts(profile, kind) for kind in _KINDS if kind != "packet_received"}
    return {kind: sum(part.values()) for kind, part in parts.items() if part}


def _summary(experiment, trainer, ledger, n_samples):
    counts, energy = {}, {}
    for phase in _PHASES:
        for kind in _KINDS:
            values = ledger.events[:, PHASES.index(phase), KINDS.index(kind)]
            if values.any():
                counts.setdefault(phase, {})[kind] = values.tolist()
            lines = [line for line in ledger.energy if (line.phase, line.component) == (phase, kind) and line.energy_j is not None]
            if lines:
                joules = energy.setdefault(phase, {})[kind] = [0.0] * len(values)
                for line in lines:
                    joules[line.core] += line.energy_j
    return {
        "scenario": experiment.scenario.name,
        "profile": experiment.profile.name,
        "price_set": experiment.profile.energy.price_set,
        "weights": f"checkpoint after step {trainer.step}",
        "batch": f"the first {n_samples} samples of the training set of {trainer.dataset.name}",
        "counts": counts,
        "energy_j": energy,
    }


class _Steps:
    """Replays of one step.

    Parameters
    ----------
    placement : Placement
    connections : list of (pre, post)
        Synapses of each matrix before the step.
    active, wrong : list of bool array, shape (n_samples, neurons of the layer)
        Non-zero activations and errors of each layer.
    """

    def __init__(self, placement, connections, active, wrong):
        self.homes = placement.homes
        self.connections, self.active, self.wrong = connections, active, wrong
        self.n_samples = len(active[0])

    def forward(self):
        """Neurons fire where they are not zero. The host writes inputs to every core that needs them: there they stand, once each."""
        replay = Replay("forward", "forward", self.n_samples, "synaptic_op", True)
        (pre, post), home = self.connections[0], self.homes[1]
        copies = sorted({(i, int(home[j])) for i, j in zip(pre.tolist(), post.tolist())})
        number = {copy: n for n, copy in enumerate(copies)}
        replay.groups["layer0"] = [(core, self.active[0][:, i]) for i, core in copies]
        for layer in range(1, len(self.homes)):
            silent = np.zeros_like(self.active[layer])  # logits are no activations
            replay.groups[f"layer{layer}"] = self._neurons(layer, self.active[layer] if layer < len(self.homes) - 1 else silent)
        for layer, pairs in enumerate(self._pairs()):
            replay.edges += [(f"layer{layer}", i if layer else number[i, int(home[j])], f"layer{layer + 1}", j) for i, j in pairs]
        return replay

    def logits(self):
        """Cores with output neurons send each other every logit, zero or not."""
        replay, homes = Replay("logits", "forward", self.n_samples, has_packets=True), self.homes[-1].tolist()
        cores = sorted(set(homes))
        always, never = np.ones(self.n_samples, bool), np.zeros(self.n_samples, bool)
        replay.groups = {"output": [(core, always) for core in homes], "softmax": [(core, never) for core in cores]}
        replay.edges = [("output", j, "softmax", n) for j, home in enumerate(homes) for n, core in enumerate(cores) if core != home]
        return replay

    def partial_errors(self):
        """A core answers every activation that came from another core with one partial error: a neuron there, back to its neuron."""
        replay, never = Replay("partial_errors", "backward", self.n_samples, has_packets=True), np.zeros(self.n_samples, bool)
        replay.groups["partial"] = []
        for layer in range(1, len(self.connections)):
            replay.groups[f"layer{layer}"] = [(int(core), never) for core in self.homes[layer]]
            home = self.homes[layer + 1]
            for i, core in sorted({(i, int(home[j])) for i, j in self._pairs()[layer]}):
                if core != self.homes[layer][i]:
                    replay.edges.append(("partial", len(replay.groups["partial"]), f"layer{layer}", i))
                    replay.groups["partial"].append((core, self.active[layer][:, i]))
        return replay

    def products(self, phase, first):
        """A neuron per synapse on its core, which fires where its activation and its error are both not zero."""
        trains = [self.active[layer][:, i] & self.wrong[layer + 1][:, j] for layer, pairs in list(enumerate(self._pairs()))[first:] for i, j in pairs]
        return self._slots(phase, self.n_samples, "synaptic_op", first, trains)

    def update(self):
        """A neuron per synapse on its core, which fires once: a step moves every weight."""
        return self._slots("update", 1, "synaptic_update", 0, [np.ones(1, bool)] * sum(pre.size for pre, _ in self.connections))

    def _slots(self, phase, n_steps, events, first, trains):
        cores = [int(core) for m, (_, post) in list(enumerate(self.connections))[first:] for core in self.homes[m + 1][post]]
        replay = Replay(phase, phase, n_steps, events)
        replay.groups["slot"] = list(zip(cores, trains, strict=True))
        replay.edges = [("slot", k, "slot", k) for k in range(len(trains))]
        return replay

    def _neurons(self, layer, trains):
        return [(int(core), trains[:, i]) for i, core in enumerate(self.homes[layer])]

    def _pairs(self):
        return [list(zip(pre.tolist(), post.tolist())) for pre, post in self.connections]
