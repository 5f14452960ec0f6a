"""Local memory of cores, section by section: sections as rows, so that any number of them fits 80 columns."""

from dataclasses import dataclass, field

from neurosim.reports.facts import words
from neurosim.reports.rich_parts import Grid, heading, percent
from neurosim.units import format_bytes, format_count

#: Synapses in cells, lists or words of neurons, and all that a core keeps.
BESIDE, IN_ALL = "synapses beside", "in all"
MOST_CORES = 8
FULLEST = 4
_NAME_WIDTH, _GAP = 15, 2


@dataclass(frozen=True)
class CoreMemory:
    """Bytes that one core uses by section, its limit (None: not stated), and further (number, format) pairs by name.

    `spilled` are sections in the memory that it shares with others, outside its limit. `stored` is all that it keeps by itself, with synapses in
    cells, lists or words of neurons; None where that is not known. It stands for `n_alike` cores.
    """

    id: int
    sections: dict[str, int]
    limit: int | None
    spilled: dict[str, int] = field(default_factory=dict)
    further: dict[str, tuple] = field(default_factory=dict)
    stored: int | None = None
    n_alike: int = 1

    @property
    def used(self):
        return sum(self.sections.values())

    @property
    def beside(self):
        """Bytes of synapses beside local memory."""
        return 0 if self.stored is None else self.stored - self.used


def print_memory(console, cores):
    """Print sections, use and limit of each core; of many cores, the fullest and the least, mean and most of all.

    Parameters
    ----------
    console : rich.console.Console
    cores : list of CoreMemory
    """
    if not cores:
        return
    limits = {core.limit for core in cores} - {None}
    stated = f"limit {format_bytes(limits.pop())} each" if len(limits) == 1 and len(cores) > 1 else ""
    if len(cores) == 1:
        _print_one(console, cores[0])
        return
    # The core with the most sections knows their order.
    ordered = sorted(cores, key=lambda core: -len(core.sections))
    names = list(dict.fromkeys(name for core in ordered for name in core.sections))
    shown, n_cores = _choose(console, cores), sum(core.n_alike for core in cores)
    is_all = len(shown) == n_cores
    alike = ", those alike once" if n_cores > len(cores) else ""
    note = "in B" if is_all else f"in B; the {len(shown)} fullest of {n_cores:,d} cores{alike}, and least, mean, most of all"
    heading(console, "memory per core", f"{note}; {stated}" if stated else note)
    grid = Grid("=section", *(f"core {core.id}" for core in shown), *(() if is_all else ("least", "mean", "most")))

    def row(name, number, form=format_count, rule=False):
        every = [number(core) for core in cores]
        total = 0 if None in every else sum(n * core.n_alike for n, core in zip(every, cores, strict=True))
        spread = () if is_all or None in every else (min(every), total / n_cores, max(every))
        cells = [form(number(core)) for core in shown] + [form(round(n) if form is format_count else n) for n in spread]
        grid.row(name, *cells, *[""] * (len(grid.table.columns) - 1 - len(cells)), rule=rule)

    for name in names:
        row(words(name), lambda core: core.sections.get(name, 0), rule=name == names[-1])
    row("used", lambda core: core.used)
    if any(core.limit is not None for core in cores):
        row("limit", lambda core: core.limit)
        row("used of limit", lambda core: core.used / core.limit if core.limit else None, _share_text, rule=True)
    if any(core.beside for core in cores):
        row(BESIDE, lambda core: core.beside)
        row(IN_ALL, lambda core: core.used + core.beside, rule=True)
    for name in dict.fromkeys(name for core in cores for name in core.spilled):
        row(f"{words(name)}, in SDRAM", lambda core: core.spilled.get(name, 0))
    for name, (_, form) in cores[0].further.items():
        row(name, lambda core: core.further[name][0], form)
    grid.print(console)


def _share_text(share):
    return "" if share is None else f"{100 * share:.1f} %"


def _print_one(console, core):
    note = f"core {core.id}, in B"
    if core.limit is not None:
        left = core.limit - core.used
        note += f"; limit {format_count(core.limit)}, {format_count(abs(left))} {'free' if left >= 0 else 'over'}"
    heading(console, "memory", note)
    grid = Grid("=section", "bytes", "of limit")
    for name, n_bytes in core.sections.items():
        grid.row(words(name), format_count(n_bytes), percent(n_bytes, core.limit), rule=name == list(core.sections)[-1])
    grid.row("used", format_count(core.used), percent(core.used, core.limit), rule=bool(core.spilled))
    if core.beside:
        grid.row(BESIDE, format_count(core.beside), "")
        grid.row(IN_ALL, format_count(core.used + core.beside), "", rule=bool(core.spilled))
    for name, n_bytes in core.spilled.items():
        grid.row(f"{words(name)}, in SDRAM", format_count(n_bytes), "")
    grid.print(console)


def _choose(console, cores):
    """All cores where they fit side by side, else the fullest, in the order of their id."""
    widest = max(len(f"{max(core.used, core.limit or 0):,d}") for core in cores)
    label = max(len(f"core {cores[-1].id}"), len("100.0 %"))
    room = (console.width - _NAME_WIDTH) // (max(widest, label) + _GAP)
    if len(cores) <= min(MOST_CORES, room):
        return cores
    fullest = sorted(cores, key=lambda core: -core.used)[: max(1, min(FULLEST, room - 3))]
    return sorted(fullest, key=lambda core: core.id)
