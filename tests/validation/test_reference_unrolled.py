"""The ledger of recurrent runs against `reference_unrolled`, which walks every step of every sample access by access.

As in `test_reference_counter`: a run is made twice, once undisturbed and once step by step with the reference beside it. The
data are recordings of 1 to 7 steps, in WAV files.
"""

import math
import wave
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from reference_chip import Segment
from reference_unrolled import UnrolledChip
from test_reference_counter import (
    EVENT_PRICES,
    ENERGY_RTOL, HOPS, ODD, REWIRED, SANTOS, Watch, differences, events_of, hand_bytes, hand_events, odd_profile, priced_energy,
    take_connections, traffic_of, widths_of,
)  # fmt: skip
from test_reference_counter import test_events, test_traffic, test_what_the_case_is_for_happened  # noqa: F401, of the runs here

from neurosim.kernels.layout import SegmentEvent
from neurosim.placement import refuse_unless_fits
from neurosim.scenario.experiment import prepare
from neurosim.scenario.record import make_record, settle
from neurosim.scenario.trainer import make_trainer
from neurosim.scenario.schema import Scenario

RATE, FRAME = 8000, 80
N_TRAIN, N_TEST, N_CLASSES, MAX_STEPS, N_BANDS = 14, 5, 4, 7, 5


@dataclass(frozen=True)
class Case:
    """One run; `shows` names what it must have made happen (see `ReferenceChip.seen`)."""

    cell: str = "lstm"
    profile: str = SANTOS
    cores: int = 1
    units: tuple = (6,)
    readout: str = "last"
    window: int | None = None
    batch: int = 4
    optimizer: str = "sgd"
    connectivity: float | tuple = 0.4
    scope: str = "core"
    headroom: float = 0.0
    period: int = 1
    rule: tuple = ()
    weights: tuple = ()
    shows: tuple = ()

    def __str__(self):
        units = "-".join(map(str, self.units))
        parts = (self.cell, units, self.profile, f"{self.cores}core", self.readout, f"window{self.window or 'all'}", f"batch{self.batch}")
        parts += (
            self.optimizer,
            self.scope,
            f"every{self.period}",
            *(value for key, value in self.rule if key == "rule"),
            *dict(self.weights).values(),
        )
        return "-".join(parts)


MOVED = tuple(word for word in REWIRED if "activation" not in word)
LONGER = "sample longer than the window"
SET = (("rule", "set"), ("drop_fraction", 0.4), ("period", 2), ("stop", 1.0))
RIGL = (("rule", "rigl"), *SET[1:])
CASES = (
    Case(shows=MOVED),
    Case("rnn", shows=MOVED),
    Case(profile=ODD, cores=3, shows=(*MOVED, "packet", "short sample")),
    Case("rnn", ODD, 3, optimizer="adam", shows=(*MOVED, "packet")),
    Case(profile=ODD, cores=3, window=3, optimizer="adam", shows=(*MOVED, "packet", LONGER, "short sample")),
    Case("rnn", ODD, 2, window=1, batch=1, shows=(*MOVED, "packet", LONGER)),
    Case(profile=ODD, cores=2, readout="mean", batch=1, optimizer="momentum", shows=(*MOVED, "packet")),
    Case("rnn", ODD, 3, readout="mean", window=3, shows=(*MOVED, "packet", "cut")),
    Case(profile=ODD, cores=4, readout="mean", window=2, units=(6, 5), optimizer="adam", shows=(*MOVED, "packet", "cut")),
    Case("rnn", ODD, 4, units=(7, 3), window=4, scope="layer", headroom=0.3, period=2, shows=(*MOVED, "packet", "free slot", LONGER)),
    Case(profile=ODD, cores=3, units=(5, 2), window=2, scope="network", headroom=0.3, shows=(*MOVED, "packet", "free slot")),
    # More cores than units or outputs, and nearly full matrices.
    Case("rnn", ODD, 4, units=(3, 2), window=5, connectivity=0.6, shows=(*MOVED, "packet")),
    Case(profile=ODD, cores=2, connectivity=(0.97, 0.97, 0.9), readout="mean", shows=("arrival", "exact draw")),
    Case("lstm", "santos_odd_memory", 3, window=3, shows=(*MOVED, "packet")),
    Case("lstm", "grid_odd", 6, units=(7,), readout="mean", window=3, shows=(*MOVED, *HOPS, "cut")),
    Case("rnn", "mesh_odd", 8, units=(9, 8), window=3, shows=(*MOVED, *HOPS, "packet within a tile", "packet to another chip")),
    Case(profile=ODD, cores=3, window=3, weights=(("weight_format", "int9"), ("rounding", "stochastic")), shows=(*MOVED, "packet")),
    Case("rnn", ODD, 2, weights=(("weight_format", "s1.6"), ("master", "float32")), optimizer="momentum", shows=(*MOVED, "packet")),
    Case("rnn", ODD, 3, rule=SET, window=3, shows=("arrival", "search", "packet")),
    Case(profile=ODD, cores=2, rule=RIGL, window=3, optimizer="adam", shows=("placed", "search", "packet")),
    Case("rnn", ODD, 3, rule=RIGL, readout="mean", window=2, shows=("placed", "search", "packet")),
    Case("rnn", ODD, 3, rule=(("rule", "dense"),), window=3, shows=("packet",)),
)


