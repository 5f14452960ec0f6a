"""Energy and time: counts times prices, once, at the end; a missing price is said and never zero."""

import math
from dataclasses import dataclass, field

import numpy as np

from neurosim.accounting.events import KIND, KINDS, PHASE, PHASES
from neurosim.accounting.sections import DIRECTIONS
from neurosim.hardware.program import load_program
from neurosim.placement.sections import SECTIONS, level_of

#: Price that pays for each kind of event. No profile prices the check of a proposal: it is listed as not priced.
PRICE_OF = {
    "synaptic_op": "synaptic_op",
    "neuron_update": "neuron_update",
    "synaptic_update": "synaptic_update",
    "synaptic_write": "synaptic_write",
    "random_draw": "random_draw",
    "packet_sent": "packet",
    "host_byte": "host_byte",
    "trace_update": "trace_update",
    "history_read": "history_read",
}
#: Events that happen in a core and take its cycles.
_CYCLES_OF = {k: v for k, v in PRICE_OF.items() if k not in ("host_byte",)}
#: A packet is paid for once, by its sender, also one of a broadcast. Where bytes are priced, they pay for the write of a synapse.
_PAID_ELSEWHERE = {
    "event": ("packet_received", "target_broadcast"),
    "cycle": ("packet_received", "target_broadcast"),
    "memory": ("packet_received", "target_broadcast", "synaptic_write"),
    # The loops of the program do all of it.
    "program": (
        "packet_received",
        "target_broadcast",
        "proposal_accepted",
        "proposal_rejected",
        *(kind for kind in PRICE_OF if kind not in ("packet_sent", "host_byte")),
    ),
}
#: Prefix of the components that are turns of a loop of the program.
LOOP = "loop:"
#: Packets that cost something else than `packet` where the set says so.
_PACKETS_APART = ("packet_local", "packet_offchip")
_HOPS = ("hop_east_west", "hop_north_south")
TRAINING_PHASES = tuple(p for p in PHASES if p != "evaluate")


@dataclass(frozen=True)
class EnergyLine:
    """One line of the account: `count` events of a component at `price_j` each; None where not priced."""

    core: int
    phase: str
    component: str
    count: int
    price_j: float | None
    energy_j: float | None


@dataclass(frozen=True)
class TimeModel:
    """Modelled time of the chip.

    Attributes
    ----------
    training_s, evaluation_s : float or None
        Of all samples; None when nothing of it can be priced.
    core_s : tuple of float
        Busy time of each core, training and evaluation.
    phase_s : dict of str to float
        Training and evaluation by phase, with ``packets`` and ``barriers`` beside the phases; what takes no modelled time is absent.
    phase_range_s : dict of str to (float, float)
        Least and most over the settings of the compiler, where times are derived from a program.
    is_complete : bool
    unmodelled : tuple of str
        What takes time that the profile does not state.
    """

    training_s: float | None
    evaluation_s: float | None
    core_s: tuple
    is_complete: bool
    unmodelled: tuple
    phase_s: dict = field(default_factory=dict)
    phase_range_s: dict = field(default_factory=dict)

    @property
    def total_s(self):
        """Training and evaluation, s; None when nothing of it can be priced."""
        return None if self.training_s is None else self.training_s + (self.evaluation_s or 0.0)


