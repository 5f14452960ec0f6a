"""What a hardware profile says: storage, word formats, limits, learning, time and energy of one chip.

A number that nobody published is absent (None), never 0. Refusals name the file, the line and the key.
"""

from html import escape
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from neurosim.documents import Strict, WrongKey, as_tuple, collect_wrong
from neurosim.errors import nearest
from neurosim.hardware.costs import CornerName, Energy, Time
from neurosim.hardware.structure import ChipClass, Corner, Network
from neurosim.hardware.quantities import Bits, Count, Text, iter_quantities
from neurosim.hardware.storage import Formats, Storage, SynapseWord


class _Limit(Strict):
    kind: Literal["wall", "budget"]
    action: Literal["error", "spill"]


class CountLimit(_Limit):
    """Largest count, whether it is structural (wall) or bytes and time (budget), and what happens beyond it."""

    max: Count


class BitLimit(_Limit):
    """Like `CountLimit`, in bits."""

    max: Bits


class TargetLimit(CountLimit):
    """Most targets of one neuron; `of` says whether each core on which it has synapses is one, its own included, or each chip."""

    of: Literal["core", "chip"]


class Limits(Strict):
    """Limits that the profile states; `routing_entries` is per chip, the others per core, neuron or synapse."""

    neurons_per_core: CountLimit | None = None
    synapses_per_core: CountLimit | None = None
    fan_in_per_neuron: CountLimit | None = None
    in_axons_per_core: CountLimit | None = None
    out_axons_per_core: CountLimit | None = None
    targets_per_neuron: TargetLimit | None = None
    routing_entries: CountLimit | None = None
    weight_bits_native: BitLimit | None = None


KNOWN_LIMITS = tuple(Limits.model_fields)


class EngineTraces(Strict):
    """Numbers that an engine beside circuits keeps to learn by; a chip without such an engine states none.

    Attributes
    ----------
    pre : Quantity
        Traces of each pre neuron.
    synapse : Quantity, optional
        Numbers of each synapse beside its weight, such as the tag of Loihi; absent where there is none.
    """

    pre: Count
    synapse: Count | None = None


class Learning(Strict):
    """Where learning runs, who rewires, and the key of the source that says so.

    `updates` : when weights take their updates: ``batch``, or ``step`` where an engine applies those of each step of a sample at once, so that it keeps
    no sums of gradients. `traces` : what an engine keeps, which decides what spiking networks it trains.
    """

    where: Literal["none", "host", "embedded_cpu", "simd_beside_array", "synapse_engine", "same_core"]
    rewiring: Literal["on_chip", "host", "none"]
    updates: Literal["batch", "step"] = "batch"
    source: str
    note: str | None = None
    traces: EngineTraces | None = None


class Assume(Strict):
    """Short form of numbers that are assumed: one source and one note for all. They take the place of what the file says elsewhere.

    Attributes
    ----------
    source : str
        Who assumes them; it stands in `sources` as ``assumed``.
    note : str, optional
        Why.
    numbers : dict of str to number or str
        By dotted key (`neurosim.hardware.numbers`), as a number in its unit, or as a text with a unit, such as ``64 KiB``.
    """

    source: Text
    note: str | None = None
    numbers: dict[str, int | float | str] | None = None


