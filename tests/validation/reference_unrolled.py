"""The slow chip of `reference_chip`, running a recurrent network step by step: section 4, "Several steps a sample".

Written from the document alone; no code of the package is used. A sample is its number of steps: every value travels and
every slot is walked whatever its value is. The chip keeps its rings of steps and refuses to read a value that it has not, or not any more.
"""

from collections import Counter
from dataclasses import dataclass

from reference_chip import ReferenceChip


@dataclass
class Cell:
    """What a unit reads and writes: sums, values of forward and backward, errors read and written on the way back."""

    n_sums: int
    n_read: int
    n_written: int
    n_read_back: int
    n_errors_read: int
    n_errors_written: int


CELLS = {"rnn": Cell(1, 1, 1, 1, 1, 1), "lstm": Cell(4, 5, 6, 6, 2, 5)}


class UnrolledChip(ReferenceChip):
    """Counts of one run of a recurrent network.

    Parameters
    ----------
    cell : {'rnn', 'lstm'}
    n_units : list of int
        Of each layer; populations are the inputs, the layers, the outputs; matrices two a layer (from below, recurrent), and the read-out.
    window : int
    readout : {'last', 'mean'}
    others
        As in `ReferenceChip`; posts of a segment are sums.
    """

    def __init__(
        self, cell, n_inputs, n_units, n_outputs, window, readout, home, segments, scopes, widths, batch_size, n_draws, places=None, clips=False
    ):
        super().__init__(
            [n_inputs, *n_units, n_outputs], home, segments, scopes, widths, "scan", batch_size, n_draws, has_accumulators=True, places=places,
            has_bias=True, clips=clips,
        )  # fmt: skip
        self.cell, self.window, self.readout = CELLS[cell], window, readout
        self.n_layers = len(n_units)
        self.readout_matrix = 2 * self.n_layers
        self.n_gradient_walks = Counter()  # of the last batch
        self.held = {}  # (core, matrix or population, neuron) -> steps whose value a core has

    # Where things are

    def pre_of(self, matrix):
        """Population that feeds a matrix."""
        return matrix // 2 if matrix % 2 == 0 else matrix // 2 + 1

    def post_of(self, matrix):
        return matrix // 2 + 1

    def section_of_x(self, matrix):
        if matrix == 0:
            return "input_buffer"
        return "neuron_state" if matrix == self.readout_matrix and self.readout == "mean" else "unrolled_state"

    def section_of_sums(self, population):
        return "neuron_state" if population == self.last else "unrolled_state"

    def segments_of(self, matrix):
        return [segment for segment in self.segments if segment.matrix == matrix]

    def own_sums(self, population):
        """Core of every sum of a population."""
        n_sums = 1 if population == self.last else self.cell.n_sums
        return [core for core, _ in self.own(population) for _ in range(n_sums)]

    def bias_cores(self):
        return [core for population in range(1, self.last + 1) for core in self.own_sums(population)]

    def remote_pres(self, segment):
        pre = self.pre_of(segment.matrix)
        return [i for core, i in self.own(pre) if core != segment.core] if pre > 0 else []

    def homes_of_pre(self, segment):
        return {i: core for core, i in self.own(self.pre_of(segment.matrix))}

    def read_x(self, segment, phase, pre=None, step=None):
        """Read what a matrix is multiplied with; the core must have it."""
        width = self.widths.x if segment.matrix == 0 else self.widths.activation
        self.read(segment.core, phase, self.section_of_x(segment.matrix), width)
        if pre is not None and segment.matrix > 0:
            is_own = self.homes_of_pre(segment)[pre] == segment.core
            place = ("own", self.pre_of(segment.matrix)) if is_own else ("copy", segment.matrix)
            assert step in self.held[segment.core, place, pre], "a value that the core does not have"

    def keep(self, core, place, neuron, step):
        """A ring of the steps that are needed on the way back; of own states also of the one before them."""
        n_kept = (self.window if self.readout == "last" else 10**9) + (place[0] == "own")
        steps = self.held.setdefault((core, place, neuron), [])
        steps.append(step)
        del steps[:-n_kept]

    # The program

    def train_step(self, samples):
        self.n_gradient_walks.clear()
        for n_steps in samples:
            for core in self.cores_with_outputs():
                for _ in range(self.layers[-1]):
                    self.write(core, "input", "label_buffer", self.widths.x)
            self.run(n_steps, "forward", "input")
            self.output()
            self.go_back(n_steps)
        self.update()

    def evaluate(self, n_steps):
        self.run(n_steps, "evaluate", "evaluate")
        for core, _ in self.own(self.last):
            self.read(core, "evaluate", "neuron_state", self.widths.activation)
            self.bits[core, "evaluate", "host", "read"] += self.widths.activation
            self.event(core, "evaluate", "neuron_update")

    def run(self, n_steps, phase, input_phase):
        """From the inputs of each step to the logits."""
        w, state = self.widths, "neuron_state"
        self.held = {}
        self.seen["short sample" if n_steps <= self.window else "sample longer than the window"] += 1
        if self.readout == "mean":
            for core, _ in self.own(self.n_layers):
                self.write(core, phase, state, w.activation)
        for t in range(n_steps):
            self.host_inputs(input_phase)
            for layer in range(1, self.n_layers + 1):
                self.start_sums(layer, phase)
                self.walk_forward(2 * layer - 2, phase, t)
                if t > 0:
                    self.walk_forward(2 * layer - 1, phase, t - 1)
                for core, i in self.own(layer):
                    for _ in range(self.cell.n_read):
                        self.read(core, phase, "unrolled_state", w.activation)
                    for _ in range(self.cell.n_written):
                        self.write(core, phase, "unrolled_state", w.activation)
                    for _ in range(self.cell.n_sums):
                        self.event(core, phase, "neuron_update")
                    self.keep(core, ("own", layer), i, t)
                    if layer == self.n_layers and self.readout == "mean":
                        self.read(core, phase, state, w.activation)
                        self.write(core, phase, state, w.activation)
        self.start_sums(self.last, phase)
        self.walk_forward(self.readout_matrix, phase, n_steps - 1)

    def start_sums(self, population, phase):
        for core in self.own_sums(population):
            self.read(core, phase, "neuron_state", self.widths.activation)  # the bias
            self.write(core, phase, self.section_of_sums(population), self.widths.activation)

    def walk_forward(self, matrix, phase, step):
        """Every segment of a matrix, with the values of one step."""
        w = self.widths
        for segment in self.segments_of(matrix):
            core, homes = segment.core, self.homes_of_pre(segment)
            for pre in self.remote_pres(segment):
                if segment.row(pre):
                    self.read(homes[pre], phase, self.section_of_x(matrix), w.activation)
                    self.packet(homes[pre], core, phase)
                    self.write(core, phase, self.section_of_x(matrix), w.activation)
                    self.keep(core, ("copy", matrix), pre, step)
            for slot in segment.slots:
                if slot is None:
                    self.seen["free slot"] += 1
                    self.read(core, phase, self.words, w.mark)
                    continue
                self.read(core, phase, self.words, w.word)
                self.read_x(segment, phase, slot[0], step)
                self.read(core, phase, self.section_of_sums(self.post_of(matrix)), w.activation)
                self.write(core, phase, self.section_of_sums(self.post_of(matrix)), w.activation)
                self.event(core, phase, "synaptic_op")

    def go_back(self, n_steps):
        is_last = self.readout == "last"
        first = max(0, n_steps - self.window) if is_last else 0
        if is_last:
            self.start_errors(range(1, self.n_layers + 1))
            self.walk_back(self.readout_matrix)
        else:
            for core, _ in self.own(self.n_layers):  # the error of the mean
                self.write(core, "backward", "neuron_state", self.widths.error)
            self.walk_back(self.readout_matrix)
            self.start_errors(range(1, self.n_layers + 1))
        self.walk_gradient(self.readout_matrix, n_steps - 1)
        self.bias_gradient(self.last)
        for t in reversed(range(first, n_steps)):
            for layer in reversed(range(1, self.n_layers + 1)):
                self.turn_errors(layer)
                if t > first:
                    self.start_errors([layer])
                    if is_last or (n_steps - t) % self.window != 0:
                        self.walk_back(2 * layer - 1)
                    else:
                        self.seen["cut"] += 1
                if layer > 1:
                    self.walk_back(2 * layer - 2)
                self.walk_gradient(2 * layer - 2, t)
                if t > 0:
                    self.walk_gradient(2 * layer - 1, t - 1)
                self.bias_gradient(layer)

    def start_errors(self, layers):
        """The error of h starts at zero, or at that of the mean."""
        for layer in layers:
            for core, _ in self.own(layer):
                if layer == self.n_layers and self.readout == "mean":
                    self.read(core, "backward", "neuron_state", self.widths.error)
                self.write(core, "backward", "neuron_state", self.widths.error)

    def turn_errors(self, layer):
        for core, _ in self.own(layer):
            for _ in range(self.cell.n_read_back):
                self.read(core, "backward", "unrolled_state", self.widths.activation)
            for _ in range(self.cell.n_errors_read):
                self.read(core, "backward", "neuron_state", self.widths.error)
            for _ in range(self.cell.n_errors_written):
                self.write(core, "backward", "neuron_state", self.widths.error)
            for _ in range(self.cell.n_sums):
                self.event(core, "backward", "neuron_update")

    def walk_back(self, matrix):
        w, phase, state = self.widths, "backward", "neuron_state"
        for segment in self.segments_of(matrix):
            core, homes = segment.core, self.homes_of_pre(segment)
            for _ in self.remote_pres(segment):
                self.write(core, phase, state, w.error)
            for slot in segment.slots:
                if slot is None:
                    self.read(core, phase, self.words, w.mark)
                    continue
                self.read(core, phase, self.words, w.word)
                self.read(core, phase, state, w.error)  # of the sum
                self.read(core, phase, state, w.error)  # what it adds to
                self.write(core, phase, state, w.error)
                self.event(core, phase, "synaptic_op")
            for pre in self.remote_pres(segment):
                if segment.row(pre):
                    self.read(core, phase, state, w.error)
                    self.packet(core, homes[pre], phase)
                    self.read(homes[pre], phase, state, w.error)
                    self.write(homes[pre], phase, state, w.error)

    def walk_gradient(self, matrix, step):
        w, phase = self.widths, "gradient"
        self.n_gradient_walks[matrix] += 1
        for segment in self.segments_of(matrix):
            core = segment.core
            for slot in segment.slots:
                self.read(core, phase, self.words, w.mark)
                if slot is None:
                    continue
                self.read_x(segment, phase, slot[0], step)
                self.read(core, phase, "neuron_state", w.error)
                self.event(core, phase, "synaptic_op")
                self.read(core, phase, "gradients", w.gradient)
                self.write(core, phase, "gradients", w.gradient)

    def bias_gradient(self, population):
        for core in self.own_sums(population):
            self.read(core, "gradient", "neuron_state", self.widths.error)
            self.read(core, "gradient", "neuron_state", self.widths.gradient)
            self.write(core, "gradient", "neuron_state", self.widths.gradient)

    def dense_gradient(self, segment, n_walks):
        """Accumulate the gradient of every position of a segment, walk by walk."""
        w, core, phase, homes = self.widths, segment.core, "rewire", self.homes_of_pre(segment)
        for _ in range(n_walks):
            for pre in self.remote_pres(segment):
                self.read(homes[pre], phase, self.section_of_x(segment.matrix), w.activation)
                self.packet(homes[pre], core, phase)
                self.write(core, phase, self.section_of_x(segment.matrix), w.activation)
            for _ in range(segment.n_pre):
                self.read_x(segment, phase)
                for _ in segment.posts:
                    self.read(core, phase, "neuron_state", w.error)
                    self.read(core, phase, "dense_gradient", w.gradient)
                    self.write(core, phase, "dense_gradient", w.gradient)
                    self.event(core, phase, "synaptic_op")
