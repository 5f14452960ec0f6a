"""What the programs of spiking networks do, against a counter that walks every access of every step of every sample.

The wiring stays as it is drawn and weights hardly move, so the spikes of all samples follow from one simulation in float64. `Slow` knows the
programs from their description (`docs/hardware-model.md`, `accounting.spiking`), not from the code that counts.
"""

from collections import Counter

import numpy as np
import pytest

from neurosim.accounting import KINDS, PHASES
from neurosim.accounting.sections import DIRECTIONS
from neurosim.accounting.pricing import LOOP
from neurosim.accounting.spiking import SpikingTraffic
from neurosim.accounting.spiking_loops import SpikingLoopCounter
from neurosim.datasets import make_dataset
from neurosim.placement.sections import SECTIONS
from neurosim.scenario.experiment import prepare
from neurosim.scenario.record import settle
from neurosim.scenario.schema import Scenario
from neurosim.scenario.trainer import make_trainer

N_INPUTS, N_UNITS, N_CLASSES, N_STEPS, N_TRAIN, N_TEST, EPOCHS = 5, 7, 3, 6, 9, 4, 2
COUNTED = ("input", "forward", "backward", "gradient", "evaluate")
OF_PROGRAM = ("synaptic_op", "neuron_update", "packet_sent", "packet_received", "trace_update", "history_read", "target_broadcast")


def data_set():
    rng = np.random.default_rng(5)
    n = N_TRAIN + N_TEST
    x = (rng.random((n, N_STEPS, N_INPUTS)) < 0.5).astype(np.float32)
    lengths = rng.integers(1, N_STEPS + 1, n)
    lengths[:2] = N_STEPS
    y = np.arange(n) % N_CLASSES
    return make_dataset(x[:N_TRAIN], y[:N_TRAIN], x[N_TRAIN:], y[N_TRAIN:], lengths=lengths[:N_TRAIN], lengths_test=lengths[N_TRAIN:])


def experiment_of(program="eprop_clock", method="eprop", cores=1, execution="scan", batch=3, cutoff=None, rule="static", rate=1e-9, **more):
    network = {"type": "lif", "units": N_UNITS, "connectivity": 0.6, "tau_m": 5.0, "tau_out": 4.0, "v_th": 0.4, "readout": "every"}
    training = {"epochs": EPOCHS, "batch_size": batch, "learning_rate": rate, "method": method}
    for key, value in more.items():
        (training if key in ("feedback", "rate_cost", "rate_target") else network)[key] = value
    hardware = {"profile": "spinnaker2", "cores": cores, "execution": execution, "program": program}
    if cutoff:
        hardware["trace_cutoff"] = cutoff
    scenario = Scenario(
        name="programs", dataset="cue_accumulation", network=network, hardware=hardware, training=training, rewiring={"rule": rule}
    )  # fmt: skip
    data = data_set()
    return prepare(scenario, data.shape), data


def run(experiment, data):
    """Ledger and trainer after all epochs, and the wiring before them."""
    trainer, _ = make_trainer(experiment, dataset=data)
    wiring = [tuple(np.array(column) for column in trainer.store.connections(m)) for m in range(len(trainer.store.plan.matrices))]
    trainer.run()
    return settle(experiment, trainer), trainer, wiring


