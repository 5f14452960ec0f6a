"""Where cores lie: chips of a board, tiles of a mesh. Distances are in hops between the routers of tiles."""

from dataclasses import dataclass
from functools import lru_cache

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
    classes = tuple((kind.chips.value, kind.n_cores // kind.chips.value) for kind in profile.chips) or ((1, profile.cores.value),)
    mesh = profile.network.mesh
    per_tile = mesh and mesh.cores_per_tile and mesh.cores_per_tile.value
    height = None if mesh is None or mesh.width is None or mesh.height is None else mesh.height.value
    return _locate(classes, per_tile, height, n_cores)


@lru_cache(maxsize=16)
def _locate(classes, per_tile, height, n_cores):
    """`Geometry` of chips in classes, (how many, cores of each); searches ask for the same one again and again. Read only."""
    starts = np.concatenate([[0], np.cumsum(np.repeat(*np.array(classes, np.int64).T[::-1]))])
    cores = np.arange(n_cores, dtype=np.int64)
    # A run that only reports that it has too many cores puts the rest on the last chip.
    chip = np.minimum(np.searchsorted(starts, cores, side="right") - 1, starts.size - 2)
    if per_tile is None:
        return _frozen(chip)
    tile = (cores - starts[chip]) // per_tile
    names = chip * (n_cores + 1) + tile
    return _frozen(chip, names) if height is None else _frozen(chip, names, tile // height, tile % height)


def _frozen(*arrays):
    for array in arrays:
        array.flags.writeable = False
    return Geometry(*arrays)
