"""The ledger of a run: events, traffic, energy and time, which must close."""

import math
from dataclasses import dataclass, field

import numpy as np

from neurosim.accounting.activity import Shape
from neurosim.accounting.events import KIND, KINDS, PHASE, PHASES, count_events, count_firing, broadcast_pairs, count_steps, logit_bits, states_read
from neurosim.accounting.routes import count_packets
from neurosim.accounting.loops import count_loops
from neurosim.accounting.pricing import TRAINING_PHASES, model_time, price_energy, range_energy
from neurosim.accounting.sections import DIRECTIONS, Spill
from neurosim.accounting.spiking import SpikingTraffic
from neurosim.accounting.spiking_loops import SpikingLoopCounter
from neurosim.accounting.traffic import count_traffic
from neurosim.errors import LedgerError
from neurosim.placement.memory import host_rewires
from neurosim.placement.sections import SECTIONS, host_sections, level_of


@dataclass(frozen=True)
class Ledger:
    """Everything a run is charged for.

    Attributes
    ----------
    events : int64 array, shape (n_cores, len(PHASES), len(KINDS))
    traffic : int64 array, shape (n_cores, len(PHASES), len(SECTIONS), 2)
        Bytes read and written.
    spill : Spill
        Which of them are of shared memory.
    energy : list of EnergyLine
    time : TimeModel
    n_trained, n_evaluated : int
        Samples.
    energy_range : dict of str to (float, float)
        Energy of loops of the program by phase, least and most over the settings of the compiler, J.
    """

    events: np.ndarray
    traffic: np.ndarray
    spill: Spill
    energy: list
    time: object
    n_trained: int
    n_evaluated: int
    energy_range: dict = field(default_factory=dict)

    @property
    def total_energy_j(self):
        """Sum of all priced lines, J."""
        return math.fsum(line.energy_j for line in self.energy if line.energy_j is not None)

    @property
    def unpriced(self):
        """Components that happened and have no price, in the order of first use."""
        return tuple(dict.fromkeys(line.component for line in self.energy if line.energy_j is None))

    @property
    def is_complete(self):
        """Whether every line has a price; otherwise the total is a lower bound."""
        return not self.unpriced and (self.time.is_complete or not any(line.phase == "static" for line in self.energy))

    def energy_by(self, key):
        """Priced energy by `key` (``phase``, ``component`` or ``core``) in J: dict; what has no price is absent."""
        groups = {}
        for line in self.energy:
            if line.energy_j is not None:
                groups.setdefault(getattr(line, key), []).append(line.energy_j)
        return {name: math.fsum(values) for name, values in groups.items()}

    @property
    def training_energy_j(self):
        """Energy without evaluation, J; static power counts for the training time alone."""
        share = 1.0
        if self.time.training_s is not None and self.time.evaluation_s:
            share = self.time.training_s / (self.time.training_s + self.time.evaluation_s)
        return math.fsum(
            line.energy_j * (share if line.phase == "static" else 1.0)
            for line in self.energy
            if line.energy_j is not None and line.phase in (*TRAINING_PHASES, "static")
        )

    def traffic_rows(self):
        """(core, phase, section, level, bytes read, bytes written) of everything that was accessed."""
        touched = np.nonzero(self.traffic.any(axis=3))
        for core, phase, section in zip(*touched):
            read, write = self.traffic[core, phase, section]
            yield int(core), PHASES[phase], SECTIONS[section], level_of(SECTIONS[section], self.spill.sections[core, section]), int(read), int(write)


def make_ledger(placement, training, evaluation):
    """Count and price a run, and close its ledger.

    Parameters
    ----------
    placement : Placement
    training, evaluation : Activity

    Returns
    -------
    Ledger

    Raises
    ------
    LedgerError
        The parts do not add up.
    """
    events = count_events(placement, training, evaluation)
    # Bits are rounded up once, per core, phase, section and direction; totals are sums of these bytes.
    traffic = (_count_traffic(placement, training, evaluation) + 7) // 8
    if placement.workload.host_learns:  # what synapses take in these phases comes from the host
        for phase in (PHASE["update"], PHASE["rewire"]):
            events[:, phase, KIND["host_byte"]] += traffic[:, phase, :, DIRECTIONS.index("write")].sum(axis=1)
    elif host_rewires(placement.profile, placement.workload):
        events[:, PHASE["rewire"], KIND["host_byte"]] += _host_exchange(placement, training, traffic)
    firing = count_firing(placement, training, evaluation)
    spill = Spill.of(placement)
    shared_bytes = spill.bytes_by_chip(traffic)
    profile, loops = placement.profile, {}
    if profile.energy.accounting == "program":
        make = SpikingLoopCounter if placement.workload.topology.spiking else None
        loops = count_loops(placement, training, evaluation, events, make)
    steps = count_steps(placement, training, evaluation)
    time_model = model_time(profile, events, training.n_samples, evaluation.n_samples, firing, shared_bytes, loops, steps)
    energy = price_energy(profile, events, traffic, time_model.total_s, firing, spill.sections, loops)
    energy_range = range_energy(profile, loops)
    ledger = Ledger(events, traffic, spill, energy, time_model, training.n_samples, evaluation.n_samples, energy_range)
    close(ledger, placement, training)
    _close_routes(ledger, placement, training, evaluation)
    return ledger


