"""Numbers and sentences that tables and figures share, so that both say the same about a run."""

from neurosim.results.metrics import assumed_prices
from neurosim.units import format_bytes, format_si

EVALUATION = "evaluate"
STATIC = "static"
#: Order in which phases are shown; evaluation, which is no part of a trained sample, comes last.
PHASES = ("input", "forward", "backward", "gradient", "update", "rewire", STATIC, EVALUATION)


def words(name):
    """Name of a section, phase, level or component as people read it: ``local_sram -> "local SRAM"``."""
    return name.replace("_", " ").replace("sram", "SRAM").replace("sdram", "SDRAM")


def n_trained(record):
    """Samples that the run trained on, with repetition."""
    return record.n_samples_trained


def network_text(record):
    """Type and sizes of the network: ``"64-100-10"``, ``"1x8x8 - conv 12 (3x3) - max pool 2x2 - 10"``, ``"lstm of 128 units over 28 steps of 28 inputs"``.

    Empty when not recorded.
    """
    network = record.scenario.get("network", {})
    if is_convolutional(record):
        return " - ".join(["x".join(map(str, network["input_shape"])), *map(_layer_text, network["layers"])])
    if "units" not in network:
        return "-".join(str(n) for n in network.get("layers", ()))
    n_inputs = record.connectivity.matrices[0].n_pre
    return (
        f"{network['type']} of {' and '.join(str(n) for n in network['units'])} units over {record.dataset.n_features // n_inputs:,d} steps "
        f"of {n_inputs:,d} inputs"
    )


def is_convolutional(record):
    """Whether the first layer is one of maps, so that its inputs are places of kernels."""
    return any(isinstance(layer, dict) for layer in record.scenario.get("network", {}).get("layers") or ())


def is_convolution(record, m):
    """Whether matrix `m` holds kernels."""
    layers = [layer for layer in record.scenario.get("network", {}).get("layers") or () if not isinstance(layer, dict) or "conv" in layer]
    return is_convolutional(record) and isinstance(layers[m], dict)


def _layer_text(layer):
    """One layer behind a picture: ``conv 12 (3x3)``, ``max pool 2x2``, ``48``."""
    if not isinstance(layer, dict):
        return str(layer)
    size = layer.get("kernel") or layer["window"]
    steps = layer.get("stride") or (1 if "conv" in layer else size)
    stride = f", stride {steps}" if steps != (1 if "conv" in layer else size) else ""
    return f"conv {layer['conv']} ({size}x{size}{stride})" if "conv" in layer else f"{layer['pool']} pool {size}x{size}{stride}"


def accuracy_text(record):
    """Accuracies of a run: ``"test 97.78 %, best 98.06 %, train 100.00 %"``; what the best epoch was chosen on is said where it is known."""
    accuracy = record.accuracy
    test, best, train = (percent_text(x) for x in (accuracy.test, accuracy.best, accuracy.train_per_epoch[-1]))
    if accuracy.validation is None:
        return f"test {test}, best {best}, train {train}"
    return f"test {test} (seen once), validation {percent_text(accuracy.validation)}, best {best} in epoch {accuracy.best_epoch + 1}, train {train}"


def confused_text(record, most=3):
    """Weakest classes and what they are taken for: ``"8 80.6 % (3 for 1), ..."``; empty when not recorded."""
    classes = record.classes
    known = [i for i, share in enumerate(classes.accuracy) if share is not None] if classes else []
    parts = []
    for i in sorted(known, key=lambda i: classes.accuracy[i])[:most]:
        text = f"{classes.names[i]} {percent_text(classes.accuracy[i])}"
        if classes.confusion is not None:
            n, j = max((n, -j) for j, n in enumerate(classes.confusion[i]) if j != i) if len(classes.names) > 1 else (0, 0)
            text += f" ({n:,d} of {classes.n_samples[i]:,d} taken for {classes.names[-j]})" if n else ""
        parts.append(text)
    return ", ".join(parts)


def matrix_text(record, m):
    """Matrix `m` as people know it: its number, and what it connects where sizes do not tell."""
    name = record.connectivity.matrices[m].name
    is_named = "units" in record.scenario.get("network", {}) or is_convolutional(record)
    return f"matrix {m}, {name}" if name and is_named else f"matrix {m}"


def unplaced_text(n_unplaced, unplaced_by):
    """How many connections found no place at the start, under which limits; empty where every one did."""
    if not n_unplaced:
        return ""
    limits = ", ".join(map(words, unplaced_by))
    return f"{n_unplaced:,d} connection{'s' * (n_unplaced != 1)} found no place at the start" + (f"; limits that bound: {limits}" if limits else "")


def in_order(names, order):
    """Distinct names in a given order, unknown ones behind."""
    order = list(order)
    return sorted(dict.fromkeys(names), key=lambda name: order.index(name) if name in order else len(order))


