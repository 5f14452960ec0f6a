"""Random valid scenarios, each trained, stopped, resumed and accounted for: no number may contradict another.

A seed is a scenario: ``draw_scenario(seed)`` says which. The suite takes the seeds below `N_SEEDS`; for more of them::

    NEUROSIM_SCENARIOS=3000 python -m pytest tests/property/test_random_scenarios.py -q
"""

import os
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from neurosim.errors import DoesNotFitError, InputError, NeurosimError, TrainingDivergedError
from neurosim.kernels.layout import SegmentEvent
from neurosim.networks import METHODS
from neurosim.nn import mlp
from neurosim.rewiring import RULES
from neurosim.scenario import Scenario, experiment, prepare, run_scenario
from neurosim.scenario import trainer as trainers
from neurosim.scenario.record import make_record
from neurosim.scenario.schema_network import DatasetChoice

N_SEEDS = int(os.environ.get("NEUROSIM_SCENARIOS", 300))
CHUNK = 50
#: Seeds of spiking networks whose adaptive feedback decays, of which there are none among the first fifty.
SEEDS_THAT_DECAY = (77, 145)
PROFILES = Path(__file__).parents[1] / "profiles"
#: Chips and the weight widths that they are likely to take; the host teaches those that do not learn.
CHIPS = {
    **dict.fromkeys(("spinnaker2_santos", "spinnaker2", "spinnaker1", "spinn5_board", "cpu_45nm"), ("s3.12", "int8", "float16", "s1.6")),
    **dict.fromkeys(("loihi1", "loihi2", str(PROFILES / "packed_lists.yaml")), ("int8",)),
    **dict.fromkeys(("brainscales1", "brainscales2"), ("int7", "int5")),
    "odin": ("int4",),
    str(PROFILES / "cam_per_neuron.yaml"): ("int4",),
    str(PROFILES / "crossbar_binary.yaml"): ("int9",),
    **dict.fromkeys(("truenorth", "dynap_se2", "tpu_v1", "ese_fpga"), ("int8",)),
}
HOST_ONLY = ("truenorth", "dynap_se2", "tpu_v1", "ese_fpga")
#: Numbers of the same meaning differ by rounding alone.
SAME = {"rel": 1e-9, "abs": 1e-30}


def draw_keys(rng, rule):
    """Keys with which a rule moves something in a few dozen steps."""
    period = int(rng.choice([1, 1, 2, 3, 7, 40]))
    searched = {"period": period, "drop_fraction": float(rng.choice([0.1, 0.5])), "stop": float(rng.choice([0.5, 1.0]))}
    noisy = {"l1": float(rng.choice([0.0, 1e-4, 1e-3])), "noise_std": float(rng.choice([0.003, 0.05]))}
    return {
        "deep_r": {**noisy, "period": period},
        "soft_deep_r": {**noisy, "theta_min": -float(rng.choice([0.01, 0.2]))},
        "set": searched,
        "rigl": searched,
        "prune": {"period": period, "start": 0.1, "end": float(rng.choice([0.4, 0.9]))},
        "prune_retrain": {"start": 0.2, "end": 0.8, "rounds": period % 4 + 1},
        "l1_shrinkage": {"period": period, "l1": 1e-3, "end": 0.8},
    }.get(rule, {})


