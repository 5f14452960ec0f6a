"""Where cores lie: chips of a board, tiles of a mesh. Distances are in hops between the routers of tiles."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Geometry:
    """Places of the used cores, in order of their numbers: int64 arrays, shape (n_cores,).

    Attributes
    ----------
    chip : array
        Cores fill one chip after the other.
    tile : array or None
        Router of the core, over all chips; None where the profile does not say how many cores share one.
    x, y : array or None
        Column and row of the tile on its chip, column by column: tile t of a chip lies at (t // height, t % height). None
        where the profile states no grid.
    """

    chip: np.ndarray
    tile: np.ndarray | None = None
    x: np.ndarray | None = None
    y: np.ndarray | None = None

    @property
    def tells_packets_apart(self):
        """Whether packets differ by where they go, so that they are counted for each pair of cores."""
        return self.chip.size > 1 and (self.tile is not None or self.chip[-1] > 0)


def locate_cores(profile, n_cores):
    """Geometry of the first `n_cores` cores of a chip or board.

    Parameters
    ----------
    profile : HardwareProfile
    n_cores : int

    Returns
    -------
    Geometry
    """
    sizes = [kind.n_cores // kind.chips.value for kind in profile.chips for _ in range(kind.chips.value)] or [profile.cores.value]
    starts = np.cumsum([0, *sizes])
    cores = np.arange(n_cores, dtype=np.int64)
    # A run that only reports that it has too many cores puts the rest on the last chip.
    chip = np.minimum(np.searchsorted(starts, cores, side="right") - 1, len(sizes) - 1)
    mesh = profile.network.mesh
    if mesh is None or mesh.cores_per_tile is None:
        return Geometry(chip)
    tile = (cores - starts[chip]) // mesh.cores_per_tile.value
    names = chip * (n_cores + 1) + tile
    if mesh.width is None or mesh.height is None:
        return Geometry(chip, names)
    return Geometry(chip, names, tile // mesh.height.value, tile % mesh.height.value)