def price_energy(profile, events, traffic_bytes, seconds, firing=None, spilled=None, loops=None):
    """Energy lines of counted events and bytes on a chip: of a run, or of a published workload (`neurosim.validation`).

    Parameters
    ----------
    profile : HardwareProfile
    events : int64 array, shape (n_cores, phases, kinds)
    traffic_bytes : int64 array, shape (n_cores, phases, sections, 2)
    seconds : float or None
        How long static power flows; None when it is not known.
    firing : Firing, optional
        Where quiet neurons and spikes have prices of their own; without it, neither is told apart.
    spilled : bool array, shape (n_cores, sections), optional
        Sections in shared memory. No price of an event contains an access to it, unless `inside` says so.
    loops : dict of str to int64 array, shape (n_cores, phases), optional
        Turns of the program's loops, for a set with accounting ``program``.

    Returns
    -------
    list of EnergyLine
        Core -1 is the chip beside its cores; phase ``static`` holds static power.
    """
    energy = profile.energy
    prices = {name: getattr(energy.prices, name) for name in type(energy.prices).model_fields}
    price_of = {component: _event_price(profile, component) for component in (*KINDS, "neuron_update_inactive")}
    lines = []
    for core, phase, kind in zip(*np.nonzero(events)):
        name, count = KINDS[kind], int(events[core, phase, kind])
        if name in _PAID_ELSEWHERE[energy.accounting] or PRICE_OF.get(name, name) in energy.chosen.inside:
            continue
        price = price_of[name]
        if name in _PACKETS_APART and not prices[name]:
            continue  # it is a packet like the others
        if name == "packet_sent":
            count -= sum(int(events[core, phase, KIND[apart]]) for apart in _PACKETS_APART if prices[apart])
        if name == "neuron_update" and firing is not None and prices["neuron_update_inactive"]:
            quiet = int(firing.quiet[core, phase])
            if quiet:
                lines.append(_line(core, PHASES[phase], "neuron_update_inactive", quiet, price_of["neuron_update_inactive"]))
            count -= quiet
        if count:
            lines.append(_line(core, PHASES[phase], "proposal" if name.startswith("proposal") else name, count, price))
    if firing is not None and prices["spike_generate"]:
        for core, phase in zip(*np.nonzero(firing.spikes)):
            lines.append(_line(core, PHASES[phase], "spike_generate", int(firing.spikes[core, phase]), prices["spike_generate"].value))
    lines += _loop_lines(profile, loops or {})
    lines += _hop_lines(profile, prices, events)
    spilled = np.zeros((len(events), len(SECTIONS)), bool) if spilled is None else spilled
    is_charged = spilled[:, None, :, None] | (energy.accounting == "memory")
    for core, phase, section, direction in zip(*np.nonzero(traffic_bytes * is_charged)):
        level = level_of(SECTIONS[section], spilled[core, section])
        name = f"{'shared' if level == 'sdram' else 'local'}_{DIRECTIONS[direction]}_byte"
        if name in energy.chosen.inside:
            continue
        price = prices[name].value if prices[name] and level in ("local_sram", "sdram") else None
        count = int(traffic_bytes[core, phase, section, direction])
        lines.append(_line(core, PHASES[phase], f"{name}:{SECTIONS[section]}", count, price))
    return lines + _static_lines(profile, len(events), seconds)


def _loop_lines(profile, loops):
    """Turns of loops, where the set prices a program."""
    lines = []
    for name, turns in loops.items() if profile.energy.accounting == "program" else ():
        price = _event_price(profile, LOOP + name)
        for core, phase in zip(*np.nonzero(turns)):
            lines.append(_line(core, PHASES[phase], LOOP + name, int(turns[core, phase]), price))
    return lines


def price_parts(profile, component):
    """The prices that pay for one event of a component.

    Parameters
    ----------
    profile : HardwareProfile
    component : str
        As in `EnergyLine`, static power excepted.

    Returns
    -------
    dict of str to float
        Name in `Prices` to J per event; empty when the event is not priced.
    """
    prices = profile.energy.prices
    if component.startswith(LOOP):
        cycles = load_program(profile.energy.chosen.program).quantity(component.removeprefix(LOOP))
        return {} if cycles is None or prices.core_cycle is None else {"core_cycle": cycles.value * prices.core_cycle.value}
    component = component.partition(":")[0]
    found = {name: quantity.value for name, quantity in prices if quantity is not None}

    def part(name):
        return {name: found[name]} if name in found else {}

    if profile.energy.accounting == "cycle" and component in _CYCLES_OF:
        cycles = getattr(profile.cycles, _CYCLES_OF[component])
        if cycles is not None and "core_cycle" in found:
            return {"core_cycle": cycles.value * found["core_cycle"]}
        # A packet costs the network too, whatever the core spends on it.
        return part("packet") if component == "packet_sent" else {}
    if component in ("neuron_update", "neuron_update_inactive"):
        # The access to the neuron's state comes on top where it is priced by itself.
        return part(component) | part("neuron_access") if component in found else {}
    bits = profile.network.packet_bits
    if component == "packet_sent" and "packet" not in found and "packet_bit" in found and bits is not None:
        return {"packet_bit": bits.value * found["packet_bit"]}
    if component in _HOPS and component not in found:
        return part("hop")
    return part(PRICE_OF.get(component, component))


def _event_price(profile, component):
    """J per event of a component, None when it is not priced."""
    parts = price_parts(profile, component)
    return sum(parts.values()) if parts else None


def _hop_lines(profile, prices, events):
    """Where hops have a price and no grid is stated, they cannot be counted: each packet is a line that is not priced."""
    mesh = profile.network.mesh
    has_grid = mesh is not None and all(getattr(mesh, key) is not None for key in type(mesh).model_fields)
    if has_grid or not any(prices[name] for name in ("hop", "hop_east_west", "hop_north_south")):
        return []
    sent = events[:, :, KIND["packet_sent"]]
    return [_line(core, PHASES[phase], "hop", int(sent[core, phase]), None) for core, phase in zip(*np.nonzero(sent))]


def _line(core, phase, component, count, price):
    return EnergyLine(int(core), phase, component, count, price, None if price is None else count * price)