def draw_once(rng, recordings):
    """A scenario as a user would write it, which some chip may refuse: dict."""

    def one_of(*values):
        return values[rng.integers(len(values))]

    rule, is_recurrent = one_of(*RULES), rng.random() < 0.25
    chip = one_of("spinnaker2_santos", "spinnaker2", "spinnaker1", "cpu_45nm") if is_recurrent else one_of(*CHIPS)
    scope = one_of("core", "core", "layer", "network")
    hardware = {"profile": chip, "cores": one_of(1, 1, 2, 3, 5, "auto"), "on_violation": one_of("report", "report", "refuse")}
    if not is_recurrent:
        hardware["execution"] = one_of("scan", "event_driven")
        hardware["learning"] = "host" if chip in HOST_ONLY or rng.random() < 0.15 else "chip"
    if scope != "core" or rng.random() < 0.3:
        hardware["headroom"] = one_of(0.1, 0.5)
    if rng.random() < 0.5:
        hardware["weight_format"] = one_of(*CHIPS[chip])
        hardware["rounding"] = one_of("nearest", "stochastic")
        if rng.random() < 0.3:
            hardware["master"] = "float32"
    training = {
        "epochs": int(rng.integers(1, 4)),
        "batch_size": one_of(1, 1, 3, 10, 64, 100),
        "optimizer": one_of("sgd", "momentum", "adam"),
        "learning_rate": one_of(0.003, 0.02, 0.1),
        "schedule": one_of({"kind": "constant"}, {"kind": "cosine"}, {"kind": "exponential", "factor": 0.5}),
    }
    if is_recurrent:
        sizes = {"type": one_of("lstm", "rnn"), "units": [int(n) for n in rng.integers(2, 9, rng.integers(1, 3))], "readout": one_of("last", "mean")}
        training |= {key: value for key, value in (("window", int(rng.integers(1, 7))), ("clip", 0.5)) if rng.random() < 0.5}
        data = {"name": str(recordings), "max_steps": 13, "features": {"bands": 6, "hop_ms": 20.0, "frame_ms": 40.0}}
    else:
        sizes = {"layers": [64, *(int(n) for n in rng.integers(2, 40, rng.integers(0, 3))), 10]}
        data = {"name": "digits"}
    share = one_of("fit", None, *(round(float(x), 3) for x in rng.uniform(0.02, 1.0, 6)))
    amount = {"synapses": int(rng.integers(20, 900))} if share is None else {"connectivity": share}
    return {
        "name": "random",
        "seed": int(rng.integers(2**40)),
        "dataset": {**data, "limit": int(rng.integers(30, 160))},
        "network": {**sizes, **amount},
        "hardware": hardware,
        "training": training,
        "rewiring": {"rule": rule, "scope": scope, **draw_keys(rng, rule)},
        "report": {"figures": False},
    }


def draw_maps(rng, recordings):
    """As `draw_once`, of a network with maps: draws of its own, so that a seed of those above stays the scenario that it was."""

    def one_of(*values):
        return values[rng.integers(len(values))]

    data, chip = draw_once(rng, recordings), one_of("spinnaker2_santos", "spinnaker2", "spinnaker1", "cpu_45nm")
    layers: list = []
    for _ in range(rng.integers(1, 4)):
        layers.append({"conv": int(rng.integers(1, 7)), "kernel": int(rng.integers(1, 6)), "stride": one_of(1, 1, 2), "padding": one_of(0, 1, 2)})
        if rng.random() < 0.5:
            layers.append({"pool": one_of("max", "average"), "window": int(rng.integers(2, 4)), "stride": one_of(1, 2), "padding": one_of(0, 1)})
    layers += [*(int(n) for n in rng.integers(2, 20, rng.integers(0, 2))), 10]
    network = {key: value for key, value in data["network"].items() if key in ("synapses", "connectivity")}
    data["network"] = {"input_shape": [1, 8, 8], "layers": layers, "bias": bool(rng.random() < 0.5), "activation": "relu", **network}
    data["dataset"] = {"name": "digits", "limit": int(rng.integers(30, 100))}
    data["hardware"] = {**data["hardware"], "profile": chip, "execution": "scan", "learning": "chip"}
    data["training"].pop("window", None)
    return data


def draw_spikes(rng, recordings):
    """As `draw_once`, of a spiking network, with draws of its own."""

    def one_of(*values):
        return values[rng.integers(len(values))]

    data, chip = draw_once(rng, recordings), one_of(*CHIPS)
    sizes, learning = draw_dynamics(rng, one_of)
    network = {key: value for key, value in data["network"].items() if key in ("synapses", "connectivity")}
    hardware = {"profile": chip, "on_violation": data["hardware"]["on_violation"], "cores": data["hardware"]["cores"]}
    hardware |= {"headroom": data["hardware"]["headroom"]} if "headroom" in data["hardware"] else {}
    hardware |= {"learning": "host"} if chip in HOST_ONLY or rng.random() < 0.1 else {}
    if rng.random() < 0.4:
        hardware |= {"weight_format": one_of(*CHIPS[chip]), "rounding": one_of("nearest", "stochastic")}
    training = {key: value for key, value in data["training"].items() if key not in ("window", "clip")}
    speech = {"name": str(recordings), "max_steps": 13, "features": {"bands": 6, "hop_ms": 20.0, "frame_ms": 40.0}}
    speech |= {"encode": {"kind": "integrate", "threshold": 0.5}} if rng.random() < 0.7 else {}
    return data | {
        "dataset": {**speech, "limit": int(rng.integers(30, 160))},
        "network": {**sizes, **network},
        "hardware": hardware,
        "training": training | learning,
    }


