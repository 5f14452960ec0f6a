"""A use with its limit, and who says so: what every check of a placement is made of."""

from dataclasses import asdict, dataclass

import numpy as np

from neurosim.placement.alike import MOST_LISTED, group_alike


@dataclass(frozen=True)
class Usage:
    """One resource: what is used, what there is, and the key and source of the limit.

    `core` and `matrix` say where, when the limit is of a core or of a segment; `where` says it in words. Where the use
    depends on which positions are drawn, `used` is expected, and every draw uses from `least` to `most`.
    Of very many places those with the same numbers are one usage: the first of `n_places`.
    """

    name: str
    where: str
    used: int
    limit: int
    unit: str
    source: str
    core: int | None = None
    matrix: int | None = None
    least: int | None = None
    most: int | None = None
    n_places: int = 1

    @property
    def fits(self):
        """Whether some draw fits; the run then keeps the limit, see `is_guaranteed`."""
        return (self.used if self.least is None else self.least) <= self.limit

    @property
    def is_guaranteed(self):
        """Whether every draw fits."""
        return (self.used if self.most is None else self.most) <= self.limit

    @property
    def over(self):
        """How much is used beyond the limit; negative when there is room."""
        return (self.used if self.least is None else self.least) - self.limit

    def to_dict(self):
        return {**asdict(self), "fits": self.fits}


@dataclass(frozen=True, eq=False)
class Check:
    """One limit over many places: `used`, `core` and `matrix` are arrays of one length, or core and matrix None.

    `least` and `most` are arrays beside `used`, the expected use, where it depends on the draw; `limit` is one number, or
    an array of that length. `places` says where in words, instead of core and matrix.
    """

    name: str
    used: np.ndarray
    limit: int
    unit: str
    source: str
    core: np.ndarray | None = None
    matrix: np.ndarray | None = None
    least: np.ndarray | None = None
    most: np.ndarray | None = None
    places: tuple | None = None

    @property
    def fits(self):
        """Whether some draw fits everywhere."""
        return bool(((self.used if self.least is None else self.least) <= self.limit).all())

    @property
    def is_guaranteed(self):
        """Whether every draw fits everywhere."""
        return bool(((self.used if self.most is None else self.most) <= self.limit).all())

    def usages(self):
        """One `Usage` per place; where there are very many, one for those with the same numbers."""
        limit = np.broadcast_to(self.limit, self.used.shape)
        numbers = [column for column in (self.used, limit, self.matrix, self.least, self.most) if column is not None]
        places, counts = (np.arange(self.used.size), None) if self.used.size <= MOST_LISTED else group_alike(numbers)
        for i, k in enumerate(places.tolist()):
            core = None if self.core is None else int(self.core[k])
            matrix = None if self.matrix is None else int(self.matrix[k])
            where = "chip" if core is None else f"core {core}" if matrix is None else f"core {core}, matrix {matrix}"
            where = self.places[k] if self.places else where
            n_alike = 1 if counts is None else int(counts[i])
            where += f" and {n_alike - 1:,d} like it" if n_alike > 1 else ""
            bounds = (None, None) if self.least is None else (int(self.least[k]), int(self.most[k]))
            yield Usage(self.name, where, int(self.used[k]), int(limit[k]), self.unit, self.source, core, matrix, *bounds, n_alike)


def drawn(name, bounds, limit, source, unit, cores=None, places=None):
    """`Check` of a count that depends on the draw, or on given positions; `bounds` : `rows.Bounds`."""
    if bounds.is_exact:
        return Check(name, bounds.expected, limit, unit, source, cores, places=places)
    return Check(name, bounds.expected, limit, unit, source, cores, least=bounds.least, most=bounds.most, places=places)


def cite(profile, key, quantity):
    """Key and source of a number of a profile, as `Usage.source` says them."""
    return f"{key} ({quantity.source}: {profile.sources[quantity.source]})"


def cite_limit(profile, name, suffix=""):
    """The same of a stated limit; `suffix` is what divides it."""
    return cite(profile, f"limits.{name}{suffix}", getattr(profile.limits, name).max)
