"""What would help a network that does not fit, computed by the same model that refused it."""

from dataclasses import dataclass, replace

from neurosim.placement.place import place
from neurosim.placement.search import largest_fit, most_unrolled, smallest_cores
from neurosim.placement.workload import Workload


@dataclass(frozen=True)
class Remedy:
    """One change that would help, in words, with what to place to see it fit; without them when nothing fits."""

    text: str
    workload: Workload | None = None
    n_cores: int | None = None


def find_remedies(placement):
    """What would make a placement fit, each found by placing again: fewer steps, fewer synapses, other cores, one change of the run.

    Returns
    -------
    list of Remedy
    """
    profile, workload, n_cores = placement.profile, placement.workload, placement.n_cores
    if workload.has_places:
        n = sum(workload.n_positions)
        return [
            *_fewer_steps(placement),
            Remedy(f"the rewiring rule keeps a place for each of the {n:,d} possible connections; one without, such as deep_r, needs fewer"),
            _other_cores(profile, workload),
        ]
    return [
        *_fewer_steps(placement),
        _fewer_synapses(profile, workload, n_cores),
        _other_cores(profile, workload),
        *_changes(placement),
    ]


def _fewer_steps(placement):
    """Where a sample takes several steps: a window that fits, with the read-out as it is or of the last state, which needs no more."""
    profile, workload, n_cores, topology = placement.profile, placement.workload, placement.n_cores, placement.workload.topology
    if not topology.is_unrolled:
        return
    for readout in dict.fromkeys((topology.readout, "last")):
        changed = replace(workload, topology=replace(topology, readout=readout))
        n = most_unrolled(profile, changed, n_cores, most=topology.window)
        if n:
            changed = replace(changed, topology=replace(changed.topology, window=n))
            saved = max(a.n_bytes - b.n_bytes for a, b in zip(placement.cores, place(profile, changed, n_cores).cores, strict=True))
            what = f"training.window: {n:,d}" if readout == topology.readout else f"network.readout: last with training.window: {n:,d}"
            text = f"{what} would fit on {_cores(n_cores)}: errors go back {n:,d} of {topology.n_steps:,d} steps, up to {saved:,d} B less per core"
            yield Remedy(text, changed, n_cores)
            return
    yield Remedy(f"no training.window would fit on {_cores(n_cores)}, not even one step")


def _fewer_synapses(profile, workload, n_cores):
    counts, cores = largest_fit(profile, workload, n_cores), _cores(n_cores)
    if counts is None:
        return Remedy(f"not even one synapse per matrix fits on {cores}")
    share = 100 * sum(counts) / sum(workload.n_positions)
    each = " + ".join(f"{n:,d}" for n in counts)
    text = f"at most {sum(counts):,d} synapses ({each}; {share:.3g} % connectivity) fit on {cores}, not {workload.n_synapses:,d}"
    return Remedy(text, replace(workload, n_active=counts), n_cores)


def _other_cores(profile, workload):
    n_cores = smallest_cores(profile, workload)
    if n_cores is None:
        return Remedy(f"no number of cores of this chip (up to {profile.cores.value:,d}) fits these {workload.n_synapses:,d} synapses")
    return Remedy(f"{_cores(n_cores)} would fit these {workload.n_synapses:,d} synapses", workload, n_cores)


def _changes(placement):
    """Single changes of the workload that make everything fit on the same cores."""
    workload = placement.workload
    saved = max(core.sections.get("gradients", 0) for core in placement.cores)
    slots = sum(core.n_slots for core in placement.cores) - workload.n_synapses
    state = max(core.sections.get("optimizer_state", 0) for core in placement.cores)
    options = [
        (workload.state_words > 0, {"optimizer": "sgd"}, f"optimizer sgd alone would fit: it saves up to {state:,d} B of state per core"),
        (workload.batch_size > 1, {"batch_size": 1}, f"batch_size 1 alone would fit: it saves up to {saved:,d} B of gradients per core"),
        (workload.execution == "event_driven", {"execution": "scan"}, None),
        (slots > 0, {"headroom": 0.0}, f"headroom 0 alone would fit: it saves {slots:,d} free slots"),
    ]
    for applies, change, text in options:
        changed = replace(workload, **change)
        other = place(placement.profile, changed, placement.n_cores) if applies else None
        if other is not None and other.fits:
            yield Remedy(text or _scan_text(placement, other), changed, placement.n_cores)


def _scan_text(placement, other):
    saved = max(a.n_bytes - b.n_bytes for a, b in zip(placement.cores, other.cores, strict=True))
    return f"execution scan alone would fit: it saves up to {saved:,d} B of row pointers and arrivals per core"


def _cores(n):
    return f"{n:,d} core{'s' * (n != 1)}"