def draw_dynamics(rng, one_of):
    """Keys of a spiking network and of its training."""
    kind = one_of("lif", "alif")
    sizes = {"type": kind, "units": [int(n) for n in rng.integers(2, 20, rng.integers(1, 3))], "recurrent": one_of(True, True, False)}
    sizes |= {"v_th": one_of(0.1, 0.3), "refractory": one_of(0, 2), "tau_m": one_of(3.0, 20.0), "readout": one_of("last", "mean", "every")}
    sizes |= {"surrogate": one_of("triangular", "superspike", "exponential", "arctan")}
    sizes |= {"readout_steps": one_of(1, 4)} if sizes["readout"] != "last" and rng.random() < 0.3 else {}
    sizes |= {"adaptive": 0.4, "beta": 0.5} if kind == "alif" and rng.random() < 0.5 else {}
    learning = {"method": one_of(*METHODS)}
    if learning["method"] == "bptt":
        learning |= {"window": int(rng.integers(1, 7))} if rng.random() < 0.5 else {}
    else:
        learning["feedback"] = one_of("symmetric", "random", "adaptive")
    learning |= {key: value for key, value in (("rate_cost", 0.1), ("clip", 0.5)) if rng.random() < 0.4}
    learning |= {"rate_target": 0.05} if "rate_cost" in learning else {}
    learning |= {"feedback_decay": 0.01} if learning.get("feedback") == "adaptive" and rng.random() < 0.5 else {}
    return sizes, learning


def draw_scenario(seed, recordings, draw=draw_once):
    """(Scenario, Experiment, refused drafts) of a seed: drafts that are refused in one line are drawn again."""
    rng = np.random.default_rng(seed)
    for n_refused in range(40):
        try:
            scenario = Scenario.model_validate(draw(rng, recordings))
            return scenario, prepare(scenario), n_refused
        except (ValueError, NeurosimError) as error:
            assert isinstance(error, (ValueError, InputError, DoesNotFitError)) and str(error)
    raise AssertionError("forty drafts in a row were refused")


# invariants


def samples_of(trainer, rows):
    data = trainer.dataset
    if trainer.network.__class__.__name__ in ("Mlp", "Convolutional"):
        return data.x_train[rows], data.y_train[rows], data.scale
    return data.x_train[rows], data.lengths_train[rows], data.y_train[rows], data.scale


@contextmanager
def decayed_readout(trainer):
    """The network as a step sees it: an adaptive feedback that decays does so first, and the weights of the read-out with it."""
    kept = 1 - getattr(getattr(trainer.network, "spiking", None), "feedback_decay", 0.0)
    slots, (start, stop) = trainer.store.slots, trainer.store.matrices.slot_start[-2:]
    before = slots.weight[start:stop].copy()
    slots.weight[start:stop] *= np.float32(kept)
    yield
    slots.weight[start:stop] = before


def check_first_loss(trainer):
    """The loss and the correct samples of the first step are those of an evaluation of the weights that it begins with."""
    rows = trainer._shuffle(0)[: trainer.plan.batch_size]
    with decayed_readout(trainer):
        before = trainer.network.evaluate(*samples_of(trainer, rows))
    trainer.run(should_stop=lambda: True)
    if trainer.history:  # an epoch of one step
        loss, accuracy = trainer.history[0].train_loss, trainer.history[0].train_accuracy
    else:
        loss, accuracy = float(trainer.progress.loss[0]) / rows.size, int(trainer.progress.n_correct[0]) / rows.size
    assert loss == pytest.approx(before.loss, rel=1e-3, abs=1e-5), "training loss"
    assert accuracy == pytest.approx(before.accuracy, abs=1.01 / rows.size), "training accuracy"


