"""How segments and matrices are dealt to threads that work on them at the same time."""

from neurosim.kernels.compile import inlined

#: Most threads that share the segments, or the matrices, of a network.
N_SHARES = 4


@inlined
def first_of_share(share):
    """The first of what a share takes, each `N_SHARES` after the one before.

    A parallel loop deals shares out in their order, half of them to each of two threads, which then get every other segment: large
    ones lie side by side.
    """
    return (share & 1) * 2 + (share >> 1)


@inlined
def part_of_share(share, n_shares):
    """The first of what a share takes and the distance to the next: all of it, unless there are `N_SHARES`."""
    return (first_of_share(share), N_SHARES) if n_shares > 1 else (0, 1)