def _count_traffic(placement, training, evaluation):
    if placement.workload.topology.spiking:
        return SpikingTraffic(placement).count(training, evaluation)
    return count_traffic(placement, training, evaluation)


def close(ledger, placement, training):
    """Check that the parts add up to the whole; raises `LedgerError` with the first that does not."""
    _same("packets sent and received", *(int(ledger.events[:, :, KIND[k]].sum()) for k in ("packet_sent", "packet_received")))
    for phase in range(len(PHASES)):
        sent, received = (int(ledger.events[:, phase, KIND[k]].sum()) for k in ("packet_sent", "packet_received"))
        _same(f"packets sent and received in phase {PHASES[phase]}", sent, received)
    if (ledger.events < 0).any() or (ledger.traffic < 0).any():
        raise LedgerError("ledger: a count is negative")
    segment = training.segment
    if (segment["pre_nonzero"] > segment["slots"]).any() or (segment["pair_nonzero"] > segment["pre_nonzero"]).any():
        raise LedgerError("ledger: more non-zero visits than slots visited")
    _close_host(ledger, placement, training)
    total = ledger.total_energy_j
    for key in ("phase", "component", "core"):
        parts = math.fsum(ledger.energy_by(key).values())
        if abs(parts - total) > 1e-12 * max(abs(total), 1e-300):
            raise LedgerError(f"ledger: energy by {key} is {parts!r} J, the total {total!r} J")


def _close_host(ledger, placement, training):
    """Bytes that the host moved are those that buffers, and with a host that learns synapses, took, and those that it read."""
    formats, shape = placement.profile.formats, Shape(placement)
    written = ledger.traffic[..., DIRECTIONS.index("write")]
    taken = written[:, :, [SECTIONS.index("input_buffer"), SECTIONS.index("label_buffer")]].sum()
    read = ((ledger.n_evaluated * logit_bits(shape, formats) + 7) // 8).sum()
    if placement.workload.host_learns:
        taken += written[:, [PHASE["update"], PHASE["rewire"]]].sum()
        read += ((states_read(shape, placement, training) + 7) // 8).sum()
    elif host_rewires(placement.profile, placement.workload):
        taken += _host_exchange(placement, training, ledger.traffic).sum()
    host = int(ledger.events[:, :, KIND["host_byte"]].sum())
    _same("bytes that the host moved and bytes that cores took from it or gave to it", host, int(taken + read))


def _host_exchange(placement, training, traffic):
    """Bytes of each core that a host which rewires reads and writes: int64 array, shape (n_cores,)."""
    moved = traffic[:, PHASE["rewire"], [SECTIONS.index(section) for section in host_sections()]].sum(axis=(1, 2))
    shape, gradient = Shape(placement), placement.profile.formats.gradient_bits.value
    dense = shape.per_core(training.segment["dense_searches"] * shape.n_positions) * gradient
    return moved + (dense + 7) // 8


def _close_routes(ledger, placement, training, evaluation):
    """Packets between pairs of cores, and so their hops, are those that senders and receivers booked, each by itself."""
    if placement.geometry.tells_packets_apart:
        for phase, packets in _packets(placement, training, evaluation).items():
            booked = ledger.events[:, PHASES.index(phase)]
            for kind, axis in (("packet_sent", 1), ("packet_received", 0)):
                if (booked[:, KIND[kind]] != packets.sum(axis=axis)).any():
                    raise LedgerError(f"ledger does not close: {kind} of a core in phase {phase} differs from its pairs of cores")


def _packets(placement, training, evaluation):
    shape = Shape(placement)
    return count_packets(shape, placement.workload, training, evaluation, broadcast_pairs(shape, placement, training))


def _same(what, a, b):
    if a != b:
        raise LedgerError(f"ledger does not close: {what} differ, {a:,} and {b:,}")


def count_by_phase(ledger, core=None):
    """Events of one core, or of all of them: dict of phase to dict of kind to int, zeros left out."""
    total = ledger.events.sum(axis=0) if core is None else ledger.events[core]
    return {phase: {kind: int(total[p, k]) for k, kind in enumerate(KINDS) if total[p, k]} for p, phase in enumerate(PHASES) if total[p].any()}
