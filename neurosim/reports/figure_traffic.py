"""Bytes per trained sample, by phase, level and direction."""

from neurosim.reports import figure_style as style
from neurosim.reports.facts import EVALUATION, bytes_text, in_order, n_trained, traffic_by_phase, words

HOST = "host"
_BAR = 0.42
_LOW = 0.05


def draw_traffic(record, figure):
    """For each phase one bar per level, reads below writes, and one of host transfer."""
    n = n_trained(record)
    found = {phase: dict(levels) for phase, levels in traffic_by_phase(record).items()}
    for phase, n_bytes in record.traffic_bytes.by_level_and_phase.get(HOST, {}).items():
        found.setdefault(phase, {})[HOST] = (n_bytes, 0)  # its direction is not recorded
    found.pop(EVALUATION, None)
    phases = in_order(found, style.PHASE_LOOKS)
    bars = [
        (x, level, [way / n for way in found[phase][level]]) for x, phase in enumerate(phases) for level in in_order(found[phase], style.LEVEL_LOOKS)
    ]
    highest = max((sum(ways) for _, _, ways in bars), default=0)
    size, unit = style.byte_scale(highest)
    on_chip = sum(sum(ways) for _, level, ways in bars if level != HOST)
    n_cores = len(record.cores)
    title = f"Memory traffic per trained sample: {bytes_text(on_chip)}"
    whose = "of one core" if n_cores == 1 else f"of {n_cores:,d} cores together"
    room = style.frame(figure, record, title, f"reads and writes {whose}; evaluation is not part of it", right=0.745)
    axes = style.plain_axes(figure, room, f"bytes per trained sample ({unit}{' = 1024 B' if unit == 'KB' else ''})", "phase")
    _draw_bars(axes, bars, size, highest)
    style.nice_limit(axes, highest / size * 1.1)
    axes.set_xticks(range(len(phases)), [words(phase) for phase in phases])
    if figure.get_size_inches()[0] < style.PAGE.width:  # as wide as a column, the words would touch
        axes.tick_params(axis="x", rotation=30)
    axes.set_xlim(-0.6, max(len(phases), 1) - 0.4)
    style.legend_beside(axes, _keys(bars))


def _draw_bars(axes, bars, size, highest):
    groups, font = {}, 6 if axes.figure.get_size_inches()[0] < style.PAGE.width else 7
    for x, level, ways in bars:
        groups.setdefault(x, []).append((level, ways))
    for x, group in groups.items():
        low = [sum(ways) for _, ways in group if sum(ways) < _LOW * highest]
        for nth, (level, ways) in enumerate(group):
            place, total = x + (nth - (len(group) - 1) / 2) * _BAR, sum(ways)
            base = 0.0
            for way, look in zip(ways, style.look_of_level(level)):
                if way:
                    axes.bar(place, way / size, _BAR * 0.94, bottom=base, **look.kwargs)
                    base += way / size
            # Bars too low to be read off say their bytes; beside each other, on lines of their own.
            if total in low:
                style.write_above(axes, place, max(low) / size, bytes_text(total), lines=nth if len(low) > 1 else 0, fontsize=font)
            else:
                style.write_above(axes, place, base, style.short(base), fontsize=font)


def _keys(bars):
    keys = []
    for level in in_order((level for _, level, _ in bars), style.LEVEL_LOOKS)[::-1]:
        read, write = style.look_of_level(level)
        if level == HOST:
            keys.append(read.patch("from and to the host"))
            continue
        for i, (look, name) in enumerate(((read, "read"), (write, "write"))):
            if any(ways[i] for _, other, ways in bars if other == level):
                keys.append(look.patch(f"{words(level)}, {name}"))
    return keys
