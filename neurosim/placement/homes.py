"""Layouts on chips that leave no choice where neurons lie, and on all others."""

from dataclasses import replace

from neurosim.placement.families import family_of
from neurosim.placement.layout import layout_of


def with_homes(profile, workload, n_cores):
    """A workload whose neurons lie where the chip wants them; as it is, where that is open.

    Parameters
    ----------
    profile : HardwareProfile
    workload : Workload
    n_cores : int

    Returns
    -------
    Workload
    """
    own = family_of(profile).homes(profile, workload.topology, n_cores)
    return workload if own is None else replace(workload, own=own)


def lay_out(profile, workload, n_cores):
    """`Layout` of a workload on so many cores of a chip; see `layout.layout_of`."""
    return layout_of(with_homes(profile, workload, n_cores), n_cores)
