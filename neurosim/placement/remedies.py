"""What would help a network that does not fit, computed by the same model that refused it."""

from dataclasses import dataclass, replace

import numpy as np

from neurosim.hardware import override_profile
from neurosim.placement.families import family_of
from neurosim.placement.limits import depends_on_draw
from neurosim.placement.place import place
from neurosim.placement.search import largest_fit, most_unrolled, smallest_cores, tries_all_cores, tries_all_totals
from neurosim.placement.sections import movable_sections
from neurosim.placement.workload import Workload


@dataclass(frozen=True)
class Remedy:
    """One change that would help, in words, with what to place to see it fit; without them when nothing fits."""

    text: str
    workload: Workload | None = None
    n_cores: int | None = None


def find_remedies(placement, for_every_draw=False):
    """What would make a placement fit, each found by placing again: fewer steps, fewer synapses, other cores, one change of the run.

    Parameters
    ----------
    placement : Placement
    for_every_draw : bool
        Whether the network must fit whichever positions are drawn.

    Returns
    -------
    list of Remedy
    """
    profile, workload, n_cores = placement.profile, placement.workload, placement.n_cores
    if for_every_draw and placement.fits:
        return [
            *_cores_for_every_draw(placement),
            Remedy(
                "a number for network.connectivity asks for less: the limit is then kept at every step, and a slot without a position stays dormant"
            ),
        ]
    if n_cores > profile.cores.value:  # no change of the network helps on cores that are not there
        return [Remedy(f"not even one synapse per matrix fits on {_cores(n_cores)}"), _other_cores(profile, workload)]
    if workload.has_places:
        n = sum(workload.n_positions)
        return [
            *_fewer_steps(placement),
            Remedy(f"the rewiring rule keeps a place for each of the {n:,d} possible connections; one without, such as deep_r, needs fewer"),
            _other_cores(profile, workload),
        ]
    return [
        *_fewer_steps(placement),
        *_about_maps(placement),
        *map(Remedy, family_of(profile).hints(placement)),
        _fewer_synapses(profile, workload, n_cores),
        _other_cores(profile, workload),
        *_changes(placement),
    ]


def _fewer_steps(placement):
    """Where a sample takes several steps: a window that fits, with the read-out as it is or of the last state, which needs no more."""
    profile, workload, n_cores, topology = placement.profile, placement.workload, placement.n_cores, placement.workload.topology
    if not topology.is_unrolled or workload.host_learns or topology.spiking and topology.spiking.learning.is_online:
        return
    for readout in dict.fromkeys((topology.readout, "last")):
        changed = replace(workload, topology=replace(topology, readout=readout))
        n = most_unrolled(profile, changed, n_cores, most=topology.window)
        if n:
            changed = replace(changed, topology=replace(changed.topology, window=n))
            saved = int((placement.n_bytes - place(profile, changed, n_cores).n_bytes).max())
            what = f"training.window: {n:,d}" if readout == topology.readout else f"network.readout: last with training.window: {n:,d}"
            text = f"{what} would fit on {_cores(n_cores)}: errors go back {n:,d} of {topology.n_steps:,d} steps, up to {saved:,d} B less per core"
            yield Remedy(text, changed, n_cores)
            return
    yield Remedy(f"no training.window would fit on {_cores(n_cores)}, not even one step")


