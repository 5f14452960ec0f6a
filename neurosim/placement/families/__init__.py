"""Storage families, one file each: limits, bytes, what a removed synapse frees, accesses, and how people are told.

What their profiles say stands in `hardware.storage`. A family from elsewhere is one class more, given to `add_family`.
"""

from neurosim.errors import InputError, nearest
from neurosim.hardware import HardwareProfile
from neurosim.hardware.storage import add_storage
from neurosim.placement.families.address_space import AddressSpaceFamily
from neurosim.placement.families.arrays import ArrayFamily, CrossbarFamily
from neurosim.placement.families.base import Family, Room
from neurosim.placement.families.cam_per_neuron import CamPerNeuronFamily
from neurosim.placement.families.conv_tables import ConvTablesFamily
from neurosim.placement.families.crossbar_binary import CrossbarBinaryFamily
from neurosim.placement.families.crossbar_multibit import CrossbarMultibitFamily
from neurosim.placement.families.packed_lists import PackedListsFamily
from neurosim.placement.sections import TABLE, add_section

__all__ = ["FAMILIES", "ArrayFamily", "CrossbarFamily", "Family", "Room", "add_family", "family_of"]

#: Every known family by its name in profiles.
FAMILIES: dict[str, Family] = {}


def add_family(family: Family) -> None:
    """Let profiles use a storage family.

    Parameters
    ----------
    family : Family

    Raises
    ------
    ValueError
        Another family has its name, or its synapses lie in a section that no table knows.
    """
    other = FAMILIES.get(family.name)
    if other is not None and type(other) is not type(family):
        raise ValueError(f"storage family {family.name}: there is another of this name already")
    for section in family.sections:
        add_section(section)
    if family.home not in TABLE:
        raise ValueError(f"storage family {family.name}: its home {family.home} is no section; known: {', '.join(TABLE)}")
    add_storage(family.storage)
    FAMILIES[family.name] = family


for _family in (AddressSpaceFamily, CrossbarMultibitFamily, CrossbarBinaryFamily, PackedListsFamily, CamPerNeuronFamily, ConvTablesFamily):
    add_family(_family())


def family_of(profile: HardwareProfile) -> Family:
    """The storage family of a chip.

    Parameters
    ----------
    profile : HardwareProfile

    Returns
    -------
    Family

    Raises
    ------
    InputError
        Nobody has said how its family stores synapses.
    """
    name = profile.storage.family
    if name not in FAMILIES:
        raise InputError(
            f"profile {profile.name}: storage.family: found {name!r}, of which nobody says how it stores synapses; {nearest(name, FAMILIES)}"
        )
    return FAMILIES[name]
