"""The training programs of a spiking network beside each other: what each would keep on the same cores, and from how many steps on traces win."""

from dataclasses import replace

from neurosim.placement.place import place
from neurosim.placement.programs import PROGRAMS, default_cutoff, why_not

#: Longest sample that is looked at for the break-even.
MOST_STEPS = 100_000


def describe_programs(placement):
    """What each program would keep.

    Parameters
    ----------
    placement : Placement
        Of a spiking network whose chip learns.

    Returns
    -------
    list of dict
        One for each program: ``program``; ``refused``, a reason, or ``bytes`` on the fullest core of the same cores, ``sections`` there, ``limit``, ``fits``,
        ``per_step`` (bytes that each further step of a sample takes there), ``break_even`` (steps from which on it takes less than
        ``bptt``, 0 where it always does; None where it never does) and ``chosen``.
    """
    workload, found = placement.workload, []
    if workload.topology.spiking is None or workload.host_learns:
        return found

    def fullest(name, n_steps):
        topology = workload.topology
        window = n_steps if topology.window >= topology.n_steps else min(topology.window, n_steps)
        cutoff = None if workload.trace_cutoff in (None, default_cutoff(topology)) else workload.trace_cutoff
        longer = replace(topology, n_steps=n_steps, window=window)
        placed = place(placement.profile, replace(workload, topology=longer, program=name, trace_cutoff=cutoff), placement.n_cores)
        return placed.core(int(placed.n_bytes.argmax())), placed

    steps = workload.topology.n_steps
    for name, program in PROGRAMS.items():
        reason = why_not(program, workload.topology)
        row = {"program": name, "refused": reason, "chosen": name == workload.program}
        if reason is None:
            core, placed = fullest(name, steps)
            row |= {"bytes": core.n_bytes, "sections": dict(core.sections), "limit": placed.local_limit, "fits": placed.fits}
            row["per_step"] = (fullest(name, 17 * 8 * steps)[0].n_bytes - fullest(name, 16 * 8 * steps)[0].n_bytes) / (8 * steps)
            row["break_even"] = None if name == "bptt" else _break_even(lambda n, name=name: fullest(name, n)[0].n_bytes, lambda n: fullest("bptt", n)[0].n_bytes)
        found.append(row)
    return found


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