class HardwareProfile(Strict):
    """One chip, each number with its source. Made by `load_profile`.

    Attributes
    ----------
    cores : Quantity
        Cores of the chip, or of all chips of the board, that worker programs can use.
    chips : tuple of ChipClass
        Chips of a board, when there are several or some of their cores are reserved.
    corner : str, optional
        Operating point in use; a scenario may choose another with ``hardware.corner``.
    corners : dict of str to Corner
    assume : Assume, optional
        Its numbers are expanded by `make_profile`.
    changes : tuple of `numbers.Change`
        Numbers that a scenario changed (`override_profile`).
    path, sha256 : str
        File it was loaded from and the digest of its bytes; empty for a profile made in Python.
    """

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: Text
    description: Text
    sources: dict[str, Text]
    cores: Count
    chips: Annotated[tuple[ChipClass, ...], as_tuple] = ()
    corner: CornerName | None = None
    corners: dict[CornerName, Corner] = {}
    storage: Storage
    synapse_word: SynapseWord
    formats: Formats
    limits: Limits = Limits()
    learning: Learning
    network: Network = Network()
    time: Time = Time()
    energy: Energy
    assume: Assume | None = None

    _changes: tuple = PrivateAttr(())
    _path: str = PrivateAttr("")
    _sha256: str = PrivateAttr("")
    _text: str = PrivateAttr("")

    def _repr_html_(self):
        """What a notebook shows: the chip, and its numbers with their sources."""
        from neurosim.hardware.loader import check_profile

        cells = [(row["key"], f"{row['value']:g}", row["unit"], row["kind"], row["source"]) for row in check_profile(self)]
        rows = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in cells)
        head = "".join(f"<th>{name}</th>" for name in ("number", "value", "unit", "kind", "source"))
        about = f"<p><b>{escape(self.name)}</b>: {escape(self.title)}, price set {escape(self.energy.price_set)}</p>"
        return f"{about}<details><summary>{len(cells)} numbers</summary><table><tr>{head}</tr>{rows}</table></details>"

    @property
    def changes(self):
        return self._changes

    @property
    def path(self):
        return self._path

    @property
    def sha256(self):
        return self._sha256

    @property
    def text(self):
        """The file as it was read, line ends included: what `sha256` is of."""
        return self._text

    @property
    def n_chips(self):
        """Chips that are powered."""
        return sum(chip.chips.value for chip in self.chips) or 1

    @property
    def clock(self):
        """`Quantity` of the clock at the operating point in use, or None."""
        at_corner = self.corners[self.corner].clock if self.corner else None
        return at_corner or self.time.clock

    @property
    def cycles(self):
        """`EventCycles` of the price set in use, or those of every set."""
        return self.energy.chosen.cycles or self.time.cycles

    def with_shared_signs(self):
        """The same chip under a network that gives all synapses of a pre neuron one sign; other than crossbars gain nothing by it."""
        if "shares_signs" not in type(self.storage).model_fields:
            return self
        return self.model_copy(update={"storage": self.storage.model_copy(update={"shares_signs": True})})

    def choose(self, price_set=None, corner=None):
        """The same chip with another price set or at another operating point.

        A corner alone takes the first set that holds there; a set alone takes its corner.

        Parameters
        ----------
        price_set, corner : str, optional

        Returns
        -------
        HardwareProfile

        Raises
        ------
        WrongKey
            A name that does not exist, or a set that does not hold at the corner; the key is that of the argument.
        """
        sets = self.energy.price_sets
        if price_set is not None and price_set not in sets:
            raise WrongKey(["price_set"], f"{price_set!r} is not a price set of {self.name}; {nearest(price_set, sets)}")
        if corner is not None and corner not in self.corners:
            known = nearest(corner, self.corners) if self.corners else "it states no operating corners; leave the key out"
            raise WrongKey(["corner"], f"{corner!r} is not an operating corner of {self.name}; {known}")
        holds = [name for name, prices in sets.items() if corner is None or prices.corner in (None, corner)]
        if price_set is not None and price_set not in holds:
            message = f"price set {price_set} of {self.name} holds at corner {sets[price_set].corner}, not at {corner}; expected {holds[0]}"
            raise WrongKey(["price_set"], message)
        price_set = price_set or (self.energy.price_set if self.energy.price_set in holds else holds[0])
        energy = self.energy.model_copy(update={"price_set": price_set})
        return self.model_copy(update={"energy": energy, "corner": corner or sets[price_set].corner or self.corner})

    @model_validator(mode="after")
    def _check(self):
        """All that does not go together, at once."""
        collect_wrong(
            self._check_sources, self._check_chips, self._check_storage, self._check_mesh, self._check_corners, self._check_word, self._check_programs, self._check_spill,
        )  # fmt: skip
        return self

    def _check_sources(self):
        found = [(key_path, quantity.source) for key_path, quantity in iter_quantities(self)]
        found += [
            ((*key_path, "alternatives", index), other.source)
            for key_path, quantity in iter_quantities(self)
            for index, other in enumerate(quantity.alternatives)
        ]
        found += [(("learning",), self.learning.source)]
        found += [(("energy", "price_sets", name), prices.source) for name, prices in self.energy.price_sets.items()]
        WrongKey.raise_all(
            [
                WrongKey([*key_path, "source"], f"found {source!r}, which is not in sources; {nearest(source, self.sources)}")
                for key_path, source in found
                if source not in self.sources
            ]
        )

    def _check_chips(self):
        total = sum(chip.n_cores for chip in self.chips)
        if self.chips and total != self.cores.value:
            raise WrongKey(["cores", "value"], f"found {self.cores.value}; expected {total}, the cores of chips that are not reserved")

    def _check_storage(self):
        self.storage.check_cores(self.cores.value)

    def _check_mesh(self):
        mesh = self.network.mesh
        if mesh is not None and None not in (mesh.width, mesh.height, mesh.cores_per_tile):
            places = mesh.width.value * mesh.height.value * mesh.cores_per_tile.value
            most = max((chip.n_cores // chip.chips.value for chip in self.chips), default=self.cores.value)
            if places < most:
                message = f"found {mesh.cores_per_tile.value}; width x height x cores_per_tile is {places}, the chip has {most} cores"
                raise WrongKey(["network", "mesh", "cores_per_tile", "value"], message)

    def _check_corners(self):
        """Every corner that is named exists, has a price set, and the two defaults agree."""
        sets = self.energy.price_sets
        named = {("energy", "price_sets", name, "corner"): prices.corner for name, prices in sets.items()} | {("corner",): self.corner}
        for key_path, corner in named.items():
            if corner is not None and corner not in self.corners:
                known = nearest(corner, self.corners) if self.corners else "corners is missing or empty"
                raise WrongKey(key_path, f"found {corner!r}, which is not in corners; {known}")
        if self.corners and self.corner is None:
            raise WrongKey(["corner"], f"missing beside corners; expected one of them: {', '.join(self.corners)}")
        for corner in self.corners:
            if not any(prices.corner in (None, corner) for prices in sets.values()):
                raise WrongKey(["corners", corner], "no price set holds at this corner; expected one in energy.price_sets, even without prices")
        if self.energy.chosen.corner not in (None, self.corner):
            message = f"found {self.energy.price_set!r}, which holds at corner {self.energy.chosen.corner}; the default corner is {self.corner}"
            raise WrongKey(["energy", "price_set"], message)
        if self.time.clock is not None and any(corner.clock is not None for corner in self.corners.values()):
            raise WrongKey(["time", "clock"], "found beside the clocks of corners; expected one of the two")

    def _check_word(self):
        needs = f"missing; storage family {self.storage.family} needs it"
        WrongKey.raise_all([WrongKey(["synapse_word", key], needs) for key in self.storage.word_fields if getattr(self.synapse_word, key) is None])

    def _check_programs(self):
        for name, prices in self.energy.price_sets.items():
            if prices.program is not None and self.storage.family != "address_space":
                message = f"found accounting program with storage family {self.storage.family}; its loops walk words in local memory"
                raise WrongKey(["energy", "price_sets", name, "accounting"], message)

    def _check_spill(self):
        for key in KNOWN_LIMITS:
            limit = getattr(self.limits, key)
            if limit is not None and limit.action == "spill" and getattr(self.storage, "shared_bytes", None) is None:
                raise WrongKey(["limits", key, "action"], "found 'spill' but storage has no shared_bytes to spill to; expected 'error'")
