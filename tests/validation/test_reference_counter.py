"""The ledger of a run against `reference_chip`, which executes the document's program access by access.

A run is made twice: once undisturbed, its ledger is judged; once step by step, where the connections before each
step, the activations and errors of each sample and the released slots are handed to the reference chip. Who arrives is
computed by the reference from the counter-based draws; the connections after every step must then be the package's.

Tolerances: integers exactly; energy to 1e-12 of the total (float64 sums in another order).

Profiles named *_odd differ from the bundled ones only in their numbers: all widths are different and odd, so that no
width stands in for another one, and bytes are really rounded up.
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from reference_chip import ReferenceChip, Segment, Widths, fold

from neurosim.accounting import KINDS, PHASES
from neurosim.kernels import mlp
from neurosim.kernels.mlp_train import Progress
from neurosim.nn import Mlp
from neurosim.placement import refuse_unless_fits
from neurosim.random import Stream, stream_key
from neurosim.scenario.experiment import prepare
from neurosim.scenario.network import make_store
from neurosim.scenario.record import settle
from neurosim.scenario.runner import _make_trainer
from neurosim.scenario.schema import Scenario

PROFILES = Path(__file__).parents[2] / "hardware_profiles"
NEVER = 2**62
ENERGY_RTOL = 1e-12


# Profiles


def number(value, unit, **more):
    return {"value": value, "unit": unit, "kind": "assumed", "source": "neurosim", "confidence": "A", "note": "of a test", **more}


def price(value):
    return number(value, "J", meaning="marginal")


def odd_profile(name):
    """Document of a profile with odd numbers."""
    base = {"santos_odd": "spinnaker2_santos", "santos_odd_memory": "spinnaker2_santos", "brainscales2_odd": "brainscales2"}[name]
    document = yaml.safe_load((PROFILES / f"{base}.yaml").read_text(encoding="utf-8"))
    document["name"] = name
    widths = {"activation": 19, "error": 23, "gradient": 37, "input": 5, "row_pointer": 13}
    if base == "brainscales2":
        del widths["row_pointer"]
        document["synapse_word"] = {"weight_bits": number(7, "bit"), "label_bits": number(11, "bit")}
        document["storage"]["rows"] = number(26, "1")
    else:
        word = {"pre_index": 11, "post_index": 7, "weight": 29, "sign": 3}
        document["synapse_word"] = {f"{key}_bits": number(n, "bit") for key, n in word.items()}
    document["formats"] |= {f"{key}_bits": number(n, "bit") for key, n in widths.items()}
    kinds = ("synaptic_op", "synaptic_update", "neuron_update", "packet", "host_byte")
    prices = {kind: price((3 + 2 * i) * 1e-10) for i, kind in enumerate(kinds)}
    if name == "santos_odd":
        prices["synaptic_write"] = price(1.7e-9)
    if name == "santos_odd_memory":
        prices |= {"local_read_byte": price(1.1e-12), "local_write_byte": price(1.9e-12), "random_draw": price(2.3e-11)}
        document["energy"]["static"] = {"core": number(1e-3, "W"), "chip": number(2e-3, "W")}
        cycles = ("synaptic_op", "synaptic_update", "synaptic_write", "neuron_update", "random_draw")
        document["time"]["cycles"] = {kind: number(7 + 3 * i, "cycle") for i, kind in enumerate(cycles)}
    document["energy"]["accounting"] = "memory" if name == "santos_odd_memory" else "event"
    if base == "spinnaker2_santos":
        document["energy"]["prices"] = prices
    return document


def widths_of(profile):
    word, formats = profile.synapse_word, profile.formats
    bits = lambda quantity: 0 if quantity is None else quantity.value  # noqa: E731
    is_array = profile.storage.family == "crossbar_multibit"
    return Widths(
        pre=bits(word.label_bits) if is_array else word.pre_index_bits.value,
        post=0 if is_array else word.post_index_bits.value,
        weight=word.weight_bits.value,
        sign=bits(word.sign_bits),
        x=formats.input_bits.value,
        activation=formats.activation_bits.value,
        error=formats.error_bits.value,
        gradient=formats.gradient_bits.value,
        pointer=None if formats.row_pointer_bits is None else formats.row_pointer_bits.value,
    )


# Cases


@dataclass(frozen=True)
class Case:
    """One run; `shows` names what it must have made happen (see `ReferenceChip.seen`)."""

    profile: str
    execution: str = "scan"
    cores: int = 1
    batch: int = 1
    noise: float | None = 0.3
    scope: str = "core"
    headroom: float = 0.0
    period: int = 1
    layers: tuple = (12, 10, 8, 4)
    connectivity: float | tuple = (0.3, 0.4, 0.5)
    n_train: int = 18
    epochs: int = 2
    rate: float = 0.1
    l1: float = 1e-3
    shows: tuple = ()
    dataset: str = "sparse"

    def __str__(self):
        parts = (self.profile, self.execution, f"{self.cores}core", f"batch{self.batch}", self.scope, f"every{self.period}")
        more = [f"{self.dataset}{'-'.join(map(str, self.layers))}"] if self.layers != (12, 10, 8, 4) else []
        return "-".join([*parts, *more, "quiet" if self.noise is None else "noise"])


REWIRED = ("arrival", "rejected", "released", "zero activation", "non-zero activation")
ERRORS = ("zero error", "non-zero error")
SANTOS, ODD = "spinnaker2_santos", "santos_odd"
EVENTS = "event_driven"

CASES = (
    Case(SANTOS, shows=REWIRED),
    Case(SANTOS, cores=3, shows=(*REWIRED, "packet")),
    Case(SANTOS, cores=4, batch=4, period=3, shows=(*REWIRED, "packet", "free slot")),
    Case(SANTOS, EVENTS, shows=(*REWIRED, *ERRORS, "merge")),
    Case(SANTOS, EVENTS, cores=4, batch=4, shows=(*REWIRED, *ERRORS, "packet", "merge")),
    Case(SANTOS, EVENTS, cores=4, batch=4, layers=(64, 12, 10), connectivity=(0.15, 0.4), dataset="digits", n_train=18,
         shows=(*REWIRED, *ERRORS, "packet", "merge")),
    Case(ODD, cores=3, batch=1, noise=None, rate=0.5, l1=0.03, shows=(*REWIRED, "packet")),
    Case(ODD, cores=4, batch=4, shows=(*REWIRED, "packet")),
    Case(ODD, EVENTS, batch=4, period=3, shows=(*REWIRED, *ERRORS, "merge")),
    Case(ODD, EVENTS, cores=3, batch=1, period=3, shows=(*REWIRED, *ERRORS, "packet", "merge")),
    Case(ODD, EVENTS, cores=4, batch=4, noise=None, rate=0.5, l1=0.03, shows=(*REWIRED, *ERRORS, "packet", "merge")),
    Case(ODD, cores=4, batch=4, scope="layer", headroom=0.3, shows=(*REWIRED, "packet", "free slot")),
    Case(ODD, EVENTS, cores=3, batch=1, scope="layer", headroom=0.3, shows=(*REWIRED, *ERRORS, "packet", "merge")),
    Case(ODD, EVENTS, cores=4, batch=4, scope="network", headroom=0.25, period=3, shows=(*REWIRED, *ERRORS, "packet", "merge")),
    Case(ODD, cores=3, batch=1, scope="network", headroom=0.25, period=3, shows=(*REWIRED, "packet", "free slot")),
    # More cores than hidden or output neurons: some cores own nothing of a layer.
    Case(ODD, EVENTS, cores=4, batch=4, layers=(12, 3, 7, 2), connectivity=0.6, dataset="sparse2", shows=(*REWIRED, "packet", "merge")),
    Case(ODD, cores=3, batch=4, layers=(12, 4), connectivity=0.5, shows=("arrival", "packet")),
    # Nearly full matrices: exact draws.
    Case(ODD, cores=1, batch=4, connectivity=(0.97, 0.97, 0.9), shows=("arrival", "exact draw")),
    Case(ODD, EVENTS, cores=3, batch=1, connectivity=(0.97, 0.97, 0.9), shows=("arrival", "exact draw", "merge")),
    Case(ODD, cores=3, batch=4, connectivity=0.95, scope="layer", headroom=0.04, shows=("arrival", "exact draw")),
    # So much noise that a segment takes more arrivals than one merge pass.
    Case(ODD, EVENTS, batch=4, noise=8.0, period=3, layers=(12, 24, 4), connectivity=(0.7, 0.5), epochs=1,
         shows=("arrival", "long merge")),
    Case("santos_odd_memory", EVENTS, cores=3, batch=4, shows=(*REWIRED, *ERRORS, "packet", "merge")),
    Case("santos_odd_memory", cores=4, batch=1, period=3, shows=(*REWIRED, "packet", "free slot")),
    Case("spinnaker2", EVENTS, cores=3, batch=4, shows=(*REWIRED, *ERRORS, "packet", "merge")),
    Case("spinnaker2", EVENTS, cores=1, batch=1, period=3, shows=(*REWIRED, *ERRORS, "merge")),
    Case("brainscales2", EVENTS, cores=1, batch=1, shows=REWIRED),
    Case("brainscales2", cores=2, batch=4, period=3, shows=(*REWIRED, "packet", "free slot")),
    Case("brainscales2_odd", EVENTS, cores=2, batch=1, period=3, shows=(*REWIRED, "packet", "free slot")),
    # The fan-in limit of the array (26 rows: 13) binds: 12 of 12 inputs, but fan-in of layer 2 is free.
    Case("brainscales2_odd", cores=2, batch=4, layers=(12, 20, 4), connectivity=(0.3, 0.6), scope="layer", headroom=0.3,
         shows=(*REWIRED, "packet")),
)


def sparse_samples(n, n_classes, seed):
    """Random images with many zeros, and labels that depend on them: uint8 (n, 12), int32 (n,)."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 256, (n, 12)) * (rng.random((n, 12)) < 0.6)
    return x.astype(np.uint8), (x[:, :n_classes].argmax(axis=1) % n_classes).astype(np.int32)