def random_recordings():
    """(label, index, steps) of each file: indices from 5 on train."""
    rng = np.random.default_rng(7)
    for part, n in ((5, N_TRAIN), (0, N_TEST)):
        for k in range(n):
            yield k % N_CLASSES, part + k // N_CLASSES, MAX_STEPS if k == 0 else int(rng.integers(1, MAX_STEPS + 1))


def write_recordings(folder, recordings):
    """Noise, its loudness by label: WAV files, 16-bit mono."""
    rng = np.random.default_rng(8)
    folder.mkdir(exist_ok=True)
    for label, index, n_steps in recordings:
        data = (rng.normal(0, 2000 * (label + 1), FRAME * n_steps)).clip(-32767, 32767).astype("<i2")
        with wave.open(str(folder / f"{label}_noise_{index}.wav"), "wb") as file:
            file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
            file.writeframes(data.tobytes())
    return str(folder)


def make_scenario(case, folder, recordings=None, max_steps=MAX_STEPS, n_bands=N_BANDS, n_epochs=2):
    profile = case.profile
    if "odd" in profile:
        (folder / f"{profile}.yaml").write_text(yaml.safe_dump(odd_profile(profile)), encoding="utf-8")
        profile = str(folder / f"{profile}.yaml")
    rewiring = {"scope": case.scope, **dict(case.rule)}
    if not case.rule:
        rewiring |= {"l1": 1e-3, "period": case.period, "noise_std": 6.0}
    training = {"epochs": n_epochs, "batch_size": case.batch, "learning_rate": 0.02, "optimizer": case.optimizer, "clip": 1.0}
    return Scenario.model_validate(
        {
            "name": "unrolled",
            "seed": 5,
            "dataset": {
                "name": write_recordings(folder / "recordings", recordings or random_recordings()),
                "max_steps": max_steps,
                "features": {"frame_ms": 10.0, "hop_ms": 10.0, "bands": n_bands},
            },
            "network": {"type": case.cell, "units": case.units, "readout": case.readout, "connectivity": case.connectivity},
            "hardware": {"profile": profile, "cores": case.cores, "headroom": case.headroom, "price_set": EVENT_PRICES.get(profile)}
            | dict(case.weights),
            "training": training | ({"window": case.window} if case.window else {}),
            "rewiring": rewiring,
        }
    )