class Slow:
    """Counts access by access. Bits and events are kept by (core, phase, section, direction) and (core, phase, kind)."""

    def __init__(self, experiment, wiring):
        placement = experiment.placement
        self.work, self.topology, self.spiking = placement.workload, placement.workload.topology, placement.workload.topology.spiking
        self.formats, word = placement.profile.formats, placement.profile.synapse_word
        self.n_cores, self.program = placement.n_cores, self.work.program
        self.act, self.err, self.grad = (getattr(self.formats, f"{n}_bits").value for n in ("activation", "error", "gradient"))
        self.pointer = self.formats.row_pointer_bits.value
        self.strength = word.weight_bits.value + word.sign_bits.value
        self.post_bits, self.pre_bits = word.post_index_bits.value, word.pre_index_bits.value
        self.sorted = self.work.execution == "event_driven"
        home = np.split(np.array(placement.home), np.cumsum(self.topology.sizes)[:-1])
        self.home = [part.tolist() for part in home]
        self.wiring = wiring
        self.slots = {}  # (matrix, core) -> [(pre, post, weight)]
        for segment in placement.segments:
            rows = [
                (int(pre), int(post), float(w))
                for pre, post, w in zip(*wiring[segment.matrix], strict=True)
                if segment.post_start <= post < segment.post_stop
            ]
            self.slots[segment.matrix, segment.core] = sorted(rows)
        self.bits, self.events, self.turns = Counter(), Counter(), Counter()
        self.cell = "alif" if self.spiking.adaptive > 0 else "lif"
        self.last = len(self.topology.populations) - 1
        self.neurons = sum(self.home[1:-1], [])  # the core of each spiking one
        self.one = self.spiking.readout != "every"
        self.history = self.program in ("bptt", "eprop_spike")
        self.past = "history" if self.history else "neuron_state"
        self.traces = not self.history
        self.width = self.grad  # of a trace, where the profile states none
        self.has_gradients = self.work.batch_size > 1 or self.history or not self.one
        kappa = self.spiking.kappa > 0
        filtered = self.spiking.learning.filtered_errors
        alif = self.spiking.adaptive > 0
        self.words = {
            "bptt": 0,
            "eprop_spike": 0,
            "eprop_factorised": int(self.one),
            "eprop_clock": alif + (1 if self.one else kappa and filtered),
            "eprop_synapse": 1 + alif + (1 if self.one else kappa and filtered),
        }[self.program]
        if self.spiking.rate_cost and self.traces:
            self.words += 1

    def read(self, core, phase, section, bits):
        self.bits[core, phase, section, "read"] += bits

    def write(self, core, phase, section, bits):
        self.bits[core, phase, section, "write"] += bits

    def update(self, core, phase, section, bits):
        self.read(core, phase, section, bits)
        self.write(core, phase, section, bits)

    def event(self, core, phase, kind, n=1):
        self.events[core, phase, kind] += n

    def turn(self, core, phase, loop, n=1):
        self.turns[core, phase, loop] += n

    def is_bits(self, m):
        """Whether the pre neurons of a matrix spike: the data set here has values of 0 and 1 that nobody calls spikes."""
        return self.topology.projections[m].pre > 0

    def hidden_segments(self):
        return [(key, rows) for key, rows in self.slots.items() if self.topology.projections[key[0]].post != self.last]

    def readout_segments(self):
        return [(key, rows) for key, rows in self.slots.items() if self.topology.projections[key[0]].post == self.last]

    def simulate(self, x):
        """Spikes of the neurons of each layer: list of bool, shape (steps, units), by population; None of the inputs."""
        s, sizes = self.spiking, self.topology.sizes
        v, a, wait, z = ([np.zeros(n) for n in sizes[:-1]] for _ in range(4))
        spikes = [[] for _ in sizes[:-1]]
        for row in x:
            values = [row, *([None] * (len(sizes) - 2))]
            for i in self.topology.hidden:
                sums = np.zeros(sizes[i])
                for m, projection in enumerate(self.topology.projections[:-1]):
                    if projection.post == i:
                        source = z[i] if projection.is_recurrent else values[projection.pre]
                        for pre, post, weight in zip(*self.wiring[m], strict=True):
                            sums[post] += weight * source[pre]
                a[i] = s.rho * a[i] + z[i]
                v[i] = s.alpha * v[i] + sums - s.v_th * z[i]
                distance = v[i] - (s.v_th + s.beta * s.adapts(sizes[i]) * a[i])
                assert np.abs(distance).min() > 1e-5, "too near to the threshold to be sure"
                wait[i] = np.maximum(wait[i] - 1, 0)
                z[i] = ((distance > 0) & (wait[i] == 0)).astype(float)
                wait[i][z[i] > 0] = s.refractory + 1
                values[i] = z[i]
                spikes[i].append(z[i] > 0)
        return [None, *(np.array(one) for one in spikes[1:])]

    # One sample

    def sample(self, x, phase):
        spikes, n_steps = self.simulate(x), len(x)
        trains = {}  # (matrix, step): which pre neurons act there
        for m, projection in enumerate(self.topology.projections):
            for t in range(n_steps):
                if projection.pre == 0:
                    trains[m, t] = x[t] > 0
                elif not projection.is_recurrent:
                    trains[m, t] = spikes[projection.pre][t]
                elif t > 0:
                    trains[m, t] = spikes[projection.pre][t - 1]
        for t in range(n_steps):
            self.forward(phase, trains, t)
        if phase == "evaluate":
            for neuron in range(self.topology.sizes[-1]):
                self.read(self.home[-1][neuron], phase, "neuron_state", self.act)
            return
        n_losses = 1 if self.one else min(n_steps, self.spiking.readout_steps or n_steps)
        for core in set(self.home[-1]):
            self.write(core, "input", "label_buffer", self.topology.sizes[-1] * self.formats.input_bits.value)
        for _ in range(n_losses):
            self.judge()
        self.signals(n_losses, n_steps)
        if self.program == "bptt":
            self.go_back(n_steps, n_losses)
        for t in range(n_steps):
            self.move_traces(trains, t)
        self.gradients(trains, n_steps, n_losses)
        for core in self.home[-1]:
            for _ in range(n_losses):
                self.read(core, "gradient", "neuron_state", self.err)
                self.update(core, "gradient", "neuron_state", self.grad)
                self.turn(core, "gradient", "gradient_bias")

    def x_section(self, m):
        return "input_buffer" if self.topology.projections[m].pre == 0 else self.past

    def x_bits(self, m):
        # The data set here has values of 0 and 1 that nobody calls spikes.
        return self.formats.input_bits.value if self.topology.projections[m].pre == 0 else 1

    def is_visible(self, m, core, pre):
        population = self.topology.projections[m].pre
        return population == 0 or self.home[population][pre] == core or any(row[0] == pre for row in self.slots[m, core])

    def forward(self, phase, trains, t):
        source = "evaluate" if phase == "evaluate" else "input"
        for core in {core for (m, core) in self.slots if self.topology.projections[m].pre == 0}:
            self.write(core, source, "input_buffer", self.topology.sizes[0] * self.formats.input_bits.value)
        for (m, core), rows in self.slots.items():
            if (m, t) not in trains:
                continue
            fired = trains[m, t]
            if self.sorted:
                for pre in range(len(fired)):
                    self.read(core, phase, self.x_section(m), self.x_bits(m))
                    self.turn(core, phase, "spike_test" if self.is_bits(m) else "row_test")
                    if fired[pre] and self.is_visible(m, core, pre):
                        self.read(core, phase, "row_pointers", 2 * self.pointer)
                        self.turn(core, phase, "row_open")
                for pre, _, _ in rows:
                    if fired[pre]:
                        self.turn(core, phase, "forward_spike_row_f32" if self.is_bits(m) else "forward_row_f32")
                        self.read(core, phase, "synapses", self.post_bits + self.strength)
                        self.update(core, phase, "neuron_state", self.act)
                        self.event(core, phase, "synaptic_op")
            else:
                for _ in rows:
                    self.read(core, phase, self.x_section(m), self.x_bits(m))
                    self.read(core, phase, "synapses", self.pre_bits + self.post_bits + self.strength)
                    self.update(core, phase, "neuron_state", self.act)
                    self.event(core, phase, "synaptic_op")
                    self.turn(core, phase, "forward_spikes_f32" if self.is_bits(m) else "forward_f32")
            population = self.topology.projections[m].pre
            copies = sum(self.home[population][pre] != core for pre in range(len(fired))) if population else 0
            self.turn(core, phase, "start_sum", -(-copies // 32))  # words of bits
            for pre in range(len(fired)) if population else ():
                at = self.home[population][pre]
                if at == core:
                    continue
                self.write(core, phase, self.past, 1)  # the copy starts at zero
                if fired[pre] and any(row[0] == pre for row in rows):
                    self.read(at, phase, self.past, 1)
                    self.write(core, phase, self.past, 1)
                    self.event(at, phase, "packet_sent")
                    self.event(core, phase, "packet_received")
                    self.turn(at, phase, "send_spike")
                    self.turn(core, phase, "receive_spike")
        model = self.topology.populations[1].model
        states = model.states + (self.spiking.refractory > 0)
        for core in self.neurons:
            self.write(core, phase, "neuron_state", self.act)  # the sum starts at zero
            self.turn(core, phase, "start_sum")
            self.turn(core, phase, f"{self.cell}_{phase}")
            if self.spiking.refractory:
                self.turn(core, phase, "refractory")
            self.read(core, phase, "neuron_state", (1 + states) * self.act)
            self.write(core, phase, "neuron_state", states * self.act)
            self.write(core, phase, self.past, 1)
            if phase == "forward":
                self.write(core, phase, self.past, self.act)  # psi
            self.event(core, phase, "neuron_update")
        mean = self.spiking.readout == "mean"
        for core in self.home[-1]:
            self.write(core, phase, "neuron_state", self.act)
            self.read(core, phase, "neuron_state", self.act)  # bias
            self.turn(core, phase, "start_bias")
            self.turn(core, phase, "readout_step")
            if mean:
                self.turn(core, phase, "mean_add")
            self.read(core, phase, "neuron_state", (2 + mean) * self.act)
            self.write(core, phase, "neuron_state", (1 + mean) * self.act)
            self.event(core, phase, "neuron_update")

    def judge(self):
        cores = set(self.home[-1])
        for core in cores:
            own = self.home[-1].count(core)
            other = self.topology.sizes[-1] - own
            for _ in range(own):
                self.read(core, "forward", "neuron_state", (len(cores) - 1) * self.act)
                self.event(core, "forward", "packet_sent", len(cores) - 1)
                self.turn(core, "forward", "send_value", len(cores) - 1)
                self.turn(core, "forward", "softmax_error")
                self.write(core, "forward", "neuron_state", self.err)
                self.read(core, "forward", "label_buffer", self.formats.input_bits.value)
                self.update(core, "forward", "neuron_state", self.err)
                if self.history and not self.one:
                    self.write(core, "forward", "history", self.err)
            self.write(core, "forward", "neuron_state", other * self.act)
            self.event(core, "forward", "packet_received", other)
            self.turn(core, "forward", "receive_value", other)
            self.turn(core, "forward", "softmax_exponential", own + other)
            self.read(core, "forward", "neuron_state", (own + other) * self.act)

    def walk_back(self, key, rows):
        """Errors of post neurons to pre neurons, along all slots of a segment."""
        m, core = key
        population = self.topology.projections[m].pre
        n_pre = self.topology.sizes[population]
        for pre in range(n_pre):
            at = self.home[population][pre]
            if at != core:
                self.write(core, "backward", "neuron_state", self.err)  # the partial sum starts at zero
                self.turn(core, "backward", "start_sum")
                if any(row[0] == pre for row in rows):
                    self.read(core, "backward", "neuron_state", self.err)
                    self.event(core, "backward", "packet_sent")
                    self.event(at, "backward", "packet_received")
                    self.turn(core, "backward", "send_value")
                    self.turn(at, "backward", "receive_error")
                    self.update(at, "backward", "neuron_state", self.err)
            if self.sorted:
                self.read(core, "backward", "row_pointers", 2 * self.pointer)
                self.turn(core, "backward", "row_open")
                self.write(core, "backward", "neuron_state", self.err)
        for _ in rows:
            self.event(core, "backward", "synaptic_op")
            self.turn(core, "backward", "backward_row_f32" if self.sorted else "backward_f32")
            self.read(core, "backward", "neuron_state", self.err)
            index = self.post_bits if self.sorted else self.pre_bits + self.post_bits
            self.read(core, "backward", "synapses", index + self.strength)
            if not self.sorted:
                self.update(core, "backward", "neuron_state", self.err)

    def signals(self, n_losses, n_steps):
        to_history = self.program == "eprop_spike" and not self.one
        hidden_cores = set(self.neurons)
        for _ in range(n_losses):
            for core in self.neurons:
                self.write(core, "backward", "history" if to_history else "neuron_state", self.err)
                self.event(core, "backward", "neuron_update")
                self.turn(core, "backward", "start_sum")
            if self.spiking.learning.instant_layers and self.program != "bptt":
                for core in sum(self.home[2:-1], []):  # an error of this step for the layer below
                    self.read(core, "backward", self.past, self.act)
                    self.update(core, "backward", "neuron_state", self.err)
                    self.turn(core, "backward", "signal_times")
                for key, rows in self.hidden_segments():
                    projection = self.topology.projections[key[0]]
                    if projection.pre and not projection.is_recurrent:
                        self.walk_back(key, rows)
            if self.spiking.feedback == "symmetric":
                continue
            for core in self.home[-1]:
                for target in hidden_cores - {core}:
                    self.read(core, "backward", "neuron_state", self.err)
                    self.write(target, "backward", "neuron_state", self.err)
                    self.event(core, "backward", "packet_sent")
                    self.event(target, "backward", "packet_received")
                    self.event(core, "backward", "target_broadcast")
                    self.turn(core, "backward", "send_value")
                    self.turn(target, "backward", "receive_error")
            for core in self.neurons:
                for _ in range(self.topology.sizes[-1]):
                    self.read(core, "backward", "feedback", self.grad)
                    self.turn(core, "backward", "feed_back")
                    self.read(core, "backward", "neuron_state", self.err)
        if self.spiking.feedback == "symmetric":
            for _ in range(n_losses):
                for key, rows in self.readout_segments():
                    self.walk_back(key, rows)
        for core in self.home[-1] if self.history and not self.one else ():
            for _ in range(n_steps):
                self.read(core, "backward", "history", self.err)
                self.update(core, "backward", "neuron_state", self.err)
                self.turn(core, "backward", "readout_step")

    def go_back(self, n_steps, n_losses):
        model = self.topology.populations[1].model
        _, n_errors, n_written = model.backward
        for t in range(n_steps):
            for core in self.neurons:
                self.read(core, "backward", "history", self.act)
                self.read(core, "backward", "neuron_state", (n_errors + self.one) * self.err)
                self.write(core, "backward", "neuron_state", n_written * self.err)
                self.event(core, "backward", "neuron_update")
                self.turn(core, "backward", f"{self.cell}_backward")
                self.turn(core, "backward", "mean_add", int(self.one))
            for key, rows in self.hidden_segments():
                projection, learning = self.topology.projections[key[0]], self.spiking.learning
                if t > 0 and projection.is_recurrent and learning.recurrent_errors:
                    self.walk_back(key, rows)
                # Of errors within a step those of steps with a loss.
                last = n_losses if learning.instant_layers else n_steps
                if projection.pre and not projection.is_recurrent and learning.layer_errors and t >= n_steps - last:
                    self.walk_back(key, rows)

    def has_trace(self, m):
        is_readout = self.topology.projections[m].post == self.last
        if is_readout:
            return self.one or self.traces
        return self.traces and self.program != "eprop_synapse"

    def move_traces(self, trains, t):
        for m, core in self.slots:
            if (m, t) in trains and self.has_trace(m):
                for _ in trains[m, t]:
                    self.read(core, "gradient", self.x_section(m), self.x_bits(m))
                    self.update(core, "gradient", "pre_traces", self.width)
                    self.turn(core, "gradient", "trace_step" if self.is_bits(m) else "trace_value")

    def gradients(self, trains, n_steps, n_losses):
        for (m, core), rows in self.slots.items():
            is_readout = self.topology.projections[m].post == self.last
            if is_readout and self.one:
                self.visit_in_order(m, core, rows, is_readout)
            elif self.history and (self.sorted or self.program == "eprop_spike"):
                self.visit_by_spikes(m, core, rows, trains, n_steps, is_readout)
            else:
                only_losses = is_readout or not self.spiking.learning.filtered_errors
                steps = [t for t in range(n_steps) if (m, t) in trains]
                if only_losses and not self.history:
                    steps = steps[-n_losses:]
                for _ in steps:
                    self.visit_in_order(m, core, rows, is_readout)
            if not is_readout and self.traces:
                for _ in rows:
                    self.end_sample(core)

    def visit_in_order(self, m, core, rows, is_readout):
        for _ in rows:
            self.event(core, "gradient", "synaptic_op")
            self.read(core, "gradient", "synapses", self.pre_bits + self.post_bits)
            if is_readout or self.program == "bptt":
                self.turn(core, "gradient", "gradient" if self.has_trace(m) or not self.is_bits(m) else "gradient_spikes")
            else:
                own, rate = "_own" * (self.program == "eprop_synapse"), "_rate" * bool(self.spiking.rate_cost)
                self.turn(core, "gradient", f"eligible_{self.kind()}{own}{rate}")
            if self.has_trace(m):
                self.read(core, "gradient", "pre_traces", self.width)
            else:
                self.read(core, "gradient", self.x_section(m), self.x_bits(m))
            if is_readout:
                self.read(core, "gradient", "neuron_state", self.err)
                self.add_gradient(core)
            elif self.program == "bptt":
                self.read(core, "gradient", "neuron_state", self.err)
                self.add_gradient(core)
            else:
                self.read(core, "gradient", "neuron_state", self.act)  # psi
                for _ in range(self.words):
                    self.update(core, "gradient", "eligibility", self.width)
                if self.words:
                    self.event(core, "gradient", "trace_update")
                if not self.one:
                    self.read(core, "gradient", "neuron_state", self.err)
                    self.add_gradient(core)

    def kind(self):
        """What a slot keeps, or a replay sums up, and of which cells."""
        filtered = self.spiking.kappa > 0 and self.spiking.learning.filtered_errors
        return f"{'sum' if self.one else 'filter' if filtered else 'factor'}_{self.cell}"

    def add_gradient(self, core):
        if self.has_gradients:
            self.update(core, "gradient", "gradients", self.grad)

    def end_sample(self, core):
        """The traces of a slot start anew, and what one of them has gathered meets its signal."""
        sums = self.one + bool(self.spiking.rate_cost)
        for number in range(self.words):
            self.write(core, "gradient", "eligibility", self.width)
            self.turn(core, "gradient", "eligible_end" if number < sums else "clear_number")
        if self.one:
            self.read(core, "gradient", "eligibility", self.width)
            self.read(core, "gradient", "neuron_state", self.err)
            self.add_gradient(core)

    def visit_by_spikes(self, m, core, rows, trains, n_steps, is_readout):
        steps = [t for t in range(n_steps) if (m, t) in trains]
        for t in steps:
            for pre in range(len(trains[m, t])):
                self.read(core, "gradient", self.x_section(m), self.x_bits(m))
                self.turn(core, "gradient", "spike_test" if self.is_bits(m) else "row_test")
                if trains[m, t][pre] and self.is_visible(m, core, pre) and self.sorted:
                    self.read(core, "gradient", "row_pointers", 2 * self.pointer)
                    self.turn(core, "gradient", "row_open")
        for pre, _, _ in rows:
            spikes = [t for t in steps if trains[m, t][pre]]
            for i, t in enumerate(spikes):
                self.event(core, "gradient", "synaptic_op")
                self.read(core, "gradient", "synapses", self.post_bits)
                self.add_gradient(core)
                replays = self.program == "eprop_spike" and not is_readout
                self.turn(core, "gradient", "replay_slot" if replays else "gradient_spike_row" if self.is_bits(m) else "gradient_row")
                if is_readout or self.program == "bptt" or self.one:
                    self.read(core, "gradient", "neuron_state", self.err)
                if self.program == "eprop_spike" and not is_readout:
                    until = spikes[i + 1] if i + 1 < len(spikes) else n_steps
                    for _ in range(min(until - t, self.work.trace_cutoff)):
                        self.event(core, "gradient", "history_read")
                        self.turn(core, "gradient", f"replay_{self.kind()}")
                        self.read(core, "gradient", "history", self.act + (0 if self.one else self.err))


def tables(slow):
    """Bytes and events of the slow counter as arrays of the shapes of a ledger."""
    n_bytes = np.zeros((slow.n_cores, len(PHASES), len(SECTIONS), 2), np.int64)
    events = np.zeros((slow.n_cores, len(PHASES), len(KINDS)), np.int64)
    for (core, phase, section, way), n in slow.bits.items():
        n_bytes[core, PHASES.index(phase), SECTIONS.index(section), DIRECTIONS.index(way)] = (n + 7) // 8
    for (core, phase, kind), n in slow.events.items():
        events[core, PHASES.index(phase), KINDS.index(kind)] = n
    return n_bytes, events


def compare(experiment, data):
    """Ledger against the slow counter; returns what the latter counted."""
    ledger, trainer, wiring = run(experiment, data)
    slow = Slow(experiment, wiring)
    for x, lengths, phase, times in (
        (data.x_train, data.lengths_train, "forward", EPOCHS),
        (data.x_test, data.lengths_test, "evaluate", len(trainer.parts_evaluated)),
    ):
        for _ in range(times):
            for row, length in zip(x.reshape(len(x), N_STEPS, -1), lengths, strict=True):
                slow.sample(row[N_STEPS - length :], phase)
    n_bytes, events = tables(slow)
    wrong = []
    for phase in COUNTED:
        p = PHASES.index(phase)
        for core in range(slow.n_cores):
            for s, section in enumerate(SECTIONS):
                for d, way in enumerate(DIRECTIONS):
                    a, b = int(ledger.traffic[core, p, s, d]), int(n_bytes[core, p, s, d])
                    if a != b:
                        wrong.append(f"{phase} {section} {way} core {core}: {a} counted, {b} slowly")
            for kind in OF_PROGRAM:
                a, b = (int(found[core, p, KINDS.index(kind)]) for found in (ledger.events, events))
                if a != b:
                    wrong.append(f"{phase} {kind} core {core}: {a} counted, {b} slowly")
    # The program's loops: what has no slow counterpart are free slots, of which there are none here, and the updates.
    loops = {(line.core, line.phase, line.component.removeprefix(LOOP)): line for line in ledger.energy if line.component.startswith(LOOP)}
    counted = {key: line.count for key, line in loops.items() if key[1] in COUNTED}
    for key in sorted({*counted, *(key for key, n in slow.turns.items() if n)}):
        if counted.get(key, 0) != slow.turns[key]:
            wrong.append(f"loop {key}: {counted.get(key, 0)} counted, {slow.turns[key]} slowly")
    assert not wrong, wrong[:12]
    assert all(line.price_j for line in loops.values())
    return slow


CASES = {
    "bptt": {"program": "bptt", "method": "bptt"},
    "bptt on three cores": {"program": "bptt", "method": "bptt", "cores": 3, "execution": "event_driven"},
    "bptt, one signal": {"program": "bptt", "method": "bptt", "readout": "mean", "execution": "event_driven", "refractory": 2},
    "bptt of e-prop": {"program": "bptt", "cores": 2, "feedback": "random"},
    "clock": {"cores": 3},
    "clock, one signal, one sample": {"batch": 1, "readout": "last", "cores": 2, "execution": "event_driven"},
    "clock, one signal": {"readout": "mean", "cores": 2, "rate_cost": 1.0, "rate_target": 0.1},
    "clock of alif, random feedback": {"type": "alif", "cores": 3, "feedback": "random", "execution": "event_driven"},
    "clock, last steps": {"readout_steps": 2, "cores": 2},
    "clock, feed-forward": {"recurrent": False, "cores": 2, "execution": "event_driven"},
    "synapse": {"program": "eprop_synapse", "type": "alif", "cores": 2},
    "spike": {"program": "eprop_spike", "execution": "event_driven", "cores": 3},
    "spike, cut off": {"program": "eprop_spike", "execution": "event_driven", "cutoff": 2, "feedback": "random", "cores": 2},
    "spike, one signal": {"program": "eprop_spike", "execution": "event_driven", "readout": "mean", "cores": 2},
    "factorised": {"program": "eprop_factorised", "method": "eprop_factorised", "cores": 3},
    "factorised, last steps": {
        "program": "eprop_factorised",
        "method": "eprop_factorised",
        "cores": 2,
        "readout_steps": 2,
        "execution": "event_driven",
    },
    "factorised, one signal": {"program": "eprop_factorised", "readout": "mean", "cores": 2},
    "bptt, two layers": {"program": "bptt", "method": "bptt", "units": [7, 5], "cores": 3},
    "clock, two layers, random feedback": {"units": [7, 5], "cores": 3, "feedback": "random"},
    "factorised, two layers": {"program": "eprop_factorised", "method": "ottt", "units": [7, 5], "cores": 3},
    "factorised, three layers, last steps": {
        "program": "eprop_factorised",
        "method": "ottt",
        "units": [7, 5, 6],
        "cores": 2,
        "readout_steps": 2,
        "execution": "event_driven",
    },
    "clock of alif, errors of each step": {"method": "ottt", "type": "alif", "units": [7, 5], "cores": 2, "recurrent": False},
    "bptt of errors of each step": {"program": "bptt", "method": "ottt", "units": [7, 5], "cores": 2, "execution": "event_driven"},
    "spike, errors of each step": {"program": "eprop_spike", "method": "ottt", "units": [7, 5], "cores": 2, "execution": "event_driven"},
}


@pytest.mark.parametrize("name", CASES)
def test_counts_are_those_of_every_access(name):
    experiment, data = experiment_of(**CASES[name])
    slow = compare(experiment, data)
    kinds = {kind for (_, phase, kind) in slow.events if phase == "gradient"}
    assert ("history_read" in kinds) == name.startswith("spike")
    assert ("trace_update" in kinds) == (name.startswith(("clock", "synapse")) or name == "factorised, one signal")
    assert any(kind == "target_broadcast" for (_, _, kind) in slow.events) == (CASES[name].get("feedback") == "random")
    assert slow.events[0, "evaluate", "neuron_update"] > 0 and len({core for core, *_ in slow.events}) == CASES[name].get("cores", 1)


@pytest.mark.parametrize(("part", "section"), [("_move_traces", "pre_traces"), ("_signals", "neuron_state"), ("_find_slots", "synapses")])
def test_a_forgotten_access_is_noticed(part, section, monkeypatch):
    monkeypatch.setattr(SpikingTraffic, part, lambda *arguments: None)
    with pytest.raises(AssertionError, match=section):
        compare(*experiment_of(cores=2))


@pytest.mark.parametrize(
    ("part", "case", "loop"),
    [("visit_traces", "clock", "eligible_filter_lif"), ("test_rows", "spike", "spike_test"), ("backward", "bptt", "lif_backward"), ("softmax", "bptt", "softmax_error")],
)  # fmt: skip
def test_a_forgotten_loop_is_noticed(part, case, loop, monkeypatch):
    monkeypatch.setattr(SpikingLoopCounter, part, lambda *arguments: None)
    with pytest.raises(AssertionError, match=loop):
        compare(*experiment_of(**CASES[case]))


def test_a_forgotten_error_from_layer_to_layer_is_noticed(monkeypatch):
    monkeypatch.setattr(SpikingTraffic, "_pass_down", lambda *arguments: None)
    with pytest.raises(AssertionError, match="backward neuron_state"):
        compare(*experiment_of(**CASES["factorised, two layers"]))


def test_a_trace_of_one_step_is_followed_once_a_spike_while_synapses_move():
    """With a cut-off of one step what is replayed are the spikes, however often their synapses come and go."""
    experiment, data = experiment_of(program="eprop_spike", execution="event_driven", cutoff=1, rule="deep_r", rate=0.5, cores=2, batch=2)
    ledger, trainer, _ = run(experiment, data)
    assert sum(record.n_arrived for record in trainer.history) > 0
    spikes = ledger.events[:, PHASES.index("gradient"), KINDS.index("history_read")].sum()
    segment = {name: trainer.store.tally.by_segment[:, event] for name, event in (("spikes", 1), ("replayed", 31))}
    hidden = np.array([s.matrix < 2 for s in experiment.placement.segments])
    assert (segment["spikes"] == segment["replayed"])[hidden].all() and spikes == segment["spikes"][hidden].sum() > 0