def _about_maps(placement):
    """Whether maps alone are too much, and how narrow their values would have to be."""
    profile, workload, limit = placement.profile, placement.workload, placement.local_limit
    maps = placement.local.get("feature_maps")
    if maps is None or limit is None:
        return
    goes_back = () if workload.host_learns else ("errors",)
    beside = placement.n_bytes - sum(placement.local.get(name, 0) for name in movable_sections())
    core = int(np.argmax(beside))
    if beside[core] > limit:
        yield Remedy(
            f"activations, not synapses, are the wall: without any synapse core {core} needs {int(beside[core]):,d} B of {limit:,d} B, "
            f"{int(maps[core]):,d} B of them {' and their '.join(('feature maps', *goes_back))}, whatever the connectivity"
        )
    names = ("activation_bits",) if workload.host_learns else ("activation_bits", "error_bits")
    widths = {f"formats.{name}": getattr(profile.formats, name).value for name in names}
    for bits in (16, 8):
        narrower = override_profile(profile, {key: bits for key, width in widths.items() if width > bits})
        n = smallest_cores(narrower, workload) if max(widths.values()) > bits else None
        if n is not None:
            yield Remedy(
                f"{' and '.join(('activations', *goes_back))} of {bits} bits (hardware.override: {', '.join(f'{key}: {bits}' for key in widths)}) would fit on {_cores(n)}; "
                f"what {'comes out' if workload.host_learns else 'is learned'} is computed in float32 all the same"
            )
            return


def _fewer_synapses(profile, workload, n_cores):
    is_given, workload = workload.positions is not None, workload.drawn
    counts, cores = largest_fit(profile, workload, n_cores), _cores(n_cores)
    if counts is None:
        return Remedy(f"fewer connections would not help: not even one synapse per matrix fits on {cores}")
    share = 100 * sum(counts) / sum(workload.n_positions)
    each = " + ".join(f"{n:,d}" for n in counts)
    most = "at most" if tries_all_totals(workload, n_cores) else "about"
    text = f"{most} {sum(counts):,d} synapses ({each}; {share:.3g} % connectivity) fit on {cores}, not {workload.n_synapses:,d}"
    text += ", wherever they are" if is_given else ", whichever positions are drawn" if depends_on_draw(profile, workload) else ""
    return Remedy(text, replace(workload, n_active=counts), n_cores)


def _other_cores(profile, workload):
    n_cores = smallest_cores(profile, workload)
    if n_cores is None and not tries_all_cores(profile, workload):
        return Remedy(f"none of the numbers of cores that were tried (up to {profile.cores.value:,d}) fits these {workload.n_synapses:,d} synapses")
    if n_cores is None:
        return Remedy(f"no number of cores of this chip (up to {profile.cores.value:,d}) fits these {workload.n_synapses:,d} synapses")
    return Remedy(f"{_cores(n_cores)} would fit these {workload.n_synapses:,d} synapses", workload, n_cores)


def _cores_for_every_draw(placement):
    """Fewer or more cores on which every draw fits."""
    n_cores = smallest_cores(placement.profile, placement.workload)
    if n_cores is not None and largest_fit(placement.profile, placement.workload, n_cores) is not None:
        yield Remedy(
            f"{_cores(n_cores)} would fit {placement.workload.n_synapses:,d} synapses whichever positions are drawn", placement.workload, n_cores
        )


def _changes(placement):
    """Single changes of the workload that make everything fit on the same cores."""
    workload = placement.workload
    saved, state = (int(np.max(placement.local.get(name, 0) + placement.spilled.get(name, 0))) for name in ("gradients", "optimizer_state"))
    slots = int(placement.slots.sum()) - workload.n_synapses
    options = [
        (workload.state_words > 0, {"optimizer": "sgd"}, f"optimizer sgd alone would fit: it saves up to {state:,d} B of state per core"),
        (workload.batch_size > 1, {"batch_size": 1}, f"batch_size 1 alone would fit: it saves up to {saved:,d} B of gradients per core"),
        (workload.execution == "event_driven", {"execution": "scan"}, None),
        (slots > 0 and workload.scope == "core", {"headroom": 0.0}, f"headroom 0 alone would fit: it saves {slots:,d} free slots"),
    ]
    for applies, change, text in options:
        changed = replace(workload, **change)
        other = place(placement.profile, changed, placement.n_cores) if applies else None
        if other is not None and other.fits:
            yield Remedy(text or _scan_text(placement, other), changed, placement.n_cores)


def _scan_text(placement, other):
    saved = int((placement.n_bytes - other.n_bytes).max())
    return f"execution scan alone would fit: it saves up to {saved:,d} B of row pointers and arrivals per core"


def _cores(n):
    return f"{n:,d} core{'s' * (n != 1)}"