def _static_lines(profile, n_cores, seconds):
    """Static power of the used cores, and of every chip and the board, which are powered as a whole, over `seconds`."""
    static = profile.energy.static_power
    lines = []
    for level, cores, count in (("core", range(n_cores), 1), ("chip", (-1,), profile.n_chips), ("board", (-1,), 1)):
        power = getattr(static, level)
        if power is None:
            continue
        price = None if seconds is None else power.value * seconds
        lines += [_line(core, "static", f"static_{level}", count, price) for core in cores]
    return lines


def model_time(profile, events, n_trained, n_evaluated, firing=None, shared_bytes=None, loops=None, steps=None):
    """Time of the chip: the slowest core's cycles, or the chip's latency per sample; no less than its shared memory takes.

    Parameters
    ----------
    profile : HardwareProfile
    events : int64 array, shape (n_cores, phases, kinds)
    n_trained, n_evaluated : int
        Samples.
    firing : Firing, optional
        Where quiet neurons and spikes have latencies of their own; without it, neither is told apart.
    shared_bytes : int64 array, shape (n_chips, phases), optional
        Bytes that all cores of a chip together move from and to the memory that they share.
    loops : dict of str to int64 array, shape (n_cores, phases), optional
        Turns of the program's loops, for a set with accounting ``program``.
    steps : (int, int), optional
        Time steps of training and evaluation, on a chip that has them; each is closed by barriers.

    Returns
    -------
    TimeModel
    """
    program = load_program(profile.energy.chosen.program) if profile.energy.accounting == "program" else None
    model, latencies, n_cores = profile.time, profile.energy.chosen.latencies, len(events)
    unmodelled = set()
    per_phase = np.zeros((n_cores, len(PHASES)))
    seconds = _event_seconds(profile)
    latency = model.forward_latency.value if model.forward_latency is not None else None
    busy = [np.zeros_like(per_phase)]  # by setting of the compiler
    if program is not None:
        busy = [np.zeros_like(per_phase) for _ in program.settings]
        for name, turns in (loops or {}).items():
            if profile.clock is None or name not in program.loops:
                unmodelled.add(LOOP + name)
                continue
            for column, cycles in zip(busy, program.loops[name], strict=True):
                column += turns * (cycles / profile.clock.value)
        per_phase += busy[0]
    for kind in _CYCLES_OF if program is None else ():
        counts = events[:, :, KIND[kind]]
        if kind in seconds:
            per_phase += counts * seconds[kind]
        elif latency is None and counts.any():
            unmodelled.add(kind)
    if firing is not None and "neuron_update" in seconds and latencies.neuron_update_inactive:
        per_phase -= firing.quiet * (seconds["neuron_update"] - latencies.neuron_update_inactive.value)
    if firing is not None and latencies.spike_generate:
        per_phase += firing.spikes * latencies.spike_generate.value
    if latency is not None:
        # A measured latency covers the whole forward pass of the chip.
        for phase, n in (("forward", n_trained), ("evaluate", n_evaluated)):
            per_phase[:, PHASE[phase]] = np.maximum(per_phase[:, PHASE[phase]], n * latency)
        unmodelled |= {f"{p} phase" for p in ("backward", "gradient", "update", "rewire") if events[:, PHASE[p]].any()}
    travel = _travel_seconds(profile)
    if events[:, :, KIND["packet_sent"]].any():
        if model.packet_latency is None and not _times_all_packets(events, travel):
            unmodelled.add("packets between cores")
    if events[:, :, KIND["host_byte"]].any():
        unmodelled.add("transfer from and to the host")
    barrier = model.barrier.value if model.barrier is not None else latencies.barrier_seconds(_count_tiles(profile, n_cores))
    if n_cores > 1 and barrier is None:
        unmodelled.add("waiting of cores for each other")
    shared = _shared_seconds(profile, shared_bytes)
    if shared is None:
        unmodelled.add("transfer from and to shared memory")
        shared = np.zeros(len(PHASES))
    if not per_phase.any() and not shared.any():
        return TimeModel(None, None, tuple([0.0] * n_cores), False, tuple(sorted(unmodelled)))
    # The core that is slowest over the whole run decides each phase; waiting within single samples is not modelled.
    # Transfers from shared memory go on while cores compute: whatever takes longer decides.
    slowest = np.maximum(per_phase.max(axis=0), shared)
    evaluate = PHASE["evaluate"]
    phase_s = {phase: float(slowest[p]) for p, phase in enumerate(PHASES) if slowest[p]}
    ranges = np.array([np.maximum((per_phase - busy[0] + column).max(axis=0), shared) for column in busy])
    phase_range_s = {}
    if program is not None:
        phase_range_s = {p: (float(ranges[:, PHASE[p]].min()), float(ranges[:, PHASE[p]].max())) for p in phase_s}
    communication = barriers = 0.0
    if model.packet_latency is not None:
        communication = float(events[:, :evaluate, KIND["packet_sent"]].sum(axis=1).max()) * model.packet_latency.value
    # The packets of a core travel one after another.
    travelled = sum(events[:, :, KIND[kind]] * latency for kind, latency in travel.items()) + np.zeros((n_cores, len(PHASES)))
    communication += float(travelled[:, :evaluate].sum(axis=1).max())
    waiting, evaluation_s = 0.0, float(slowest[evaluate] + travelled[:, evaluate].max())
    if steps is not None and model.steps is not None:
        counts, least = model.steps, model.steps.latency.value if model.steps.latency is not None else 0.0
        barriers = steps[0] * counts.barriers_trained.value * (barrier or 0.0)
        work = float(slowest[PHASE["forward"]] + slowest[PHASE["backward"]]) + communication + steps[0] * (barrier or 0.0)
        waiting = max(0.0, steps[0] * least - work)
        evaluation_s = max(evaluation_s + steps[1] * counts.barriers_evaluated.value * (barrier or 0.0), steps[1] * least)
    elif barrier is not None and n_cores > 1:
        barriers = n_trained * barrier
    beside = (("packets", communication), ("barriers", barriers), ("waiting for steps", waiting))
    phase_s |= {name: value for name, value in beside if value}
    if evaluation_s:
        phase_s["evaluate"] = evaluation_s
    return TimeModel(
        training_s=float(np.delete(slowest, evaluate).sum()) + (communication + barriers) + waiting,
        evaluation_s=evaluation_s,
        core_s=tuple(float(s) for s in per_phase.sum(axis=1)),
        is_complete=not unmodelled,
        unmodelled=tuple(sorted(unmodelled)),
        phase_s=phase_s,
        phase_range_s=phase_range_s,
    )


