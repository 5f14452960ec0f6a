"""The ledger of a network with maps against a slow counter: one increment an access, in loops over samples, cores, slots and places.

Written from docs/convolution.md and docs/hardware-model.md alone. Of the package it takes the connections of each step and the exchanges.
"""

from collections import Counter

import pytest

from neurosim.accounting.events import KINDS, PHASES
from neurosim.accounting.loops import count_loops
from neurosim.accounting.traffic import count_traffic
from neurosim.networks import MODELS
from neurosim.placement.sections import SECTIONS
from neurosim.scenario import Scenario
from neurosim.scenario.experiment import prepare
from neurosim.scenario.record import settle
from neurosim.scenario.trainer import make_trainer

LAYERS = {
    "max": [{"conv": 4, "kernel": 3, "padding": 1}, {"pool": "max", "window": 3, "stride": 2, "padding": 1}, {"conv": 5, "kernel": 3}, 12, 10],
    "average": [{"conv": 5, "kernel": 4, "stride": 2, "padding": 3}, {"pool": "average", "window": 2}, {"conv": 3, "kernel": 2, "padding": 1}, 10],
    "plain": [{"conv": 3, "kernel": 5, "padding": "same"}, "flatten", 10],
}


def make_scenario(name, bias, rule, n_cores, optimizer="sgd", learning="chip"):
    n = len([layer for layer in LAYERS[name] if not isinstance(layer, str) and not (isinstance(layer, dict) and "pool" in layer)])
    return Scenario(
        name="counted",
        dataset={"name": "digits", "limit": 42},
        network={"input_shape": [1, 8, 8], "layers": LAYERS[name], "bias": bias, "connectivity": [0.6] * n},
        hardware={"profile": "spinnaker2", "cores": n_cores, "headroom": 0.25, "learning": learning},
        training={"epochs": 1, "batch_size": 10, "learning_rate": 0.3, "optimizer": optimizer},
        rewiring=rule,
    )


