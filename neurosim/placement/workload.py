"""What is to be trained, as far as its place on a chip depends on it."""

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real

from neurosim.errors import InputError, refuse_unknown
from neurosim.networks import OPTIMIZERS, Topology
from neurosim.placement.positions import Positions
from neurosim.placement.programs import default_cutoff, default_program, find_program, why_not

EXECUTIONS = ("scan", "event_driven")
SCOPES = ("core", "layer", "network")


@dataclass(frozen=True)
class Workload:
    """A network with its synapse counts and the way it is trained.

    Attributes
    ----------
    topology : Topology
        Populations and the projections between them; layer sizes, inputs first, stand for `Topology.feedforward`.
    n_active : tuple of int
        Active synapses of each matrix, one per projection.
    batch_size : int
        Samples per update. Above 1 a gradient accumulator is kept per slot.
    execution : {'scan', 'event_driven'}
        Whether a core walks all its slots for each sample, or only those of non-zero values.
    scope : {'core', 'layer', 'network'}
        Where a released slot may be re-used.
    headroom : float
        Free slots of a segment, as a fraction of its active ones.
    code_bytes : int, optional
        Program and stack of a core in B, instead of the profile's reserve.
    host_learns : bool
        Whether the host trains and the chip only runs the forward pass: nothing that learning needs takes memory on it.
    optimizer : str
        Name of a row of `neurosim.networks.OPTIMIZERS`. What it keeps per slot takes memory.
    theta_bits : int, optional
        Bits of a stored strength without its sign, instead of the profile's.
    master_bits : int
        Bits of a wide copy of each strength that learns in its place, 0 for none.
    has_float16 : bool
        Whether stored strengths are narrow floating-point numbers, and not fixed point.
    draws_rounding : bool
        Whether a random number decides how each stored strength is rounded.
    draws_noise : bool
        Whether a random number moves each strength, whatever rewires.
    rewires : bool
        Whether the run rewires, and so draws random numbers on the chip.
    searches : bool
        Whether the rewiring rule searches for smallest or largest values.
    has_places : bool
        Whether every possible connection has a slot in a fixed place, without indices, whatever `n_active` is.
    starts_dense : bool
        Whether all possible connections are active at the start.
    has_dense_gradient : bool
        Whether there is an accumulator for the gradient of every possible connection.
    clips : bool
        Whether gradients are clipped by their norm, which is known only when all of them are: so every slot has an accumulator.
    positions : Positions, optional
        Where the connections of a given network are, as many as `n_active`; without them they are drawn.
    program : str, optional
        Of a spiking network: name of a row of `placement.programs.PROGRAMS`; without it, that of its learning method.
    trace_cutoff : int, optional
        Of program ``eprop_spike``: steps for which a trace is followed; without it, until it has lost 99 %.
    has_spike_inputs : bool
        Whether inputs are spikes, so that each takes one bit.
    own : tuple of tuple of int, optional
        Neurons of each population but the inputs on each core, of one number of cores (`placement.arrange`); even ranges without, and on any
        other number of cores.

    Raises
    ------
    InputError
        On construction, when a value is outside its range.
    """

    topology: Topology
    n_active: tuple[int, ...]
    batch_size: int = 1
    execution: str = "scan"
    scope: str = "core"
    headroom: float = 0.0
    code_bytes: int | None = None
    rewires: bool = True
    optimizer: str = "sgd"
    searches: bool = False
    has_places: bool = False
    starts_dense: bool = False
    has_dense_gradient: bool = False
    host_learns: bool = False
    theta_bits: int | None = None
    master_bits: int = 0
    has_float16: bool = False
    draws_rounding: bool = False
    draws_noise: bool = False
    clips: bool = False
    positions: Positions | None = None
    program: str | None = None
    trace_cutoff: int | None = None
    has_spike_inputs: bool = False
    own: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self):
        object.__setattr__(self, "topology", Topology.of(self.topology))
        self._settle_program()
        object.__setattr__(self, "n_active", tuple(_whole("n_active", k) for k in self.n_active))
        if len(self.n_active) != len(self.n_positions):
            raise InputError(f"n_active: found {len(self.n_active)} counts; expected one per matrix, {len(self.n_positions)}")
        for i, (k, n) in enumerate(zip(self.n_active, self.n_positions, strict=True)):
            if not 1 <= k <= n:
                raise InputError(f"n_active: found {k:,d} synapses in matrix {i}; expected 1 to its {n:,d} positions")
        if self.positions is not None and self.positions.n_active != self.n_active:
            raise InputError(f"positions: {self.positions.n_active} in the matrices; expected as many as n_active, {self.n_active}")
        for name, known in (("execution", EXECUTIONS), ("scope", SCOPES), ("optimizer", tuple(OPTIMIZERS))):
            refuse_unknown(getattr(self, name), known, name)
        if self.own is not None and tuple(map(sum, self.own)) != self.topology.sizes[1:]:
            raise InputError(f"own: found {tuple(map(sum, self.own))} neurons; expected those of each population, {self.topology.sizes[1:]}")
        if _whole("batch_size", self.batch_size) < 1:
            raise InputError(f"batch_size: found {self.batch_size}; expected at least 1")
        if self.starts_dense and not self.has_places:
            raise InputError("starts_dense: found without has_places; all connections need a place of their own")
        if self.code_bytes is not None and _whole("code_bytes", self.code_bytes) < 0:
            raise InputError(f"code_bytes: found {self.code_bytes}; expected at least 0 B")
        if not isinstance(self.headroom, Real) or not 0 <= self.headroom <= 1e6:
            raise InputError(f"headroom: found {self.headroom!r}; expected a fraction of the active synapses, 0 or more")

    def _settle_program(self):
        topology = self.topology
        if topology.spiking is None:
            if self.program is not None:
                raise InputError(f"program: found {self.program} with a network that does not spike; leave it out")
            return
        object.__setattr__(self, "program", self.program or default_program(topology))
        reason = None if self.host_learns else why_not(find_program(self.program), topology)
        if reason is not None:
            raise InputError(f"program: found {self.program}: {reason}")
        object.__setattr__(self, "trace_cutoff", min(self.trace_cutoff or default_cutoff(topology), topology.n_steps))

    @property
    def drawn(self):
        """The same with connections that are drawn."""
        return self if self.positions is None else replace(self, positions=None)

    def divide(self, layout):
        """Active synapses of each segment of a layout: int64 array, shape (n_segments,)."""
        return layout.divide(self.n_active) if self.positions is None else self.positions.count_on(layout)

    @property
    def n_positions(self):
        """Positions of each matrix, as a tuple of int."""
        return self.topology.n_positions

    @property
    def n_first(self):
        """Connections of each matrix at the start, where there are most, as a tuple of int."""
        return self.n_positions if self.starts_dense else self.n_active

    @property
    def kept_steps(self):
        """Steps whose values a core keeps at once; where the host learns nothing goes back, and the present one is enough."""
        return 1 if self.host_learns else self.topology.kept_steps

    @property
    def state_words(self):
        """Numbers that the optimizer keeps per slot."""
        return OPTIMIZERS[self.optimizer].state_words

    @property
    def is_rounded(self):
        """Whether strengths are stored narrower than they are computed."""
        return self.theta_bits is not None

    @property
    def draws_in_steps(self):
        """Whether every step draws random numbers: for noise, or to round."""
        return self.draws_noise or self.draws_rounding

    @property
    def counts_steps(self):
        """Whether each core counts the steps of the run, for a bias correction."""
        return OPTIMIZERS[self.optimizer].counts_steps

    @property
    def n_synapses(self):
        """Active synapses of all matrices."""
        return sum(self.n_active)


def synapse_counts(network, connectivity):
    """Active synapses of each matrix for a given connectivity.

    Parameters
    ----------
    network : Topology or sequence of int
        The latter: neurons of each layer, inputs first.
    connectivity : float or sequence of float
        Fraction of the positions that are active, above 0 and at most 1: one for all matrices, or one per matrix.

    Returns
    -------
    tuple of int
        ``round(fraction * positions)``, at least 1.

    Raises
    ------
    InputError
    """
    positions = Topology.of(network).n_positions
    fractions = [connectivity] * len(positions) if isinstance(connectivity, Real) else list(connectivity)
    if len(fractions) != len(positions):
        raise InputError(f"connectivity: found {len(fractions)} fractions; expected one, or one per matrix, {len(positions)}")
    for fraction in fractions:
        if not isinstance(fraction, Real) or not 0 < fraction <= 1 or not math.isfinite(fraction):
            raise InputError(f"connectivity: found {fraction!r}; expected a fraction above 0 and at most 1")
    return tuple(min(max(1, round(fraction * n)), n) for fraction, n in zip(fractions, positions, strict=True))


def _whole(name, value):
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise InputError(f"{name}: found {value!r}; expected a whole number")
    return int(value)