def n_cores_text(n):
    return f"{n:,d} core{'s' * (n != 1)}"


def bytes_text(n):
    """Bytes of a mean, which need not be whole: ``848.516 -> "849 B"``."""
    return format_bytes(n if n >= 1024 else round(n) if n >= 10 else round(n, 1))


def span(numbers):
    """Whole numbers in few words: ``[0, 1, 2, 5] -> "0-2, 5"``."""
    runs = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def split_idle(cores):
    """Cores of a record that hold something, and the idle ones, which are all alike; with one idle core all are in the first list."""
    idle = [core for core in cores if not core.n_neurons and not core.synapses.used]
    if len(idle) < 2 or len(idle) == len(cores):
        return list(cores), []
    return [core for core in cores if core.n_neurons or core.synapses.used], idle


def join_components(names):
    """Components in one line; parts of one component stand together: ``local_read_byte (synapses, gradients)``."""
    groups = {}
    for name in names:
        head, _, part = name.partition(":")
        groups.setdefault(head, []).extend([part] if part else [])
    return ", ".join(f"{head} ({', '.join(parts)})" if parts else head for head, parts in groups.items())


def is_priced(record):
    """Whether any event of the run has a price."""
    return any(row.energy_j is not None for row in record.energy.rows)


def missing_energy(record):
    """Why the energy is a lower bound: ``"not priced: packet, host_byte"``; None when it is complete."""
    if record.energy.complete:
        return None
    if record.energy.unpriced:
        return f"not priced: {join_components(record.energy.unpriced)}"
    return f"static power counts over a time that leaves out: {', '.join(record.timing.model_unmodelled)}"


def assumed_energy(record):
    """Prices that nobody published and this project assumes, and that the energy counts with: ``"core_cycle 15.0 pJ"``; empty without."""
    return ", ".join(f"{row.price} {format_si(row.value, row.unit)}" for row in assumed_prices(record))


def assumed_text(record):
    """The same as words: ``"core_cycle 15.0 pJ is assumed"``."""
    prices = assumed_energy(record)
    return prices and f"{prices} {'are' if ', ' in prices else 'is'} assumed"


def missing_time(record):
    """Why the modelled time is a lower bound; None when it is complete."""
    return None if record.timing.model_complete else f"not modelled: {', '.join(record.timing.model_unmodelled) or 'the clock'}"


def priced_names(record, key):
    """Phases or components (`key`) with a price for something, and those where something lacks one: two sets.

    Static power is lacking something when the time over which it counts does.
    """
    priced = {getattr(row, key) for row in record.energy.rows if row.energy_j is not None}
    lacking = {getattr(row, key) for row in record.energy.rows if row.energy_j is None}
    if not record.timing.model_complete:
        lacking |= {getattr(row, key) for row in record.energy.rows if row.phase == STATIC}
    return priced, lacking


def static_training_share(record):
    """Fraction of the static energy that falls into training; the rest flows during evaluation.

    `per_sample_j` holds the training phases and this share, so it follows from the record.
    """
    by_phase = record.energy.by_phase_j
    static = by_phase.get(STATIC, 0.0)
    if static <= 0:
        return 1.0
    dynamic = sum(energy for phase, energy in by_phase.items() if phase not in (STATIC, EVALUATION))
    return min(max((record.energy.per_sample_j * n_trained(record) - dynamic) / static, 0.0), 1.0)


def training_energy_by_core(record):
    """Priced energy per trained sample, J: dict of core to dict of phase; core -1 is the chip beside its cores."""
    n, share = n_trained(record), static_training_share(record)
    found = {core.id: dict(core.energy_by_phase_j) for core in record.cores}
    for row in record.energy.rows:
        if row.core == -1 and row.energy_j is not None:
            chip = found.setdefault(-1, {})
            chip[row.phase] = chip.get(row.phase, 0.0) + row.energy_j
    return {
        core: {phase: energy * (share if phase == STATIC else 1.0) / n for phase, energy in phases.items() if phase != EVALUATION}
        for core, phases in found.items()
    }


def traffic_by_phase(record):
    """Bytes of the whole run: dict of phase to dict of level to [read, write]; without host transfer."""
    found = {}
    for row in record.traffic_bytes.rows:
        ways = found.setdefault(row.phase, {}).setdefault(row.level, [0, 0])
        ways[0] += row.read_bytes
        ways[1] += row.write_bytes
    return {phase: found[phase] for phase in in_order(found, PHASES)}


def energy_amounts(record):
    """What a run spent, in one line; `missing_energy` says why it may be a lower bound."""
    if not is_priced(record):
        return "unknown, not even a lower bound" if missing_energy(record) else "unknown: no event of this run has a price"
    at_least = ">= " if missing_energy(record) else ""
    evaluation = record.energy.total_j - record.energy.per_sample_j * n_trained(record)
    return (
        f"{at_least}{format_si(record.energy.per_sample_j, 'J')} per trained sample, "
        f"{at_least}{format_si(record.energy.total_j, 'J')} in all, {at_least}{format_si(max(evaluation, 0.0), 'J')} of it in evaluation"
        + (f"; {assumed}" if (assumed := assumed_text(record)) else "")
    )