def range_energy(profile, loops):
    """Energy of the program's loops by phase, least and most over the settings of the compiler.

    Parameters
    ----------
    profile : HardwareProfile
    loops : dict of str to int64 array, shape (n_cores, phases)

    Returns
    -------
    dict of str to (float, float)
        Phase to J; empty where the set prices no program, or no cycle.
    """
    chosen = profile.energy.chosen
    if chosen.program is None or chosen.prices.core_cycle is None:
        return {}
    program, price = load_program(chosen.program), chosen.prices.core_cycle.value
    turns = {name: counts.sum(axis=0) for name, counts in loops.items() if name in program.loops}
    found = {}
    for p, phase in enumerate(PHASES):
        joules = [math.fsum(int(n[p]) * program.loops[name][k] * price for name, n in turns.items()) for k in range(len(program.settings))]
        if any(joules):
            found[phase] = min(joules), max(joules)
    return found


def _count_tiles(profile, n_cores):
    """Tiles that so many cores take, on the fullest chip."""
    mesh = profile.network.mesh
    if mesh is None or mesh.cores_per_tile is None:
        return n_cores
    return min(-(-n_cores // mesh.cores_per_tile.value), -(-profile.cores.value // mesh.cores_per_tile.value))


def _shared_seconds(profile, shared_bytes):
    """Time per phase in which the busiest chip's shared memory moves its bytes, s; None where its bandwidth is not stated."""
    if shared_bytes is None or not shared_bytes.any():
        return np.zeros(len(PHASES))
    bandwidth = getattr(profile.storage, "shared_bandwidth", None)
    return None if bandwidth is None else shared_bytes.max(axis=0) / bandwidth.value


def _travel_seconds(profile):
    """Time on the way by kind of event, as far as it is stated: dict of str to float, s."""
    latencies, hop = profile.energy.chosen.latencies, profile.network.hop_latency
    found = {kind: getattr(latencies, kind) or (hop if kind in _HOPS else None) for kind in (*_HOPS, "packet_local")}
    return {kind: latency.value for kind, latency in found.items() if latency is not None}


def _times_all_packets(events, travel):
    """Whether each packet stays in a tile or takes hops on its chip, and the time of both is stated."""
    total = {kind: int(events[:, :, KIND[kind]].sum()) for kind in ("packet_sent", "packet_offchip", "packet_local", *_HOPS)}
    is_known = total["packet_offchip"] == 0 and any(total[kind] for kind in ("packet_local", *_HOPS))
    return is_known and all(kind in travel for kind in ("packet_local", *_HOPS) if total[kind])


def _event_seconds(profile):
    """Time that a core spends per kind of event: cycles over the clock, or the latencies of a chip without one."""
    clock, latencies = profile.clock, profile.energy.chosen.latencies
    found = {}
    for kind, name in _CYCLES_OF.items():
        cycles, latency = getattr(profile.cycles, name), getattr(latencies, name, None)
        if clock is not None and cycles is not None:
            found[kind] = cycles.value / clock.value
        elif latency is not None:
            access = latencies.neuron_access if kind == "neuron_update" else None
            found[kind] = latency.value + (access.value if access else 0.0)
    return found
