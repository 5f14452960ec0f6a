"""The training programs of a spiking network beside each other: what each would keep on the same cores, and from how many steps on traces win."""

from dataclasses import replace
from functools import partial

from neurosim.placement.engines import why_not_here
from neurosim.placement.place import place
from neurosim.placement.programs import PROGRAMS, default_cutoff, why_not

#: Longest sample that is looked at for the break-even.
MOST_STEPS = 100_000


def describe_programs(placement, steps=()):
    """What each program would keep.

    Parameters
    ----------
    placement : Placement
        Of a spiking network whose chip learns; of any other nothing is said.
    steps : sequence of int, optional
        Lengths of samples for which to say bytes.

    Returns
    -------
    list of dict
        One for each program: ``program``; ``refused``, a reason, or ``bytes`` on the fullest core of the same cores, ``sections`` there, ``limit``, ``fits``,
        ``per_step`` (bytes that each further step of a sample takes there), ``break_even`` (steps from which on it takes less than
        ``bptt``, 1 where it always does, None where it never does; absent where that is refused), ``by_steps`` (bytes for each of `steps`, where asked for) and ``chosen``.
    """
    workload, found = placement.workload, []
    if workload.topology.spiking is None or workload.host_learns:
        return found

    def bytes_of(name, n_steps):
        return _place(placement, name, n_steps)[1]

    for name, program in PROGRAMS.items():
        reason = why_not(program, workload.topology) or why_not_here(program, workload.topology, placement.profile)
        row = {"program": name, "refused": reason, "chosen": name == workload.program}
        if reason is None:
            placed, n_bytes = _place(placement, name, workload.topology.n_steps)
            row |= {"bytes": n_bytes, "sections": dict(placed.core(int(placed.n_bytes.argmax())).sections)}
            row |= {"limit": placed.local_limit, "fits": placed.fits}
            # Far beyond any cut-off; bits are whole bytes there.
            far = 8 * MOST_STEPS
            row["per_step"] = (bytes_of(name, 2 * far) - bytes_of(name, far)) / far
            if name != "bptt" and not found[0]["refused"]:
                row["break_even"] = _break_even(partial(bytes_of, name), partial(bytes_of, "bptt"))
            if steps:
                row["by_steps"] = [bytes_of(name, n) for n in steps]
        found.append(row)
    return found


def _place(placement, name, n_steps):
    """The network with another program and samples of another length on the same cores: its placement, and bytes of the fullest core."""
    workload, topology = placement.workload, placement.workload.topology
    window = n_steps if topology.window >= topology.n_steps else min(topology.window, n_steps)
    cutoff = None if workload.trace_cutoff == default_cutoff(topology) else workload.trace_cutoff
    longer = replace(topology, n_steps=n_steps, window=window)
    placed = place(placement.profile, replace(workload, topology=longer, program=name, trace_cutoff=cutoff), placement.n_cores)
    return placed, int(placed.n_bytes.max())


def _break_even(bytes_of, bytes_of_bptt):
    """Least number of steps from which on a program takes less than the history of bptt; None where it never does, up to `MOST_STEPS`."""
    if bytes_of(MOST_STEPS) >= bytes_of_bptt(MOST_STEPS):
        return None
    low, high = 1, MOST_STEPS
    while low < high:
        middle = (low + high) // 2
        if bytes_of(middle) < bytes_of_bptt(middle):
            high = middle
        else:
            low = middle + 1
    return low