def check_promise(trainer):
    """Never more than promised; exactly that, less what found no room, where a rewiring has just been made."""
    store, rule, plan = trainer.store, trainer.plan.rule, trainer.store.plan
    planned = sum(plan.n_wanted)
    if not rule.is_strict:
        return
    if not plan.starts_dense:
        assert store.n_active <= planned
    if not rule.rewires:
        assert store.n_active + store.n_unplaced == sum(plan.n_start)
    elif trainer.step and trainer.step % rule.period == 0 and not plan.starts_dense:
        n_unfilled = trainer.progress.n_unfilled[0] if trainer.step_in_epoch else trainer.history[-1].n_unfilled
        assert store.n_active + n_unfilled == planned, "K"


def bits_of(trainer):
    arrays, values = trainer.state()
    history = [{key: value for key, value in epoch.items() if not key.endswith("_s")} for epoch in values.pop("history")]
    values.pop("seconds")
    return {name: array.tobytes() for name, array in arrays.items()}, history, values


def check_record(record, trainer, prepared):
    """Counts are those of the store, parts add up, limits hold."""
    store, net, verdict = trainer.store, record.connectivity, prepared.verdict
    assert record.verdict == verdict.to_dict()
    of_core = np.bincount(store.segments.core, store.n_active_by_segment, store.plan.n_cores).astype(int).tolist()
    assert [core.synapses.used for core in record.cores] == of_core
    assert net.active == store.n_active == sum(m.active for m in net.matrices) == record.epochs[-1].n_active
    assert net.active == int((store.slots.active == 1).sum())
    assert all(sum(m.fan_in.counts) == m.n_post for m in net.matrices)
    assert all(sum(m.weights.counts) == m.active for m in net.matrices if m.weights)
    assert sum(net.inputs.synapses) == net.matrices[0].active
    released, arrived = (sum(getattr(e, key) for e in record.epochs) for key in ("n_released", "n_arrived"))
    assert net.rewired == arrived and net.active == sum(store.plan.n_start) - net.unplaced + arrived - released
    assert (net.unplaced > 0) == bool(net.unplaced_by)
    rewired = [e.n_active_least for e in record.epochs if e.n_active_least is not None]
    assert net.least_active == min(rewired, default=None) and all(n <= net.most_active for n in rewired)
    for core in record.cores:
        assert sum(core.memory_bytes.sections.values()) == core.memory_bytes.used
        assert sum(core.traffic_by_phase_bytes.values()) == core.traffic_bytes
        assert all(rows.used <= rows.peak <= rows.limit for rows in core.rows.values())
    energy, traffic = record.energy, record.traffic_bytes
    priced = [row.energy_j for row in energy.rows if row.energy_j is not None]
    assert sum(priced) == pytest.approx(energy.total_j, **SAME)
    for parts in (energy.by_phase_j, energy.by_component_j):
        assert sum(parts.values()) == pytest.approx(energy.total_j, **SAME)
    assert sum(row.read_bytes for row in traffic.rows) == traffic.read and sum(row.write_bytes for row in traffic.rows) == traffic.write
    assert sum(traffic.by_phase.values()) == traffic.read + traffic.write
    for epoch in record.epochs:
        assert 0 <= epoch.train_accuracy <= 1 and 0 <= epoch.test_accuracy <= 1
        assert epoch.train_loss > 0 or epoch.train_accuracy == 1, "a loss of zero"


def check_scenario(seed, recordings, folder, draw=draw_once):
    """Train, stop, resume and account for the scenario of a seed; returns how it ended."""
    scenario, prepared, _ = draw_scenario(seed, recordings, draw)
    if scenario.hardware.on_violation == "refuse" and not prepared.verdict.fits:
        with pytest.raises(DoesNotFitError):
            run_scenario(scenario, out=folder / "refused")
        assert not (folder / "refused").exists()
        return "refused"
    rng = np.random.default_rng((seed, 1))
    is_parallel = rng.random() < 0.3
    mlp.PARALLEL_WORK, before = (0 if is_parallel else mlp.PARALLEL_WORK), mlp.PARALLEL_WORK
    try:
        return train_twice(prepared, rng)
    finally:
        mlp.PARALLEL_WORK = before