class Slow:
    """Counts what a network does, sample by sample."""

    def __init__(self, experiment, store):
        self.experiment, self.store = experiment, store
        self.topology, self.n_cores = experiment.placement.workload.topology, experiment.placement.n_cores
        formats, word = experiment.profile.formats, experiment.profile.synapse_word
        self.a, self.e, self.g, self.i = (getattr(formats, f"{n}_bits").value for n in ("activation", "error", "gradient", "input"))
        self.index = word.pre_index_bits.value + word.post_index_bits.value
        self.strength = word.weight_bits.value + word.sign_bits.value
        self.bits, self.events, self.turns = Counter(), Counter(), Counter()

    def read(self, core, phase, section, bits, n=1):
        self.bits[core, phase, section, "read"] += bits * n

    def write(self, core, phase, section, bits, n=1):
        self.bits[core, phase, section, "write"] += bits * n

    def update(self, core, phase, section, bits):
        self.read(core, phase, section, bits)
        self.write(core, phase, section, bits)

    def core_of(self, population, unit):
        """Core c of C has [n c // C, n (c + 1) // C)."""
        n, cores = self.topology.populations[population].n, self.n_cores
        return next(c for c in range(cores) if n * c // cores <= unit < n * (c + 1) // cores)

    def section(self, population):
        if population == 0:
            return "input_buffer"
        return "feature_maps" if self.topology.populations[population].maps else "neuron_state"

    def places(self, m, pre):
        """How many (output place, input value) pairs one element of a kernel has: found by looking at every place."""
        projection = self.topology.projections[m]
        if projection.pattern is None:
            return 1
        maps, out, k = self.topology.populations[projection.pre].maps, self.topology.populations[projection.post].maps, projection.pattern
        height, width = maps.sent_height, maps.sent_width
        ky, kx = pre % (k.kernel * k.kernel) // k.kernel, pre % k.kernel
        return sum(
            0 <= y * k.stride + ky - k.padding < height and 0 <= x * k.stride + kx - k.padding < width
            for y in range(out.height)
            for x in range(out.width)
        )

    def rows(self, m, pre):
        """Rows of places at which an element reads the map: found by looking at every one."""
        projection = self.topology.projections[m]
        maps, out, k = self.topology.populations[projection.pre].maps, self.topology.populations[projection.post].maps, projection.pattern
        ky = pre % (k.kernel * k.kernel) // k.kernel
        return sum(0 <= y * k.stride + ky - k.padding < maps.sent_height for y in range(out.height))

    def turn(self, core, phase, loop, n=1):
        self.turns[core, phase, loop] += n

    def walk_places(self, core, phase, m, slot, loop, slot_loop):
        """Turns of the loops over a slot of a convolution, over the rows of its places, and over these."""
        if self.topology.projections[m].pattern is None:
            return
        self.turn(core, phase, slot_loop)
        for _ in range(self.rows(m, slot[0])):
            self.turn(core, phase, "map_row")
        for _ in range(self.places(m, slot[0])):
            self.turn(core, phase, loop)

    def walk_windows(self, core, phase, p, name):
        maps = self.topology.populations[p].maps
        pool = maps.pool
        for n in self.windows(p):
            self.turn(core, phase, f"{name}_window")
            self.turn(core, phase, f"{name}_{pool.kind}", n)
        for y in range(-pool.padding, maps.height + pool.padding - pool.window + 1, pool.stride):
            for _ in range(-pool.padding, maps.width + pool.padding - pool.window + 1, pool.stride):
                for row in range(y, y + pool.window):
                    if 0 <= row < maps.height:
                        self.turn(core, phase, "map_row")

    def windows(self, population):
        """Number of values in each window of a map of a population."""
        maps = self.topology.populations[population].maps
        pool, found = maps.pool, []
        for y in range(-pool.padding, maps.height + pool.padding - pool.window + 1, pool.stride):
            for x in range(-pool.padding, maps.width + pool.padding - pool.window + 1, pool.stride):
                inside = [
                    (r, c) for r in range(y, y + pool.window) for c in range(x, x + pool.window) if 0 <= r < maps.height and 0 <= c < maps.width
                ]
                found.append(len(inside))
        return found

    def segments(self):
        """(matrix, core, slots: (pre, post) or None where free)."""
        slots, segments = self.store.slots, self.store.segments
        for g in range(len(segments.matrix)):
            part = range(segments.slot_start[g], segments.slot_start[g + 1])
            yield (
                int(segments.matrix[g]), int(segments.core[g]),
                [(int(slots.pre[k]), int(slots.post[k])) if slots.active[k] else None for k in part],
            )  # fmt: skip

    def crossings(self):
        """(matrix, home, core, values) of every map or neuron that a core needs and does not have."""
        for m, core, slots in self.segments():
            projection = self.topology.projections[m]
            population = self.topology.populations[projection.pre]
            if projection.pre == 0:
                continue
            per = (
                projection.pattern.kernel**2
                if projection.pattern
                else (population.maps.sent_height * population.maps.sent_width if population.maps else 1)
            )
            for unit in {slot[0] // per for slot in slots if slot}:
                home = self.core_of(projection.pre, unit)
                if home != core:
                    yield m, home, core, population.maps.sent_height * population.maps.sent_width if population.maps else 1

    def units(self):
        """(population, core) of every neuron or map but the inputs."""
        for p, population in enumerate(self.topology.populations):
            for unit in range(population.n if p else 0):
                yield p, self.core_of(p, unit)

    def forward(self, phase):
        last = len(self.topology.populations) - 1
        first_cores = {core for m, core, _ in self.segments() if self.topology.projections[m].pre == 0}
        for core in first_cores:
            self.write(core, "input" if phase == "forward" else phase, "input_buffer", self.i, self.topology.n_values[0])
        for p, core in self.units():
            population, home = self.topology.populations[p], self.section(p)
            places = population.maps.height * population.maps.width if population.maps else 1
            self.write(core, phase, home, self.a, places)
            if population.has_bias:
                self.read(core, phase, "neuron_state", self.a)
            self.events[core, phase, "neuron_update"] += places
            if p == last:
                continue
            self.read(core, phase, home, self.a, places)
            self.write(core, phase, home, self.a, places)
            if population.maps and population.maps.pool:
                self.walk_windows(core, phase, p, "pool")
            for n in self.windows(p) if population.maps and population.maps.pool else ():
                self.read(core, phase, home, self.a, n)
                self.write(core, phase, home, self.a)
                self.events[core, phase, "neuron_update"] += 1
        for m, home, core, n in self.crossings():
            section = self.section(self.topology.projections[m].pre)
            for _ in range(n):
                self.read(home, phase, section, self.a)
                self.write(core, phase, section, self.a)
                self.events[home, phase, "packet_sent"] += 1
                self.events[core, phase, "packet_received"] += 1
        for m, core, slots in self.segments():
            projection = self.topology.projections[m]
            for slot in slots:
                if slot is None:
                    self.read(core, phase, "synapses", self.index)
                    continue
                self.read(core, phase, "synapses", self.index + self.strength)
                self.walk_places(core, phase, m, slot, "convolve_forward", "convolve_slot_f32")
                for _ in range(self.places(m, slot[0])):
                    self.read(core, phase, self.section(projection.pre), self.a if projection.pre else self.i)
                    self.update(core, phase, self.section(projection.post), self.a)
                    self.events[core, phase, "synaptic_op"] += 1

    def backward(self):
        last = len(self.topology.populations) - 1
        for p, core in self.units():
            population, home = self.topology.populations[p], self.section(p)
            if p == last:
                continue
            places = population.maps.height * population.maps.width if population.maps else 1
            pool = population.maps.pool if population.maps else None
            self.write(core, "backward", home, self.e, places)
            self.read(core, "backward", home, self.a, places)
            self.read(core, "backward", home, self.e, places)
            self.write(core, "backward", home, self.e, places)
            self.events[core, "backward", "neuron_update"] += places
            if pool:
                self.walk_windows(core, "backward", p, "unpool")
            for n in self.windows(p) if pool else ():
                self.write(core, "backward", home, self.e)
                self.read(core, "backward", home, self.e)
                self.events[core, "backward", "neuron_update"] += 1
                if pool.kind == "max":
                    self.read(core, "backward", home, self.a, n + 1)
                for _ in range(1 if pool.kind == "max" else n):
                    self.update(core, "backward", home, self.e)
        for m, home, core, n in self.crossings():
            section = self.section(self.topology.projections[m].pre)
            for _ in range(n):
                self.read(core, "backward", section, self.e)
                self.update(home, "backward", section, self.e)
                self.events[core, "backward", "packet_sent"] += 1
                self.events[home, "backward", "packet_received"] += 1
        for m, core, slots in self.segments():
            projection = self.topology.projections[m]
            if projection.pre == 0:
                continue
            population = self.topology.populations[projection.pre]
            sent = population.maps.sent_height * population.maps.sent_width if population.maps else 1
            own = sum(self.core_of(projection.pre, unit) == core for unit in range(population.n))
            self.write(core, "backward", self.section(projection.pre), self.e, (population.n - own) * sent)  # partial errors start at zero
            for slot in slots:
                if slot is None:
                    self.read(core, "backward", "synapses", self.index)
                    continue
                self.read(core, "backward", "synapses", self.index + self.strength)
                self.walk_places(core, "backward", m, slot, "convolve_backward", "convolve_slot_f32")
                for _ in range(self.places(m, slot[0])):
                    self.read(core, "backward", self.section(projection.post), self.e)
                    self.update(core, "backward", self.section(projection.pre), self.e)
                    self.events[core, "backward", "synaptic_op"] += 1

    def gradient(self):
        for p, core in self.units():
            population = self.topology.populations[p]
            if population.has_bias:
                places = population.maps.height * population.maps.width if population.maps else 1
                self.read(core, "gradient", self.section(p), self.e, places)
                self.update(core, "gradient", "neuron_state", self.g)
        for m, core, slots in self.segments():
            projection = self.topology.projections[m]
            for slot in slots:
                self.read(core, "gradient", "synapses", self.index)
                if slot is None:
                    continue
                self.walk_places(core, "gradient", m, slot, "convolve_gradient", "convolve_gradient_slot")
                for _ in range(self.places(m, slot[0])):
                    self.read(core, "gradient", self.section(projection.pre), self.a if projection.pre else self.i)
                    self.read(core, "gradient", self.section(projection.post), self.e)
                    self.events[core, "gradient", "synaptic_op"] += 1
                self.update(core, "gradient", "gradients", self.g)

    def give_values(self):
        """A host that learns reads every value, of maps before pooling."""
        for p, core in self.units():
            maps = self.topology.populations[p].maps
            for _ in range(maps.height * maps.width if maps else 1):
                self.read(core, "forward", self.section(p), self.a)

    def outputs(self):
        """Labels, softmax, errors: as of every other network."""
        p = len(self.topology.populations) - 1
        n = self.topology.populations[p].n
        homes = [self.core_of(p, unit) for unit in range(n)]
        for core in set(homes):
            own = homes.count(core)
            self.write(core, "input", "label_buffer", self.i, n)
            self.read(core, "forward", "neuron_state", self.a, own * (len(set(homes)) - 1))
            self.write(core, "forward", "neuron_state", self.a, n - own)
            self.read(core, "forward", "neuron_state", self.a, n)
            self.write(core, "forward", "neuron_state", self.e, own)
            self.read(core, "forward", "label_buffer", self.i, own)
            for _ in range(own):
                self.update(core, "forward", "neuron_state", self.e)
            self.events[core, "forward", "packet_sent"] += own * (len(set(homes)) - 1)
            self.events[core, "forward", "packet_received"] += n - own


class Stepwise:
    """A network that is counted before each of its steps, and before each evaluation."""

    def __init__(self, network, slow):
        self._network, self._slow = network, slow

    def __getattr__(self, name):
        return getattr(self._network, name)

    def train(self, batch, rule, counting, progress, first_step, n_steps, offset):
        for i in range(n_steps):
            for _ in range(min(batch.size, batch.order.size - offset - i * batch.size)):
                self._slow.forward("forward")
                if self._slow.experiment.placement.workload.host_learns:
                    self._slow.give_values()
                    continue
                self._slow.outputs()
                self._slow.backward()
                self._slow.gradient()
            assert self._network.train(batch, rule, counting, progress, first_step + i, 1, offset + i * batch.size) == 1
        return n_steps if n_steps else self._network.train(batch, rule, counting, progress, first_step, 0, offset)

    def evaluate_on(self, dataset, tally=None):
        for _ in range(dataset.n_test):
            self._slow.forward("evaluate")
            last = len(self._slow.topology.populations) - 1
            for unit in range(self._slow.topology.populations[-1].n):
                self._slow.read(self._slow.core_of(last, unit), "evaluate", "neuron_state", self._slow.a)
        return self._network.evaluate_on(dataset, tally)


@pytest.mark.parametrize(
    ("name", "bias", "rule", "n_cores", "learning"),
    [
        ("max", True, {"rule": "deep_r", "l1": 1e-2}, 3, "chip"),
        ("max", False, {"rule": "deep_r", "l1": 1e-2}, 1, "chip"),
        ("average", True, {"rule": "deep_r", "l1": 1e-1, "matrices": [1]}, 4, "chip"),
        ("plain", False, {"rule": "static"}, 2, "chip"),
        ("max", True, {"rule": "deep_r", "l1": 1e-2}, 3, "host"),
    ],
)
def test_equal_to_a_slow_counter(name, bias, rule, n_cores, learning):
    experiment = prepare(make_scenario(name, bias, rule, n_cores, learning=learning))
    trainer, _ = make_trainer(experiment)
    slow = Slow(experiment, trainer.store)
    trainer.network = Stepwise(trainer.network, slow)
    trainer.run()
    if rule["rule"] == "deep_r":
        assert trainer.store.tally.by_segment[:, 6].sum() > 2  # connections moved while we counted
    ledger = settle(experiment, trainer)
    phases = ("input", "forward", "backward", "gradient", "evaluate")
    kinds = ("synaptic_op", "neuron_update", "packet_sent", "packet_received")
    events = Counter({
        (core, phase, kind): int(n)
        for core in range(n_cores)
        for phase in phases
        for kind in kinds
        if (n := ledger.events[core, PHASES.index(phase), KINDS.index(kind)])
    })  # fmt: skip
    assert events == Counter({key: n for key, n in slow.events.items() if n})
    training, evaluation = activities_of(experiment, trainer)
    turns = count_loops(experiment.placement, training, evaluation, ledger.events)
    loops = [name for name in turns if name.startswith(("convolve_", "pool_", "unpool_", "map_"))]
    counted = {
        (core, phase, name): int(n) for name in loops for core in range(n_cores) for phase in phases if (n := turns[name][core, PHASES.index(phase)])
    }
    assert counted == {key: n for key, n in slow.turns.items() if n} and loops
    assert not [name for name in (*ledger.unpriced, *ledger.time.unmodelled) if name.startswith("loop:")], "every turn has its cycles"
    bits = count_traffic(experiment.placement, training, evaluation)
    found = {
        (core, phase, section, way): int(n)
        for core in range(n_cores)
        for phase in phases
        for section in SECTIONS
        for i, way in enumerate(("read", "write"))
        if (n := bits[core, PHASES.index(phase), SECTIONS.index(section), i])
    }
    assert found == {key: n for key, n in slow.bits.items() if n}
    assert MODELS["relu"].forward == (1, 1)  # what the counter above takes for granted


def activities_of(experiment, trainer):
    """What the network did in training and in evaluations: the two `Activity` of which a ledger is made."""
    from neurosim.scenario import record

    activities = []
    original, record.make_ledger = record.make_ledger, lambda placement, training, evaluation: activities.extend((training, evaluation))
    try:
        settle(experiment, trainer)
    finally:
        record.make_ledger = original
    return activities