def time_amounts(record):
    """How long the chip would take, in one line; `missing_time` says why it may be a lower bound."""
    timing = record.timing
    if timing.model_s_per_sample is None:
        return "unknown, not even a lower bound"
    at_least = ">= " if missing_time(record) else ""
    return (
        f"{at_least}{format_si(timing.model_s_per_sample, 's')} per trained sample on the chip, "
        f"{at_least}{format_si(timing.model_training_s, 's')} for the training"
    )


def with_reason(amounts, missing):
    """Amounts with the reason why they are a lower bound, if they are."""
    if not missing:
        return amounts
    return f"{amounts}: {missing}" if amounts.startswith("unknown") else f"{amounts}; lower bound: {missing}"


def typeset(text):
    """A text of `format_si` and `energy_amounts` as a page sets it: ``">= 1.44 uJ" -> "≥ 1.44 µJ"``."""
    return text.replace(">= ", "≥ ").replace(" uJ", " µJ").replace(" us", " µs")


def percent_text(fraction):
    """Fraction as percent: ``0.9667 -> "96.67 %"``; empty when unknown."""
    return "" if fraction is None else f"{100 * fraction:.2f} %"


def changed_texts(verdict):
    """Numbers of the chip that the scenario changed, one text each, with what they were and who said so."""
    return [
        f"{row['key']} {_whole(row['value'])} {row['unit']}".removesuffix(" 1") + f", {row['text']}" for row in (verdict or {}).get("changed", ())
    ]


def _whole(value):
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:,g}"


def misfit_text(verdict):
    """What a network breaks that was trained although it does not fit; empty when it fits."""
    # An expected use above its limit breaks nothing: the run keeps the limit.
    broken = [usage for usage, _ in tightest({"violations": verdict["violations"], "headroom": []})] if verdict else []
    return "; ".join(f"{words(usage['name'])} {needed(usage):,d} of {usage['limit']:,d} {usage['unit']} ({usage['where']})" for usage in broken)


def needed(usage):
    """What a use comes to: at the least, where that depends on which positions are drawn."""
    return usage["used"] if usage.get("least") is None else usage["least"]


def unrolling_text(verdict):
    """How many steps of a sample are kept, what they take of the fullest core, and how many would fit; empty where there are none."""
    unrolling = verdict.get("unrolling")
    if unrolling is None:
        return ""
    kept, n_steps, n_bytes, limit, most = (unrolling[key] for key in ("kept_steps", "n_steps", "n_bytes", "limit", "most_steps"))
    share = f" ({100 * n_bytes / limit:.1f} % of the limit)" if limit else ""
    what = "history" if verdict.get("programs") else "unrolled state"
    text = f"{kept:,d} of {n_steps:,d} steps kept: {what} of {n_bytes:,d} B{share} on core {unrolling['core']}"
    if most is None:
        return text
    steps = f"up to {most:,d} step{'s' * (most != 1)} of unrolling" if most else "no window"
    return f"{text}; {steps} would fit these cores"


def program_texts(verdict):
    """What each training program of a spiking network would keep, one line each: list of str; empty for other networks."""
    lines = []
    for row in verdict.get("programs", ()):
        name = row["program"] + (" (chosen)" if row["chosen"] else "")
        if row["refused"]:
            lines.append(f"{name}: not possible: {row['refused'].removeprefix('which ').removeprefix('but ')}")
            continue
        limit = f" of {row['limit']:,d} B" if row["limit"] else ""
        text = f"{name}: {row['bytes']:,d} B{limit} on the fullest core, {'fits' if row['fits'] else 'does not fit'}"
        text += f"; {row['per_step']:,.1f} B more for each step" if row["per_step"] else "; the same for samples of any length"
        if "break_even" in row:
            n = row["break_even"]
            text += (
                "; never less than bptt"
                if n is None
                else f"; less than bptt from {n:,d} step{'s' * (n != 1)} on"
                if n > 1
                else "; always less than bptt"
            )
        lines.append(text)
    return lines


def tightest(verdict):
    """Limits of a verdict, each at its fullest place: list of (usage, places with that limit), fullest first."""
    fullest, places = {}, {}
    for usage in verdict["violations"] + verdict["headroom"]:
        name = usage["name"]
        places[name] = places.get(name, 0) + usage.get("n_places", 1)
        if name not in fullest or usage["used"] * fullest[name]["limit"] > fullest[name]["used"] * usage["limit"]:
            fullest[name] = usage
    return [(usage, places[usage["name"]]) for usage in sorted(fullest.values(), key=lambda u: -u["used"] / max(1, u["limit"]))]
