"""A slow, obvious chip: the training program of `docs/hardware-model.md`, executed access by access.

Nothing here multiplies a number of slots by a number of samples: every access is one call of `read` or `write`, every
event one call of `event`, inside loops over samples, cores, segments, slots and neurons. Written from the document
(sections 2 to 4) alone, as a test of the package's counting. No code of the package is used.

A sample is given as its activations and errors, one list per layer (inputs first; the errors of the inputs are not
used). Only whether a value is zero matters.
"""

from collections import Counter
from dataclasses import dataclass, field

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
N_PROPOSALS = 64
N_ARRIVALS_A_MERGE = 64
EXCHANGED = ("synapses", "synapse_array", "synapse_lists", "row_pointers", "optimizer_state", "master_weights")


def mix64(value):
    """Finalizer of splitmix64 (Steele, Lea, Flood 2014) on plain integers."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def fold(key, step):
    return mix64((key + step * GOLDEN) & MASK)


def bits64(key, index):
    return mix64(mix64((key + index * GOLDEN) & MASK) ^ key)


@dataclass
class Widths:
    """Bits of everything that is stored; `label` is set on a crossbar, where there are no indices and signs."""

    pre: int
    post: int
    weight: int
    sign: int
    x: int
    activation: int
    error: int
    gradient: int
    pointer: int | None
    n_state: int = 0  # numbers of the optimizer per slot, each as wide as a gradient
    step_count: int = 0  # of each core with neurons
    has_places: bool = False  # every possible connection in a fixed place
    never_free: bool = False
    master: int = 0  # wide copy of the strength

    @property
    def index(self):
        return 0 if self.has_places else self.pre + self.post

    @property
    def word(self):
        return self.index + self.weight + self.sign

    @property
    def mark(self):
        """What tells a free slot: its index, or its weight in a fixed place; nothing where no slot ever is free."""
        return self.index or (0 if self.never_free else self.weight)


@dataclass
class Lists:
    """Packed lists: bits of a synapse on each core, of a block's header, of a word; most synapses of a block."""

    synapse_bits: list
    header: int
    block: int
    unit: int

    def words(self, core, n):
        words = 0
        while n > 0:
            bits = min(n, self.block) * self.synapse_bits[core] + self.header
            words += -(-bits // self.unit)
            n -= self.block
        return words


@dataclass
class RowLimits:
    """Most in-axons, out-axons and words of each core, entries of each chip's router and targets of a neuron, or None without a limit."""

    in_axons: list | None = None
    out_axons: list | None = None
    words: list | None = None
    entries: int | None = None
    targets: int | None = None  # cores with synapses of a neuron


@dataclass
class Segment:
    """Slots of one matrix on one core. `slots` holds a (pre, post) per connection and None per free slot."""

    matrix: int
    core: int
    posts: range
    n_pre: int
    slots: list = field(default_factory=list)

    @property
    def connections(self):
        return [slot for slot in self.slots if slot is not None]

    def row(self, pre):
        return [slot for slot in self.connections if slot[0] == pre]

    def column(self, post):
        return [slot for slot in self.connections if slot[1] == post]

    def is_full(self):
        return None not in self.slots


class ReferenceChip:
    """Counts of one run.

    Parameters
    ----------
    layers : sequence of int
    home : list of list of int
        Core of each neuron of each layer; the inputs' entries are not used.
    segments : list of Segment
    scopes : list of list of Segment
    widths : Widths
    style : {'scan', 'event_driven', 'analog', 'lists'}
    batch_size : int
    n_draws : int
        Random draws per update of a slot: noise, stochastic rounding.
    n_labels : int, optional
        Labels in one column of a crossbar: one per slot, as everywhere, so rows over rows per signed weight.
    fan_in_limit : int, optional
    has_accumulators : bool, optional
        Whether gradients are summed in memory; by default if a batch is larger than one sample.
    lists : Lists, optional
        Of style 'lists'.
    limits : RowLimits, optional
    is_soft : bool
        Whether connections that are not active walk as well.
    places : list of (chip, tile or None, (x, y) or None), optional
        Of each core, where packets differ by where they go; a tile as (chip, number).
    host_learns : bool
        The chip runs the forward pass alone.
    host_rewires : bool
        The chip learns; the host reads its weights and exchanges connections.
    spilled : dict of int to set of str, optional
        Sections that a core has in the memory that it shares with others.
    has_bias : bool
        Whether every sum starts at a bias.
    sends_zeros : set of int
        Layers whose values all count as not zero.
    clips : bool
        Whether the norm of the gradient is taken.
    fixed : set of int
        Matrices that do not rewire, and have no noise.
    """

    def __init__(
        self, layers, home, segments, scopes, widths, style, batch_size, n_draws,
        n_labels=None, fan_in_limit=None, lists=None, limits=None, has_accumulators=None, is_soft=False, places=None, host_learns=False,
        spilled=None, host_rewires=False, has_bias=False, sends_zeros=(), clips=False, has_noise=False, fixed=(),
    ):  # fmt: skip
        self.layers, self.home, self.segments, self.scopes = list(layers), home, segments, scopes
        self.widths, self.style, self.n_draws = widths, style, n_draws
        self.has_accumulators = batch_size > 1 if has_accumulators is None else has_accumulators
        self.n_labels, self.fan_in_limit, self.is_soft = n_labels, fan_in_limit, is_soft
        self.lists, self.limits, self.places = lists, limits, places
        self.host_learns, self.is_host_at_work = host_learns, False
        self.host_rewires, self.host_exchanges = host_rewires, host_learns or host_rewires
        self.words = {"analog": "synapse_array", "lists": "synapse_lists"}.get(style, "synapses")
        self.bits, self.events, self.seen = Counter(), Counter(), Counter()
        self.spilled, self.shared_bits = spilled or {}, Counter()
        self.last = len(self.layers) - 1
        self.inbox = {}
        self.has_bias, self.sends_zeros, self.clips, self.has_noise, self.fixed = has_bias, set(sends_zeros), clips, has_noise, set(fixed)

    # What is measured

    def read(self, core, phase, section, bits):
        if not self.is_host_at_work:
            self.access(core, phase, section, "read", bits)

    def write(self, core, phase, section, bits):
        if not self.is_host_at_work:
            self.access(core, phase, section, "write", bits)

    def access(self, core, phase, section, direction, bits):
        self.bits[core, phase, section, direction] += bits
        if section in self.spilled.get(core, ()):
            self.shared_bits[core, phase, section, direction] += bits
            self.seen["spilled access"] += 1

    def event(self, core, phase, kind):
        if not self.is_host_at_work:
            self.events[core, phase, kind] += 1

    def bytes(self):
        """Bytes of each (core, phase, section, direction): bits rounded up once."""
        return {key: -(-bits // 8) for key, bits in self.bits.items() if bits}

    def shared_bytes(self):
        """Those of them that the shared memory moved."""
        return {key: -(-bits // 8) for key, bits in self.shared_bits.items() if bits}

    def counts(self):
        """Events of each (core, phase, kind), with the bytes that the host moved."""
        events = {key: n for key, n in self.events.items() if n}
        for (core, phase, section, direction), bits in self.bits.items():
            is_buffer = section in ("input_buffer", "label_buffer") and direction == "write"
            is_buffer = is_buffer or self.host_learns and phase in ("update", "rewire") and direction == "write"
            is_buffer = is_buffer or self.host_rewires and phase == "rewire" and section in EXCHANGED
            if (is_buffer or section == "host") and bits:
                events[core, phase, "host_byte"] = events.get((core, phase, "host_byte"), 0) + -(-bits // 8)
        return events

    # Where things are

    def own(self, layer):
        """(core, neuron) of every neuron of a layer."""
        return list(enumerate_home(self.home[layer]))

    def own_hidden(self):
        return [(core, layer, i) for layer in range(1, self.last) for core, i in self.own(layer)]

    def cores_with_outputs(self):
        return sorted({core for core, _ in self.own(self.last)})

    def remote_pres(self, segment):
        """Hidden pre neurons of a segment that live on other cores."""
        if segment.matrix == 0:
            return []
        return [i for core, i in self.own(segment.matrix) if core != segment.core]

    def bias_cores(self):
        """Core of every bias."""
        return [core for layer in range(1, self.last + 1) for core, _ in self.own(layer)] if self.has_bias else []

    def holds(self, layer, value):
        """Whether a value of a layer is something."""
        self.seen["zero that counts"] += value == 0 and layer in self.sends_zeros
        return value != 0 or layer in self.sends_zeros

    def read_x(self, segment, phase):
        if segment.matrix == 0:
            self.read(segment.core, phase, "input_buffer", self.widths.x)
        else:
            self.read(segment.core, phase, "neuron_state", self.widths.activation)

    # The program

    def train_step(self, samples):
        """One mini-batch of (activations, errors), without the rewiring."""
        if self.host_learns:
            self.host_step(samples)
            return
        for act, err in samples:
            self.input_phase()
            received = self.forward(act, "forward")
            self.output()
            self.backward(err, received)
            self.gradient(err)
        self.update()

    def host_step(self, samples):
        """The chip computes activations; the host reads all of them, learns by itself, and writes every weight."""
        w = self.widths
        for act, _ in samples:
            self.host_inputs("input")
            self.forward(act, "forward")
            for layer in range(1, self.last + 1):
                for core, _ in self.own(layer):
                    self.read(core, "forward", "neuron_state", w.activation)
                    self.bits[core, "forward", "host", "read"] += w.activation
            for core, _ in self.own(self.last):
                self.event(core, "forward", "neuron_update")
        for segment in self.segments:
            for pre in range(segment.n_pre) if self.lists else ():
                self.write_list(segment, pre, "update")
            for slot in segment.slots:
                if slot is None:
                    self.seen["free slot"] += 1
                    continue
                if not self.lists:
                    self.write(segment.core, "update", self.words, w.weight)
                self.event(segment.core, "update", "synaptic_write")
        for core in self.bias_cores():
            self.write(core, "update", "neuron_state", w.activation)

    def by_host(self, work, *args):
        """Let the host do something: it takes nothing of the chip."""
        before, self.is_host_at_work = self.is_host_at_work, self.host_exchanges
        work(*args)
        self.is_host_at_work = before

    def evaluate(self, act):
        self.host_inputs("evaluate")
        self.forward(act, "evaluate")
        for core, _ in self.own(self.last):
            self.read(core, "evaluate", "neuron_state", self.widths.activation)
            self.bits[core, "evaluate", "host", "read"] += self.widths.activation
            self.event(core, "evaluate", "neuron_update")

    def host_inputs(self, phase):
        for core in sorted({s.core for s in self.segments if s.matrix == 0}):
            for _ in range(self.layers[0]):
                self.write(core, phase, "input_buffer", self.widths.x)

    def input_phase(self):
        self.host_inputs("input")
        for core in self.cores_with_outputs():
            for _ in range(self.layers[-1]):
                self.write(core, "input", "label_buffer", self.widths.x)

    def forward(self, act, phase):
        """Up to the logits; returns the activations received, as (layer, neuron, home, receiver).

        Leaves in `self.inbox` what each core sees of each layer: a copy is zero unless its activation was received.
        """
        w, state = self.widths, "neuron_state"
        walk = {"scan": self.forward_scan, "event_driven": self.forward_events, "analog": self.forward_analog, "lists": self.forward_lists}[
            self.style
        ]
        if self.style != "analog":  # the converter writes the sum: there is none in memory that starts at zero
            for layer in range(1, self.last + 1):
                for core, _ in self.own(layer):
                    self.write(core, phase, state, w.activation)
        for core in self.bias_cores():
            self.read(core, phase, state, w.activation)
        received, self.inbox = [], {}
        for segment in self.segments:
            self.inbox[segment.core, segment.matrix] = list(act[0]) if segment.matrix == 0 else [0] * segment.n_pre
            for _ in self.remote_pres(segment) if segment.matrix not in self.sends_zeros else ():
                self.write(segment.core, phase, state, w.activation)
        for matrix in range(self.last):
            for segment in self.segments:
                if segment.matrix == matrix:
                    walk(segment, self.inbox[segment.core, matrix], phase)
            if matrix + 1 < self.last:
                received += self.hidden(act, matrix + 1, phase)
        return received

    def hidden(self, act, layer, phase):
        """Rectify and send one hidden layer."""
        w, state, received = self.widths, "neuron_state", []
        for core, i in self.own(layer):
            self.read(core, phase, state, w.activation)
            self.write(core, phase, state, w.activation)
            self.event(core, phase, "neuron_update")
            is_something = self.holds(layer, act[layer][i])
            if (core, layer) in self.inbox:
                self.inbox[core, layer][i] = is_something
            if not is_something:
                self.seen["zero activation"] += 1
                continue
            self.seen["non-zero activation"] += 1
            for other in sorted({s.core for s in self.segments if s.matrix == layer and s.row(i)} - {core}):
                self.read(core, phase, state, w.activation)
                self.packet(core, other, phase)
                self.write(other, phase, state, w.activation)
                self.inbox[other, layer][i] = is_something
                received.append((layer, i, core, other))
        return received

    def packet(self, sender, receiver, phase):
        self.event(sender, phase, "packet_sent")
        self.event(receiver, phase, "packet_received")
        self.seen["packet"] += 1
        if self.places:
            self.travel(self.places[sender], self.places[receiver], sender, phase)

    def travel(self, here, there, sender, phase):
        """One hop at a time: first along the row of tiles, then along the column."""
        (chip, tile, spot), (other_chip, other_tile, goal) = here, there
        if tile is not None and tile == other_tile:
            self.event(sender, phase, "packet_local")
            self.seen["packet within a tile"] += 1
        if chip != other_chip:
            self.event(sender, phase, "packet_offchip")
            self.seen["packet to another chip"] += 1
        elif spot is not None:
            x, y = spot
            while x != goal[0]:
                x += 1 if x < goal[0] else -1
                self.event(sender, phase, "hop_east_west")
                self.seen["hop east or west"] += 1
            while y != goal[1]:
                y += 1 if y < goal[1] else -1
                self.event(sender, phase, "hop_north_south")
                self.seen["hop north or south"] += 1

    def forward_scan(self, segment, x, phase):
        w, core = self.widths, segment.core
        for slot in segment.slots:
            if slot is None:
                self.read(core, phase, self.words, w.mark)
                continue
            self.read(core, phase, self.words, w.word)
            self.read_x(segment, phase)
            self.read(core, phase, "neuron_state", w.activation)
            self.write(core, phase, "neuron_state", w.activation)
            self.event(core, phase, "synaptic_op")

    def forward_events(self, segment, x, phase):
        w, core = self.widths, segment.core
        for pre in range(segment.n_pre):
            self.read_x(segment, phase)
            if x[pre] == 0:
                continue
            self.read_pointers(segment, phase, 2)
            for _ in segment.row(pre):
                self.read(core, phase, self.words, w.post + w.weight + w.sign)
                self.read(core, phase, "neuron_state", w.activation)
                self.write(core, phase, "neuron_state", w.activation)
                self.event(core, phase, "synaptic_op")

    def forward_analog(self, segment, x, phase):
        for _ in range(segment.n_pre):
            self.read_x(segment, phase)
        for _ in segment.posts:
            self.write(segment.core, phase, "neuron_state", self.widths.activation)
        for slot in segment.connections:
            if x[slot[0]] != 0:
                self.event(segment.core, phase, "synaptic_op")

    def forward_lists(self, segment, x, phase):
        """A non-zero axon with a list: its value once, all words of the list, and an operation per synapse."""
        w, core = self.widths, segment.core
        for pre in range(segment.n_pre):
            row = segment.row(pre)
            if x[pre] == 0 or not row:
                continue
            self.read_x(segment, phase)
            self.read_list(segment, pre, phase)
            for _ in row:
                self.read(core, phase, "neuron_state", w.activation)
                self.write(core, phase, "neuron_state", w.activation)
                self.event(core, phase, "synaptic_op")

    def read_list(self, segment, pre, phase):
        for _ in range(self.lists.words(segment.core, len(segment.row(pre)))):
            self.read(segment.core, phase, self.words, self.lists.unit)

    def write_list(self, segment, pre, phase):
        for _ in range(self.lists.words(segment.core, len(segment.row(pre)))):
            self.write(segment.core, phase, self.words, self.lists.unit)

    def read_all_lists(self, segment, phase):
        for pre in range(segment.n_pre):
            self.read_list(segment, pre, phase)

    def read_pointers(self, segment, phase, n):
        for _ in range(n):
            self.read(segment.core, phase, "row_pointers", self.widths.pointer)

    def output(self):
        """Exchange of logits, and the softmax."""
        w, state, cores = self.widths, "neuron_state", self.cores_with_outputs()
        for core, _ in self.own(self.last):
            for other in cores:
                if other != core:
                    self.read(core, "forward", state, w.activation)
                    self.packet(core, other, "forward")
                    self.write(other, "forward", state, w.activation)
        for core in cores:
            for _ in range(self.layers[-1]):
                self.read(core, "forward", state, w.activation)
        for core, _ in self.own(self.last):
            self.write(core, "forward", state, w.error)
            self.read(core, "forward", "label_buffer", w.x)
            self.read(core, "forward", state, w.error)
            self.write(core, "forward", state, w.error)
            self.event(core, "forward", "neuron_update")

    def backward(self, err, received):
        w, state, phase = self.widths, "neuron_state", "backward"
        for core, _, _ in self.own_hidden():
            self.write(core, phase, state, w.error)
        for segment in reversed(self.segments):
            if segment.matrix == 0:
                continue
            for _ in self.remote_pres(segment):
                self.write(segment.core, phase, state, w.error)
            if self.style == "event_driven":
                self.backward_events(segment, self.inbox[segment.core, segment.matrix], err[segment.matrix + 1])
            else:
                self.backward_scan(segment)
        for core, layer, i in self.own_hidden():
            self.read(core, phase, state, w.activation)
            self.read(core, phase, state, w.error)
            self.write(core, phase, state, w.error)
            self.event(core, phase, "neuron_update")
            self.seen["zero error" if err[layer][i] == 0 else "non-zero error"] += 1
        for _, _, home, core in received:
            self.read(core, phase, state, w.error)
            self.packet(core, home, phase)
            self.read(home, phase, state, w.error)
            self.write(home, phase, state, w.error)

    def backward_scan(self, segment):
        w, core, phase = self.widths, segment.core, "backward"
        if self.lists:
            self.read_all_lists(segment, phase)
        for slot in segment.slots:
            if slot is None:
                if not self.lists:
                    self.read(core, phase, self.words, w.mark)
                continue
            if not self.lists:
                self.read(core, phase, self.words, w.word)
            self.read(core, phase, "neuron_state", w.error)  # of the post neuron
            self.read(core, phase, "neuron_state", w.error)  # the sum of the pre neuron
            self.write(core, phase, "neuron_state", w.error)
            self.event(core, phase, "synaptic_op")

    def backward_events(self, segment, x, delta):
        w, core, phase = self.widths, segment.core, "backward"
        for pre in range(segment.n_pre):
            self.read(core, phase, "neuron_state", w.activation)
            if x[pre] == 0:
                continue
            self.read_pointers(segment, phase, 2)
            row = segment.row(pre)
            for _, post in row:
                self.read(core, phase, self.words, w.post)
                self.read(core, phase, "neuron_state", w.error)
                if delta[post] != 0:
                    self.read(core, phase, self.words, w.weight + w.sign)
                    self.event(core, phase, "synaptic_op")
            if row:
                self.write(core, phase, "neuron_state", w.error)

    def gradient(self, err):
        for segment in self.segments:
            if self.style == "event_driven":
                self.gradient_events(segment, self.inbox[segment.core, segment.matrix], err[segment.matrix + 1])
            else:
                self.gradient_scan(segment)
        for core in self.bias_cores():
            self.read(core, "gradient", "neuron_state", self.widths.error)
            self.read(core, "gradient", "neuron_state", self.widths.gradient)
            self.write(core, "gradient", "neuron_state", self.widths.gradient)

    def gradient_scan(self, segment):
        w, core, phase = self.widths, segment.core, "gradient"
        if self.lists:
            self.read_all_lists(segment, phase)
        for slot in segment.slots:
            if not self.lists:
                self.read(core, phase, self.words, w.mark)
            if slot is None:
                continue
            self.read_x(segment, phase)
            self.read(core, phase, "neuron_state", w.error)
            self.event(core, phase, "synaptic_op")
            if self.has_accumulators:
                self.read(core, phase, "gradients", w.gradient)
                self.write(core, phase, "gradients", w.gradient)

    def gradient_events(self, segment, x, delta):
        w, core, phase = self.widths, segment.core, "gradient"
        for pre in range(segment.n_pre):
            self.read_x(segment, phase)
            if x[pre] == 0:
                continue
            self.read_pointers(segment, phase, 2)
            for _, post in segment.row(pre):
                self.read(core, phase, self.words, w.post)
                self.read(core, phase, "neuron_state", w.error)
                if delta[post] == 0:
                    continue
                self.event(core, phase, "synaptic_op")
                if self.has_accumulators:
                    self.read(core, phase, "gradients", w.gradient)
                    self.write(core, phase, "gradients", w.gradient)
                elif w.n_state:
                    self.touch_state(core, phase)
                else:
                    self.move_strength(core, phase)

    def move_strength(self, core, phase):
        """Read the strength that learns and its sign, and write the strength."""
        w = self.widths
        if w.master:
            self.read(core, phase, "master_weights", w.master)
            self.read(core, phase, self.words, w.sign)
            self.write(core, phase, "master_weights", w.master)
        else:
            self.read(core, phase, self.words, w.weight + w.sign)
            self.write(core, phase, self.words, w.weight)

    def touch_state(self, core, phase):
        for _ in range(self.widths.n_state):
            self.read(core, phase, "optimizer_state", self.widths.gradient)
            self.write(core, phase, "optimizer_state", self.widths.gradient)

    def take_norm(self):
        """Every accumulator once more, and a packet from each core with neurons to each other."""
        for segment in self.segments:
            for _ in segment.slots:
                self.read(segment.core, "update", "gradients", self.widths.gradient)
                self.event(segment.core, "update", "synaptic_op")
        for core in self.bias_cores():
            self.read(core, "update", "neuron_state", self.widths.gradient)
            self.event(core, "update", "neuron_update")
        cores = sorted({core for layer in range(1, self.last + 1) for core, _ in self.own(layer)})
        for core in cores:
            for other in cores:
                if other != core:
                    self.packet(core, other, "update")
        self.seen["norm"] += 1

    def update_biases(self):
        w = self.widths
        for core in self.bias_cores():
            for width in (w.activation, w.gradient, *[w.gradient] * w.n_state):
                self.read(core, "update", "neuron_state", width)
                self.write(core, "update", "neuron_state", width)
            self.event(core, "update", "neuron_update")

    def update(self):
        w, phase = self.widths, "update"
        if self.clips:
            self.take_norm()
        self.update_biases()
        for core in sorted({core for layer in range(1, self.last + 1) for core, _ in self.own(layer)}):
            self.read(core, phase, "optimizer_state", w.step_count)
            self.write(core, phase, "optimizer_state", w.step_count)
        for segment in self.segments:
            core = segment.core
            if self.lists:
                self.read_all_lists(segment, phase)
                for pre in range(segment.n_pre):
                    self.write_list(segment, pre, phase)
            for slot in segment.slots:
                if slot is None:
                    self.seen["free slot"] += 1
                    if not self.lists:
                        self.read(core, phase, self.words, w.mark)
                    if self.is_soft:
                        self.write(core, phase, self.words, w.weight)
                        self.event(core, phase, "synaptic_update")
                        self.event(core, phase, "random_draw")
                        self.seen["dormant"] += 1
                    continue
                if self.lists:
                    self.read(core, phase, "master_weights", w.master)
                    self.write(core, phase, "master_weights", w.master)
                else:
                    self.move_strength(core, phase)
                if w.master and not self.lists:
                    self.write(core, phase, self.words, w.weight)
                self.event(core, phase, "synaptic_update")
                self.touch_state(core, phase)
                for _ in range(self.n_draws - (self.has_noise and segment.matrix in self.fixed)):
                    self.event(core, phase, "random_draw")
                if self.has_accumulators:
                    self.read(core, phase, "gradients", w.gradient)
                    self.write(core, phase, "gradients", w.gradient)

    # Rewiring

    def show_weights(self):
        """A host that rewires reads every weight before anything leaves."""
        for segment in self.segments if self.host_rewires else ():
            if segment.matrix in self.fixed:
                continue
            if self.lists:
                self.read_all_lists(segment, "rewire")
                continue
            for _ in segment.connections:
                self.read(segment.core, "rewire", self.words, self.widths.weight + self.widths.sign)

    def release(self, leaving):
        """Connections that left: per segment a list of (pre, post). A list is read, and written without them, one by one."""
        for segment, gone in zip(self.segments, leaving):
            for pre, post in gone:
                if self.lists:
                    self.by_host(self.read_list, segment, pre, "rewire")
                segment.slots[segment.slots.index((pre, post))] = None
                if self.lists:
                    self.write_list(segment, pre, "rewire")

    def rewire(self, key, n_wanted, n_placed=None, step=0):
        """Fill every scope up to its promised number of connections.

        Parameters
        ----------
        key : int
            Key of the step's proposals.
        n_wanted : list of int
            Connections of each scope.
        n_placed : list of int, optional
            Arrivals of this moment that are in each segment already.
        step : int
            Where rows are limited, scopes take turns in being the first.
        """
        n_placed = n_placed or [0] * len(self.segments)
        arrivals = {id(segment): n for segment, n in zip(self.segments, n_placed)}
        n = len(self.scopes)
        for i in range(n):
            number = (i + (step if self.limits else 0)) % n
            self.fill(self.scopes[number], n_wanted[number], fold(key, number), arrivals)
        if self.style == "event_driven":
            for segment in self.segments:
                self.merge(segment, arrivals[id(segment)])

    def fill(self, scope, n_wanted, key, arrivals):
        n_draws = 0
        positions = [(segment, pre, post) for segment in scope for post in segment.posts for pre in range(segment.n_pre)]
        while sum(len(segment.connections) for segment in scope) < n_wanted:
            n_rejected = 0
            while n_rejected < N_PROPOSALS:
                segment, pre, post = positions[bits64(key, n_draws) % len(positions)]
                n_draws += 1
                self.by_host(self.check_proposal, segment, pre)
                if self.is_feasible(segment, pre, post):
                    self.by_host(self.event, segment.core, "rewire", "proposal_accepted")
                    break
                self.by_host(self.event, segment.core, "rewire", "proposal_rejected")
                n_rejected += 1
            else:
                feasible = [place for place in positions if self.is_feasible(*place)]
                if not feasible:
                    self.seen["dormant"] += 1
                    return
                if self.limits:  # row by row
                    feasible.sort(key=lambda place: (self.segments.index(place[0]), place[1], place[2]))
                segment, pre, post = feasible[bits64(key, n_draws) % len(feasible)]
                n_draws += 1
                self.by_host(self.exact_draw, segment)
            self.arrive(segment, pre, post)
            arrivals[id(segment)] += 1

    def is_feasible(self, segment, pre, post):
        if segment.is_full() or (pre, post) in segment.slots:
            return False
        if self.fan_in_limit is not None and len(segment.column(post)) >= self.fan_in_limit:
            return False
        if self.limits is None or self.rows_fit(segment, pre):
            return True
        self.seen["row limit"] += 1
        return False

    def rows_fit(self, segment, pre):
        """Whether every limit on rows holds with one synapse more in a row: everything is counted anew."""
        core, limits, used = segment.core, self.limits, Counter()
        entries, targets = set(), set()
        for other in self.segments:
            for i in range(other.n_pre):
                n = len(other.row(i)) + (other is segment and i == pre)
                if n == 0:
                    continue
                used["in", other.core] += 1
                home = None if other.matrix == 0 else self.home[other.matrix][i]
                if home not in (None, other.core):
                    used["out", home] += 1
                if self.lists:
                    used["words", other.core] += self.lists.words(other.core, n)
                if home is not None:
                    targets.add((other.matrix, i, other.core))
                    if home != other.core and self.places:
                        entries |= {(self.places[place][0], other.matrix, i) for place in (home, other.core)}
        on_chip = Counter(chip for chip, *_ in entries)
        # What one synapse more cannot change is within its limit anyway.
        if limits.entries is not None and max(on_chip.values(), default=0) > limits.entries:
            return False
        if limits.targets is not None and max(Counter(target[:2] for target in targets).values(), default=0) > limits.targets:
            return False
        home = core if segment.matrix == 0 else self.home[segment.matrix][pre]
        checks = (("in", core, limits.in_axons), ("out", home, limits.out_axons), ("words", core, limits.words))
        return all(limit is None or used[name, place] <= limit[place] for name, place, limit in checks)

    def check_proposal(self, segment, pre):
        w, core, phase = self.widths, segment.core, "rewire"
        self.event(core, phase, "random_draw")
        if self.style == "scan":
            for _ in segment.slots:
                self.read(core, phase, self.words, w.index)
        elif self.style == "event_driven":
            self.read_pointers(segment, phase, 2)
            for _ in segment.row(pre):
                self.read(core, phase, self.words, w.post)
        elif self.style == "lists":
            self.read_list(segment, pre, phase)
        else:
            for _ in range(self.n_labels):  # the column of the post neuron
                self.read(core, phase, self.words, w.mark)

    def exact_draw(self, segment):
        self.seen["exact draw"] += 1
        self.event(segment.core, "rewire", "random_draw")
        for _ in range(2):
            if self.lists:
                self.read_all_lists(segment, "rewire")
                continue
            for _ in segment.slots:
                self.read(segment.core, "rewire", self.words, self.widths.mark)

    def arrive(self, segment, pre, post):
        w, core, phase = self.widths, segment.core, "rewire"
        if self.lists:
            self.by_host(self.read_list, segment, pre, phase)
        segment.slots[segment.slots.index(None)] = (pre, post)
        if self.lists:
            self.write_list(segment, pre, phase)
        elif not (self.host_exchanges and self.style == "event_driven"):  # then the segment is written as a whole
            self.write(core, phase, self.words, w.word)
        self.seen["arrival"] += 1
        if self.host_learns:
            self.event(core, phase, "synaptic_write")
            return
        self.by_host(self.event, core, phase, "random_draw")
        self.write(core, phase, "master_weights", w.master)
        for _ in range(w.n_state):
            self.write(core, phase, "optimizer_state", w.gradient)
        self.event(core, phase, "synaptic_write")
        if self.style == "event_driven":
            self.by_host(self.write, core, phase, "rewiring", w.index)
            self.by_host(self.read, core, phase, "rewiring", w.index)

    def merge(self, segment, n_arrivals):
        w, core, phase = self.widths, segment.core, "rewire"
        if self.host_exchanges:
            if n_arrivals > 0:
                for _ in segment.slots:
                    self.write(core, phase, self.words, w.word)
                    for _ in range(self.host_rewires):  # what learning keeps beside a slot moves with it
                        self.touch_state(core, phase)
                        self.read(core, phase, "master_weights", w.master)
                        self.write(core, phase, "master_weights", w.master)
                for _ in range(segment.n_pre + 1):
                    self.write(core, phase, "row_pointers", w.pointer)
            return
        n_passes = 0
        while n_arrivals > 0:
            n_arrivals -= N_ARRIVALS_A_MERGE
            n_passes += 1
            for _ in segment.slots:
                self.read(core, phase, self.words, w.word)
                self.write(core, phase, self.words, w.word)
                self.touch_state(core, phase)
                self.read(core, phase, "master_weights", w.master)
                self.write(core, phase, "master_weights", w.master)
            for _ in range(segment.n_pre + 1):
                self.read(core, phase, "row_pointers", w.pointer)
                self.write(core, phase, "row_pointers", w.pointer)
        self.seen["merge"] += n_passes
        self.seen["long merge"] += n_passes > 1

    # Rules that choose by themselves: section 4.1 of the document

    def search_smallest(self, segment, sizes, n):
        """The n connections of smallest size, of equals the first by post and pre neuron; `sizes` by connection."""
        self.by_host(self.look_for_smallest, segment)
        self.seen["search"] += 1
        return sorted(segment.connections, key=lambda slot: (sizes[slot], slot[1], slot[0]))[:n]

    def look_for_smallest(self, segment):
        core, w = segment.core, self.widths
        n_passes = -(-w.weight // 8)
        for look in range(n_passes + 1):
            for slot in segment.slots:
                if slot is None:
                    self.read(core, "rewire", self.words, w.mark)
                    continue
                self.read(core, "rewire", self.words, w.weight)
                self.event(core, "rewire", "synaptic_op")
                if look < n_passes:
                    self.count_value(core)

    def count_value(self, core):
        self.read(core, "rewire", "rewiring", 32)
        self.write(core, "rewire", "rewiring", 32)

    def leave(self, segment, slots, is_erased=False):
        for slot in slots:
            segment.slots[segment.slots.index(slot)] = None
            if is_erased:
                self.write(segment.core, "rewire", self.words, self.widths.mark)
                self.seen["erased"] += 1

    def dense_gradient(self, segment, samples):
        """Accumulate the gradient of every position of a segment over (activations, errors); returns the sums by position."""
        w, core, phase = self.widths, segment.core, "rewire"
        sums = {(pre, post): 0.0 for post in segment.posts for pre in range(segment.n_pre)}
        homes = {i: home for home, i in self.own(segment.matrix)}
        for act, err in samples:
            for pre in self.remote_pres(segment):
                self.read(homes[pre], phase, "neuron_state", w.activation)
                self.packet(homes[pre], core, phase)
                self.write(core, phase, "neuron_state", w.activation)
            for pre in range(segment.n_pre):
                self.read_x(segment, phase)
                value = act[segment.matrix][pre]
                if self.style == "event_driven" and not (value != 0 if segment.matrix == 0 else self.holds(segment.matrix, value)):
                    self.seen["skipped row"] += 1
                    continue
                for post in segment.posts:
                    self.read(core, phase, "neuron_state", w.error)
                    self.read(core, phase, "dense_gradient", w.gradient)
                    self.write(core, phase, "dense_gradient", w.gradient)
                    self.event(core, phase, "synaptic_op")
                    sums[pre, post] += act[segment.matrix][pre] * err[segment.matrix + 1][post]
        return sums

    def search_largest(self, segment, sums):
        """Positions that are free and have a gradient, the largest first, of equals the first by post and pre neuron."""
        for _ in sums if self.host_rewires else ():
            self.read(segment.core, "rewire", "dense_gradient", self.widths.gradient)
            self.bits[segment.core, "rewire", "host", "read"] += self.widths.gradient
        self.by_host(self.look_for_largest, segment, sums)
        found = [position for position, size in sums.items() if size != 0 and position not in segment.slots]
        return sorted(found, key=lambda p: (-abs(sums[p]), p[1], p[0]))

    def look_for_largest(self, segment, sums):
        w, core, phase = self.widths, segment.core, "rewire"
        for slot in segment.slots:
            self.read(core, phase, self.words, w.mark)
            if slot is not None:
                self.write(core, phase, "dense_gradient", w.gradient)
        n_passes = -(-w.gradient // 8)
        for look in range(n_passes + 1):
            for _ in sums:
                self.read(core, phase, "dense_gradient", w.gradient)
                self.event(core, phase, "synaptic_op")
                if look < n_passes:
                    self.count_value(core)

    def place(self, segment, positions, n):
        """Up to n arrivals at the first feasible positions; returns how many."""
        n_placed = 0
        for pre, post in positions:
            if n_placed < n and self.is_feasible(segment, pre, post):
                self.arrive(segment, pre, post)
                n_placed += 1
        self.seen["placed"] += n_placed
        return n_placed


def enumerate_home(home):
    """(core, neuron) pairs."""
    for neuron, core in enumerate(home):
        yield core, neuron
