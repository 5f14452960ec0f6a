"""The table of a benchmark result (the JSON of `benchmarks.run`)."""

HEADER = ("row", "case", "ours", "peer", "figure", "range", "bar", "met", "peer's form")


def format_table(result):
    """Machine, table and notes as text.

    Parameters
    ----------
    result : dict
        As written by `benchmarks.run`.
    """
    machine, settings = result["machine"], result["settings"]
    lines = [
        f"{machine['cpu']}, {machine['n_cores']} cores, {machine['n_threads']} threads, {machine['system']}",
        f"neurosim's threads {'sleep' if machine['our_threads_sleep'] else 'SPIN'} between loops",
        "  ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        f"{result['made']}, load before {machine['load_average_1min']:.2f}, "
        f"after {machine['load_average_1min_after']:.2f}, medians of {settings['repetitions']} rounds"
        + ("; QUICK: small sizes, not the issue's figures" if settings["is_quick"] else ""),
        "",
    ]
    cells = [HEADER, *(_cells(row) for row in result["rows"])]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADER))]
    lines += ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]
    judged = [row for row in result["rows"] if row["is_met"] is not None]
    lines += ["", f"{sum(row['is_met'] for row in judged)} of {len(judged)} bars met", ""]
    for row in result["rows"]:
        lines += [f"{row['number']:>5}  {row['case']}"] * bool(row["notes"])
        lines += [f"         {note}" for note in row["notes"]]
    return "\n".join(lines)


def _cells(row):
    bar = "" if row["bar"] is None else f"{'>=' if row['at_least'] else '<='} {_figure(row['bar'], row['unit'])}"
    low_high = row["figure_range"]
    return (
        row["number"],
        row["case"],
        _amount(row["ours"], row["measured_in"]),
        _amount(row["peer"], row["measured_in"]),
        _figure(row["figure"], row["unit"]),
        f"{_figure(low_high[0], row['unit'])}..{_figure(low_high[1], row['unit'])}" if low_high else "",
        bar,
        {None: "", True: "yes", False: "NO"}[row["is_met"]],
        row["peer_name"],
    )


def _figure(value, unit):
    if unit == "share":
        return f"{value:.1%}"
    if unit != "x":
        return f"{value:.3g} {unit}"
    return f"{value:.3f}x" if abs(value) < 2 else f"{value:.2f}x"  # a bar of 1.05 is missed by 1.054


def _amount(value, unit):
    if value is None:
        return ""
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if value * factor >= 0.995:
            return f"{value * factor:.3g} {name}"
    return f"{value * 1e9:.3g} ns"
