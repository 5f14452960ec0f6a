"""How a chip is built beyond one core: chips of unequal size, operating points, the network between cores."""

from pydantic import model_validator

from neurosim.documents import Strict, WrongKey
from neurosim.hardware.quantities import BitRate, Count, Frequency, Seconds, StateBits, Volts


class ChipClass(Strict):
    """Equal chips of a board: how many there are, and how many of the cores of each work and are not reserved."""

    chips: Count
    working_cores: Count
    reserved_cores: Count | None = None

    @model_validator(mode="after")
    def _check(self):
        if self.reserved_cores is not None and self.reserved_cores.value >= self.working_cores.value:
            message = f"found {self.reserved_cores.value}; expected less than working_cores, {self.working_cores.value}"
            raise WrongKey(["reserved_cores", "value"], message)
        return self

    @property
    def n_cores(self):
        """Cores for worker programs on all chips of the class."""
        reserved = 0 if self.reserved_cores is None else self.reserved_cores.value
        return self.chips.value * (self.working_cores.value - reserved)


class Corner(Strict):
    """An operating point: supply voltage and clock. Prices and static power that hold there name it in their set."""

    voltage: Volts | None = None
    clock: Frequency | None = None


class Mesh(Strict):
    """Routers in a grid, each with the same number of cores."""

    width: Count | None = None
    height: Count | None = None
    cores_per_tile: Count | None = None


class Network(Strict):
    """How cores and chips are connected. `packet_bits` is the size of a packet without payload."""

    mesh: Mesh | None = None
    packet_bits: StateBits | None = None
    hop_latency: Seconds | None = None
    links_per_chip: Count | None = None
    link_bandwidth: BitRate | None = None