def write_dataset(folder, n_train, n_classes):
    x_train, y_train = sparse_samples(n_train, n_classes, 1)
    x_test, y_test = sparse_samples(7, n_classes, 2)
    y_train[:n_classes] = np.arange(n_classes)
    np.savez(folder / "data.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return str(folder / "data.npz")


def make_scenario(case, folder):
    profile = case.profile
    if "odd" in profile:
        path = folder / f"{profile}.yaml"
        path.write_text(yaml.safe_dump(odd_profile(profile)), encoding="utf-8")
        profile = str(path)
    dataset = {"name": "digits", "limit": case.n_train}
    if case.dataset != "digits":
        dataset = {"name": write_dataset(folder, case.n_train, case.layers[-1])}
    rewiring = {"scope": case.scope, "l1": case.l1, "period": case.period}
    if case.noise is not None:
        rewiring["noise_std"] = case.noise
    return Scenario.model_validate(
        {
            "name": "reference",
            "seed": 5,
            "dataset": dataset,
            "network": {"layers": case.layers, "connectivity": case.connectivity},
            "hardware": {"profile": profile, "cores": case.cores, "execution": case.execution, "headroom": case.headroom},
            "training": {"epochs": case.epochs, "batch_size": case.batch, "learning_rate": case.rate},
            "rewiring": rewiring,
        }
    )


# From the package's state to the reference


def by_layer(values, layers):
    """One list per layer of a flat array over all neurons."""
    starts = np.cumsum([0, *layers])
    return [values[a:b].tolist() for a, b in zip(starts, starts[1:])]


def make_chip(experiment, store, has_noise):
    placement, profile = experiment.placement, experiment.profile
    layers = experiment.scenario.network.layers
    segments = [Segment(s.matrix, s.core, range(s.post_start, s.post_stop), s.n_pre) for s in placement.segments]
    scope = experiment.scenario.rewiring.scope
    scopes = {
        "core": [[s] for s in segments],
        "layer": [[s for s in segments if s.matrix == m] for m in range(len(layers) - 1)],
        "network": [segments],
    }[scope]
    n_labels = None
    if profile.storage.family == "crossbar_multibit":
        n_labels = profile.storage.rows.value // profile.storage.rows_per_signed_weight.value
    chip = ReferenceChip(
        layers,
        by_layer(np.array(placement.home), layers),
        segments,
        scopes,
        widths_of(profile),
        experiment.scenario.hardware.execution if n_labels is None else "analog",
        experiment.scenario.training.batch_size,
        has_noise,
        n_labels=n_labels,
        fan_in_limit=n_labels,  # each slot of a column serves its neuron
    )
    take_connections(chip, store)
    return chip


def take_connections(chip, store):
    start = store.segments.slot_start
    for g, segment in enumerate(chip.segments):
        slots = range(start[g], start[g + 1])
        segment.slots = [(int(store.slots.pre[k]), int(store.slots.post[k])) if store.slots.active[k] else None for k in slots]


def assert_same_connections(chip, store):
    start = store.segments.slot_start
    for g, segment in enumerate(chip.segments):
        part = slice(start[g], start[g + 1])
        active = store.slots.active[part] == 1
        pairs = zip(store.slots.pre[part][active].tolist(), store.slots.post[part][active].tolist())
        assert sorted(pairs) == sorted(segment.connections)


def run_sample(store, x, label, scale, n_batch):
    """Activations and errors of one sample, by layer, from the package's kernels with a single lane."""
    layers = [store.plan.matrices[0].n_pre, *(m.n_post for m in store.plan.matrices)]
    act, err = np.zeros(sum(layers), np.float32), np.zeros(sum(layers), np.float32)
    act[: layers[0]] = x.astype(np.float32) * np.float32(scale)
    mlp.forward(store.slots, store.matrices, act, (0,))
    check_dense(store, act, layers)
    if label is not None:
        base = sum(layers[:-1])
        labels, order = np.array([label], np.int32), np.zeros(1, np.int64)
        mlp.softmax_errors(act, err, base, labels, order, 0, 1, layers[-1], n_batch, 1)
        mlp.backward(store.slots, store.matrices, act, err, (0,))
    return by_layer(act, layers), by_layer(err, layers)


def check_dense(store, act, layers):
    """The activations are those of dense matrices, to float32 rounding: fan-in is at most 64."""
    act = by_layer(act, layers)
    for m in range(len(layers) - 1):
        z = np.array(act[m]) @ store.dense(m).astype(float)
        bound = 65 * np.finfo(np.float32).eps * (np.abs(act[m]) @ np.abs(store.dense(m).astype(float)))
        z = z if m == len(layers) - 2 else np.maximum(z, 0)
        assert (np.abs(z - act[m + 1]) <= bound).all()


class Watch:
    """Between a trainer and its network: every step and evaluation is executed by the reference as well."""

    def __init__(self, experiment, trainer):
        self.experiment, self.trainer, self.store = experiment, trainer, trainer.store
        self.network = trainer.network
        self.twin = make_store(experiment)
        self.twin_network = Mlp(self.twin, trainer.plan.batch_size)
        self.key = stream_key(experiment.scenario.seed, Stream.PROPOSAL)
        self.chip = make_chip(experiment, self.store, bool(experiment.scenario.rewiring.noise_std))
        self.n_wanted = [sum(len(s.connections) for s in scope) for scope in self.chip.scopes]
        self.n_trained = self.n_evaluated = 0
        trainer.network = self

    def train(self, batch, rule, counting, progress, first_step, n_steps, offset):
        for done in range(n_steps):
            self.step(batch, rule, counting, progress, first_step + done, offset + done * batch.size)
        return n_steps

    def step(self, batch, rule, counting, progress, step, first):
        chip, samples = self.chip, batch.order[first : first + batch.size]
        chip.train_step(
            [run_sample(self.store, batch.data[i], batch.labels[i], batch.scale, len(samples)) for i in samples]
        )
        self.n_trained += len(samples)
        self.twin.restore({key: array.copy() for key, array in self.store.state().items()})
        aside = Progress(*(array.copy() for array in progress))
        assert self.twin_network.train(batch, rule._replace(period=NEVER), counting, aside, step, 1, first) == 1
        chip.seen["released"] += self.store.n_active - self.twin.n_active
        take_connections(chip, self.twin)
        if (step + 1) % self.experiment.scenario.rewiring.period == 0:
            chip.rewire(fold(self.key, step), self.n_wanted)
        assert self.network.train(batch, rule, counting, progress, step, 1, first) == 1
        assert_same_connections(chip, self.store)

    def evaluate(self, x, y, scale, tally=None):
        for sample in x:
            self.chip.evaluate(run_sample(self.store, sample, None, scale, 1)[0])
        self.n_evaluated += len(x)
        return self.network.evaluate(x, y, scale, tally)


@cache
def run_case(case, folder):
    """(ledger of the undisturbed run, reference chip, experiment, samples trained and evaluated)."""
    experiment = prepare(make_scenario(case, folder))
    refuse_unless_fits(experiment.placement)
    plain, _ = _make_trainer(experiment, None)
    assert plain.run()
    watched, _ = _make_trainer(experiment, None)
    watch = Watch(experiment, watched)
    assert watched.run()
    for name, array in plain.store.state().items():
        assert (array == watched.store.state()[name]).all(), name
    ledger = settle(experiment, plain)
    return ledger, watch.chip, experiment, (watch.n_trained, watch.n_evaluated)


@pytest.fixture(params=CASES, ids=str)
def run(request, tmp_path_factory):
    case = request.param
    folder = Path(tmp_path_factory.getbasetemp()) / f"case{CASES.index(case)}"
    folder.mkdir(exist_ok=True)
    return case, *run_case(case, folder)


# Comparisons


def traffic_of(ledger):
    found = {}
    for core, phase, section, _, n_read, n_written in ledger.traffic_rows():
        for direction, n in (("read", n_read), ("write", n_written)):
            if n:
                found[core, phase, section, direction] = n
    return found


def events_of(ledger):
    return {
        (c, phase, kind): int(ledger.events[c, p, k])
        for c in range(ledger.events.shape[0])
        for p, phase in enumerate(PHASES)
        for k, kind in enumerate(KINDS)
        if ledger.events[c, p, k]
    }


def differences(package, reference):
    """Lines of what differs, empty when all is equal."""
    keys = sorted({*package, *reference}, key=str)
    return [
        f"{' '.join(map(str, key))}: reference {reference.get(key, 0)}, package {package.get(key, 0)}"
        for key in keys
        if package.get(key, 0) != reference.get(key, 0)
    ]


def test_what_the_case_is_for_happened(run):
    case, _, chip, *_ = run
    chip.seen["rejected"] = sum(n for (_, _, kind), n in chip.events.items() if kind == "proposal_rejected")
    assert [name for name in case.shows if not chip.seen[name]] == []


def test_events(run):
    _, ledger, chip, *_ = run
    assert ledger.events.dtype == np.int64
    assert differences(events_of(ledger), chip.counts()) == []


def test_traffic(run):
    _, ledger, chip, *_ = run
    assert ledger.traffic.dtype == np.int64
    assert differences(traffic_of(ledger), {k: n for k, n in chip.bytes().items() if k[2] != "host"}) == []


# Energy, by hand: section 5 of the document


PROPOSALS = ("proposal_accepted", "proposal_rejected")


def totals(chip):
    """Events of all cores and phases by component; a packet is paid where it is sent."""
    total = Counter()
    for (_, _, kind), n in chip.counts().items():
        if kind in PROPOSALS:
            total["proposal"] += n
        elif kind != "packet_received":
            total[kind] += n
    return total


def phase_cycles(chip, cycles, phase, core):
    named = {"packet_sent": "packet", "packet_received": "packet"}
    return math.fsum(
        n * cycles[named.get(kind, kind)].value
        for (c, p, kind), n in chip.counts().items()
        if c == core and p == phase and cycles.get(named.get(kind, kind)) is not None
    )


def modelled_time(chip, profile, n_trained, n_evaluated, n_cores):
    time, cycles = profile.time, dict(profile.time.cycles)
    seconds = []
    for phase in PHASES:
        if time.forward_latency is not None and phase in ("forward", "evaluate"):
            seconds.append(time.forward_latency.value * (n_trained if phase == "forward" else n_evaluated))
        elif time.clock is not None:
            seconds.append(max(phase_cycles(chip, cycles, phase, c) for c in range(n_cores)) / time.clock.value)
    return math.fsum(seconds)


def priced_energy(chip, profile, n_trained, n_evaluated, n_cores):
    """(total in J, components that occurred and have no price)."""
    energy, prices = profile.energy, {k: q.value for k, q in profile.energy.prices if q is not None}
    parts, unpriced = [], set()
    for component, n in totals(chip).items():
        name = "packet" if component == "packet_sent" else component
        price = prices.get(name)
        if energy.accounting == "cycle" and getattr(profile.time.cycles, name, None) is not None:
            price = getattr(profile.time.cycles, name).value * prices["core_cycle"]
        if price is None:
            unpriced.add(component)
        else:
            parts.append(n * price)
    if energy.accounting == "memory":
        for (_, _, section, direction), n in chip.bytes().items():
            if section != "host":
                parts.append(n * prices[f"local_{direction}_byte"])
    seconds = modelled_time(chip, profile, n_trained, n_evaluated, n_cores)
    static = energy.static
    if static.core is not None:
        parts.append(static.core.value * seconds * n_cores)
    if static.chip is not None:
        parts.append(static.chip.value * seconds)
    return math.fsum(parts), unpriced


def test_energy(run):
    _, ledger, chip, experiment, n_samples = run
    total, unpriced = priced_energy(chip, experiment.profile, *n_samples, experiment.placement.n_cores)
    assert total > 0
    assert (ledger.n_trained, ledger.n_evaluated) == n_samples
    assert math.isclose(ledger.total_energy_j, total, rel_tol=ENERGY_RTOL)
    assert set(ledger.unpriced) == unpriced and len(ledger.unpriced) == len(unpriced)