def make_chip(experiment, store, has_noise):
    placement, profile, scenario = experiment.placement, experiment.profile, experiment.scenario
    segments = [Segment(s.matrix, s.core, range(s.post_start, s.post_stop), s.n_pre) for s in placement.segments]
    n_matrices = 2 * len(scenario.network.units) + 1
    scopes = {
        "core": [[s] for s in segments],
        "layer": [[s for s in segments if s.matrix == m] for m in range(n_matrices)],
        "network": [segments],
    }[scenario.rewiring.scope]
    places, mesh = None, profile.network.mesh
    if mesh is not None:
        on_chip = [c for c, kind in enumerate(profile.chips) for _ in range(kind.working_cores.value)] or [0] * profile.cores.value
        numbers = [on_chip[:core].count(on_chip[core]) // mesh.cores_per_tile.value for core in range(placement.n_cores)]
        places = [(on_chip[c], (on_chip[c], tile), divmod(tile, mesh.height.value)) for c, tile in enumerate(numbers)]
    units, n_cores, n_bands = list(scenario.network.units), placement.n_cores, scenario.dataset.features.bands
    n_classes = placement.workload.topology.sizes[-1]
    homes = [[core for core in range(n_cores) for _ in range(n * core // n_cores, n * (core + 1) // n_cores)] for n in (*units, n_classes)]
    chip = UnrolledChip(
        scenario.network.type,
        n_bands,
        units,
        n_classes,
        scenario.training.window or scenario.dataset.max_steps,
        scenario.network.readout,
        [[-1] * n_bands, *homes],
        segments,
        scopes,
        widths_of(profile, scenario),
        scenario.training.batch_size,
        has_noise + (scenario.hardware.rounding == "stochastic"),
        places=places,
        clips=scenario.training.clip is not None,
    )
    take_connections(chip, store)
    return chip


class UnrolledWatch(Watch):
    """A sample is its number of steps, for all but dense gradients."""

    make_chip = staticmethod(make_chip)

    def sample(self, batch, i, n_batch):
        return int(batch.lengths[i])

    def evaluation_samples(self, dataset):
        return [int(n) for n in dataset.lengths_test]

    def gradient_of(self, g, segment):
        """The reference makes all accesses; the values are the package's, which have tests of their own."""
        self.chip.dense_gradient(segment, self.chip.n_gradient_walks[segment.matrix])
        gradient, *_ = self.dense_gradient(g, len(self.samples))
        positions = [(pre, post) for post in segment.posts for pre in range(segment.n_pre)]
        return dict(zip(positions, gradient.tolist(), strict=True))


@cache
def run_case(case, folder, **data):
    experiment = prepare(make_scenario(case, folder, **data))
    refuse_unless_fits(experiment.placement)
    plain, _ = make_trainer(experiment, None)
    assert plain.run()
    watched, _ = make_trainer(experiment, None)
    watch = UnrolledWatch(experiment, watched)
    assert watched.run()
    for name, array in plain.store.state().items():
        assert (array == watched.store.state()[name]).all(), name
    return settle(experiment, plain), watch.chip, experiment, (watch.n_trained, watch.n_evaluated), plain


@pytest.fixture(params=CASES, ids=str)
def run(request, tmp_path_factory):
    folder = Path(tmp_path_factory.getbasetemp()) / f"unrolled{CASES.index(request.param)}"
    folder.mkdir(exist_ok=True)
    return request.param, *run_case(request.param, folder)


def test_energy(run):
    _, ledger, chip, experiment, n_samples, _ = run
    total, unpriced = priced_energy(chip, experiment.profile, *n_samples, experiment.placement.n_cores)
    assert total > 0 and (ledger.n_trained, ledger.n_evaluated) == n_samples == (2 * N_TRAIN, 2 * N_TEST)
    assert ledger.total_energy_j == pytest.approx(total, rel=ENERGY_RTOL) and set(ledger.unpriced) == unpriced


def test_metrics_are_per_sample_and_count_all_steps(run):
    """With all weights and states different from zero, effective operations are the forward operations of one evaluation."""
    case, ledger, chip, experiment, _, trainer = run
    metrics = make_record(experiment, trainer, 1).metrics
    lengths = trainer.dataset.lengths_test
    walks = [lengths.sum(), (lengths - 1).sum()] * len(case.units) + [N_TEST]
    sizes = [m.n_pre * m.n_post for m in trainer.store.plan.matrices]
    assert metrics["SynapticOperations"]["Dense"] == sum(n * k for n, k in zip(sizes, walks)) / N_TEST
    assert 0 <= metrics["ActivationSparsity"] < 0.2
    active = [int(trainer.store.connections(m)[0].size) for m in range(len(sizes))]
    most = sum(n * k for n, k in zip(active, walks)) / N_TEST
    assert 0.5 * most < metrics["SynapticOperations"]["Effective_MACs"] <= most
    assert trainer.store.tally.by_segment[:, SegmentEvent.SLOTS].sum() > 0


# A case worked by hand: one input, two tanh units and two outputs on two cores, one of each; all 5 + 5 connections, nothing is
# rewired. One batch of two samples, of 3 steps and of 1; window 2, so errors reach 2 steps and 1. One test sample of 2 steps.
#
#   walks                 forward   backward   gradient     evaluate
#   input matrix          3 + 1     0          2 + 1        2
#   recurrent matrix      2 + 0     1 + 0      2 + 0        1
#   output matrix         1 + 1     1 + 1      1 + 1        1
#
# Both cores do the same. Slots of a core: 1, 2 and 2. Each recurrent and output walk brings one value of the other core.

HAND_TRAFFIC = """
input     input_buffer    write  4X
input     label_buffer    write  4X
forward   input_buffer    read   4X
forward   label_buffer    read   2X
forward   synapses        read   12I+12W+12S
forward   unrolled_state  read   8A+8A+4A+4A
forward   unrolled_state  write  4A+8A+4A+4A
forward   neuron_state    read   6A+4A+2A+4A+2E
forward   neuron_state    write  2A+4A+2A+4E
backward  synapses        read   6I+6W+6S
backward  unrolled_state  read   3A
backward  neuron_state    read   12E+3E+3E+3E
backward  neuron_state    write  3E+3E+6E+3E+3E
gradient  synapses        read   11I
gradient  input_buffer    read   3X
gradient  unrolled_state  read   8A
gradient  neuron_state    read   11E+5E+5G
gradient  neuron_state    write  5G
gradient  gradients       read   11G
gradient  gradients       write  11G
update    synapses        read   5W+5S
update    synapses        write  5W
update    gradients       read   5G+5G
update    gradients       write  5G
update    neuron_state    read   2A+2G+2G
update    neuron_state    write  2A+2G
evaluate  input_buffer    write  2X
evaluate  input_buffer    read   2X
evaluate  synapses        read   6I+6W+6S
evaluate  unrolled_state  read   4A+4A+2A+2A
evaluate  unrolled_state  write  2A+4A+2A+2A
evaluate  neuron_state    read   3A+2A+1A
evaluate  neuron_state    write  1A+2A
"""

# Host bytes: 4 X = 20 bit = 3 B twice; 2 X = 10 bit = 2 B and A = 19 bit = 3 B.
HAND_EVENTS = """
input     host_byte        6
forward   synaptic_op      12
forward   neuron_update    6
forward   packet_sent      6
forward   packet_received  6
backward  synaptic_op      6
backward  neuron_update    3
backward  packet_sent      3
backward  packet_received  3
gradient  synaptic_op      11
update    synaptic_op      5
update    synaptic_update  5
update    neuron_update    4
update    packet_sent      1
update    packet_received  1
evaluate  synaptic_op      6
evaluate  neuron_update    3
evaluate  packet_sent      2
evaluate  packet_received  2
evaluate  host_byte        5
"""


def on_both_cores(table):
    return "\n".join(f"{line} {line.split()[-1]}" for line in table.strip().split("\n"))


def test_worked_by_hand(tmp_path):
    case = Case("rnn", ODD, 2, units=(2,), window=2, batch=2, connectivity=1.0, rule=(("rule", "static"),))
    recordings = ((0, 5, 3), (1, 5, 1), (0, 0, 2))
    ledger, chip, *_ = run_case(case, tmp_path, recordings=recordings, max_steps=3, n_bands=1, n_epochs=1)
    traffic, events = hand_bytes(on_both_cores(HAND_TRAFFIC)), hand_events(on_both_cores(HAND_EVENTS))
    assert differences({k: n for k, n in chip.bytes().items() if k[2] != "host"}, traffic) == []
    assert differences(chip.counts(), events) == []
    assert differences(traffic_of(ledger), traffic) == []
    assert differences(events_of(ledger), events) == []
    # 40 operations, 5 synaptic updates, 16 neuron updates, 12 packets and 11 host bytes a core, at 3, 5, 7, 9 and 11 x 1e-10 J.
    assert math.isclose(ledger.total_energy_j, 2 * (120 + 25 + 112 + 108 + 121) * 1e-10, rel_tol=ENERGY_RTOL)
