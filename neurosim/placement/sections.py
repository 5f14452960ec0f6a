"""The table of memory sections: one row of facts for everything that a core keeps, whoever computes, counts or draws it.

The order of the table is that of every list, stack and array of sections.
"""

from dataclasses import dataclass

#: Level of a section that its core has spilled: the memory that the cores of a chip share.
SHARED = "sdram"
LOCAL = "local_sram"


@dataclass(frozen=True)
class Section:
    """One kind of content of a memory.

    Attributes
    ----------
    name : str
    look : (str, str, str)
        Fill, hatch and ink of the hatch, in figures.
    level : str
        Memory that holds it: ``local_sram`` of the core, which has a limit in bytes, or one of the storage family's own.
    spill_rank : int, optional
        Order in which it moves to shared memory where it may, which only what is kept per slot does; None where it stays.
    has_host_copy : bool
        Whether it holds what synapses are, so that a host which rewires reads and writes it; other accesses are the chip's.
    """

    name: str
    look: tuple[str, str, str]
    level: str = LOCAL
    spill_rank: int | None = None
    has_host_copy: bool = False


_DARK = "#444444"
_WHITE = "#ffffff"
#: Every known section by its name; a storage family may add its own with `add_section`.
TABLE = {
    section.name: section
    for section in (
        Section("code", ("#c4c4c4", "", _WHITE)),
        Section("synapses", ("#124a7d", "", _WHITE), spill_rank=0, has_host_copy=True),
        Section("synapse_array", ("#c8501e", "....", _WHITE), level="synapse_array", has_host_copy=True),
        Section("synapse_lists", ("#3d6b35", "oooo", _WHITE), level="synapse_memory", has_host_copy=True),
        Section("master_weights", ("#5f8fc0", "oooo", _WHITE), spill_rank=2, has_host_copy=True),
        Section("row_pointers", ("#9bd0ee", "////", _DARK), has_host_copy=True),
        Section("gradients", ("#c8501e", "\\\\\\\\", _WHITE), spill_rank=1),
        Section("optimizer_state", ("#f2b28c", "||||", _DARK), spill_rank=3, has_host_copy=True),
        # Traces of synapses and of their pre neurons, what is kept of past steps, and what leads errors to neurons, of spiking networks.
        Section("eligibility", ("#b5179e", "****", _WHITE), spill_rank=4),
        Section("pre_traces", ("#e8a0d8", "////", _DARK)),
        Section("history", ("#7a5195", "xxxx", _WHITE)),
        Section("feedback", ("#cfc3e8", "||||", _DARK)),
        Section("dense_gradient", ("#8a2f0b", "////", _WHITE)),
        Section("neuron_state", ("#f3cf5b", "", _WHITE)),
        Section("feature_maps", ("#c7a6dd", "....", _DARK)),
        Section("unrolled_state", ("#a8780c", "xxxx", _WHITE)),
        Section("input_buffer", ("#0b7a5f", "....", _WHITE)),
        Section("label_buffer", ("#bfe6cd", "xxxx", _DARK)),
        Section("random_state", ("#5b3486", "++++", _WHITE)),
        Section("rewiring", ("#efb6d3", "----", _DARK)),
    )
}
#: Names in the order of the table. A list, because a storage family from elsewhere may make it longer.
SECTIONS = list(TABLE)


def add_section(section: Section) -> None:
    """Add a row at the end of the table; the same row again changes nothing.

    Raises
    ------
    ValueError
        Another section has its name.
    """
    if TABLE.setdefault(section.name, section) != section:
        raise ValueError(f"section {section.name}: there is another of this name already")
    if section.name not in SECTIONS:
        SECTIONS.append(section.name)


def movable_sections() -> tuple[str, ...]:
    """Sections that can move to shared memory, in the order of preference: synapses first, then what learning keeps beside each."""
    ranked = [(section.spill_rank, name) for name, section in TABLE.items() if section.spill_rank is not None]
    return tuple(name for _, name in sorted(ranked))


def host_sections() -> tuple[str, ...]:
    """Sections that a host which rewires reads and writes."""
    return tuple(section.name for section in TABLE.values() if section.has_host_copy)


def list_levels() -> tuple[str, ...]:
    """Levels of memory, local first."""
    return tuple(dict.fromkeys((LOCAL, SHARED, *(section.level for section in TABLE.values()))))


def level_of(name: str, is_spilled: bool = False) -> str:
    """Memory level of a section: that of its row, or shared memory where its core has spilled it."""
    return SHARED if is_spilled else TABLE[name].level