def train_twice(prepared, rng):
    def make_trainer():
        return trainers.make_trainer(prepared, None)[0]

    whole, first = make_trainer(), make_trainer()
    assert whole.store.violations() == []
    assert whole.store.n_active + whole.store.n_unplaced == sum(whole.store.plan.n_start)
    try:
        assert whole.run()
    except TrainingDivergedError:
        return "diverged"
    assert whole.store.violations() == []
    check_promise(whole)
    check_first_loss(first)
    for _ in range(int(rng.integers(0, min(40, first.n_steps)))):
        first.run(should_stop=lambda: True)
        check_promise(first)
    assert first.store.violations() == []
    arrays, values = first.state()
    second = make_trainer()
    second.restore({name: array.copy() for name, array in arrays.items()}, values)
    assert second.store.violations() == [] and second.run()
    assert bits_of(second) == bits_of(whole), "a resumed run differs"
    records = [make_record(prepared, trainer, 1) for trainer in (whole, second)]
    for record in records:
        check_record(record, whole, prepared)
    a, b = (record.model_dump(exclude={"timing": {"epoch_s", "evaluation_s"}, "epochs": {"__all__": {"train_s", "test_s"}}}) for record in records)
    assert a == b
    moved = whole.store.tally.by_segment[:, SegmentEvent.RELEASED].sum()
    return "moved" if moved else "still"


@pytest.fixture(scope="module")
def cached_files():
    """Data sets and profiles are read once each: hundreds of scenarios name the same files."""
    load = cache(DatasetChoice.load)
    profiles, chosen = {}, experiment.chosen_profile

    def choose(scenario):
        key = (scenario.hardware.profile, scenario.hardware.price_set, scenario.hardware.corner)
        return profiles[key] if key in profiles else profiles.setdefault(key, chosen(scenario))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatasetChoice, "load", lambda self, data_dir=None: load(self))
        patch.setattr(experiment, "chosen_profile", choose)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, N_SEEDS, CHUNK))
def test_no_number_of_a_random_scenario_contradicts_another(first, recordings, cached_files, tmp_path):
    """One line a seed: what is wrong with it."""
    wrong, ends = [], []
    for seed in range(first, min(first + CHUNK, N_SEEDS)):
        try:
            ends.append(check_scenario(seed, recordings, tmp_path))
        except Exception as error:  # every seed is to be heard
            wrong.append(f"seed {seed}: {type(error).__name__}: {str(error)[:300]}")
    assert not wrong, "\n".join(wrong)
    assert ends.count("moved") >= len(ends) // 8, "scenarios in which nothing moves prove little"


@pytest.mark.slow
def test_no_number_of_a_random_network_with_maps_contradicts_another(recordings, cached_files, tmp_path):
    wrong, ends = [], []
    for seed in range(max(N_SEEDS // 6, 1)):
        try:
            ends.append(check_scenario(seed, recordings, tmp_path, draw_maps))
        except Exception as error:
            wrong.append(f"maps, seed {seed}: {type(error).__name__}: {str(error)[:300]}")
    assert not wrong, "\n".join(wrong)
    assert ends.count("moved") >= len(ends) // 8, "scenarios in which nothing moves prove little"


@pytest.mark.slow
def test_no_number_of_a_random_spiking_network_contradicts_another(recordings, cached_files, tmp_path):
    wrong, ends = [], []
    for seed in (*range(max(N_SEEDS // 6, 1)), *SEEDS_THAT_DECAY):
        try:
            ends.append(check_scenario(seed, recordings, tmp_path, draw_spikes))
        except Exception as error:
            wrong.append(f"spikes, seed {seed}: {type(error).__name__}: {str(error)[:300]}")
    assert not wrong, "\n".join(wrong)
    assert ends.count("moved") >= len(ends) // 8, "scenarios in which nothing moves prove little"
