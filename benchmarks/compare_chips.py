"""docs/chips.md: one network on every chip that learns. Run ``python -m benchmarks.compare_chips docs/chips.md --data DIR``.

Each profile has one scenario, `mnist_PROFILE` (Santos: `mnist_santos_64kb`, the one that the others follow). Those that fit are
trained with every seed; the tables of the page come from the verdicts and the records, energy and traffic from the first seed.
Without ``--seeds`` the three seeds take about five minutes on one core.
"""

import argparse
import math
import re
import tempfile
from pathlib import Path

from neurosim.errors import InputError
from neurosim.hardware import list_profiles, load_profile
from neurosim.reports.facts import (
    EVALUATION,
    STATIC,
    is_priced,
    join_components,
    missing_energy,
    missing_time,
    n_trained,
    percent_text,
    static_training_share,
    tightest,
    typeset,
    words,
)
from neurosim.scenario import list_scenarios, load_scenario, prepare
from neurosim.units import format_bytes, format_si

OTHER_NAMES = {"spinnaker2_santos": "mnist_santos_64kb"}
#: Limits of cells and words; the rest of a core's memory is bytes.
STORAGE = ("synapse_array", "synapse_words", "cam_words")
NOT_FILLED = ("cores", "pre_index", "post_index")


#: Boards and machines of chips that stand in the comparison by themselves.
MACHINES = ("hala_point", "spinnaker1_machine", "spinnaker2_board")


def scenario_of(profile):
    """Name of the scenario that compares a chip, or None."""
    name = OTHER_NAMES.get(profile, f"mnist_{profile}")
    return name if name in list_scenarios() else None


def experiments():
    """The prepared scenario of every profile that has one: list of Experiment."""
    return [prepare(load_scenario(name)) for name in map(scenario_of, list_profiles()) if name]


def binding(verdict):
    """The limit that is exceeded most, or else the fullest one that fills up with connections; None where none is stated.

    The number of cores is a choice, and widths of indices and weights cannot fill up.
    """
    usages = verdict["violations"] or [u for u, _ in tightest(verdict) if u["unit"] != "bit" and u["name"] not in NOT_FILLED]
    return max(usages, key=lambda usage: usage["used"] / max(1, usage["limit"]), default=None)


def fit_table(found):
    """Markdown: what every chip holds of the network, and which limit is fullest; nothing is trained for it."""
    rows = []
    for experiment in found:
        verdict = experiment.verdict.to_dict()
        usage = binding(verdict)
        uses = {u["name"]: u for u, _ in tightest(verdict)}
        hardware, profile = experiment.scenario.hardware, experiment.profile
        fullest = int(experiment.placement.stored_bytes.max())
        limit = experiment.placement.local_limit
        local = int(experiment.placement.n_bytes.max())
        memory = [
            f"{fullest:,d} B"
            + (f" of {limit:,d}" if limit and local == fullest else f", {local:,d} of {limit:,d} local" if limit else ", limit not stated")
        ]
        memory += [f"{uses[name]['used']:,d} of {uses[name]['limit']:,d} {uses[name]['unit']}" for name in STORAGE if name in uses]
        weights = hardware.weight_format + (f" {hardware.rounding}" if hardware.format.is_rounded else "")
        weights += f", master {hardware.master}" if hardware.master != "none" else ""
        share = usage and 100 * usage["used"] / max(1, usage["limit"])
        rows.append(
            (
                f"`{profile.name}`", f"`{experiment.scenario.name}`", "yes" if verdict["fits"] else "**no**",
                f"{words(usage['name'])}: {usage['used']:,d} of {usage['limit']:,d} ({share:.0f} %)" if usage else "none stated",
                f"{experiment.placement.n_cores:,d} of {profile.cores.value:,d}", "; ".join(memory), weights, hardware.learning,
            )
        )  # fmt: skip
    return table(("profile", "scenario", "fits", "fullest limit", "cores", "memory of the fullest core", "weights", "who learns"), rows)


def refused_table(found):
    """Markdown: why chips without a row of figures have none."""
    rows = [
        (f"`{e.profile.name}`", f"{v.where}: {words(v.name)} {v.used:,d} of {v.limit:,d}; {v.source}") for e in found for v in [e.verdict.worst] if v
    ]
    for profile in map(load_profile, list_profiles()):
        if scenario_of(profile.name) is None and profile.name not in MACHINES:
            learning = profile.learning
            rows.append((f"`{profile.name}`", f"learning.where {learning.where} ({profile.sources[learning.source]}): no scenario"))
    return table(("profile", "why it was not trained"), rows)


def figures_table(records):
    """Markdown: accuracy, energy, time and host traffic per trained sample; `records` are lists, one record per seed."""
    rows = []
    for runs in records:
        first = runs[0]
        energy, host = first.energy, first.traffic_bytes.by_level_and_phase.get("host", {})
        at_least = "≥ " if missing_energy(first) else ""
        joules = f"{at_least}{format_si(energy.per_sample_j, 'J')}" if is_priced(first) else "unknown"
        static = energy.by_phase_j.get(STATIC, 0.0) * static_training_share(first) / n_trained(first)
        share = f"{100 * static / energy.per_sample_j:.0f} %" if static else "not charged"
        seconds = first.timing.model_s_per_sample
        time = "unknown" if seconds is None else ("≥ " if missing_time(first) else "") + format_si(seconds, "s")
        host_bytes = sum(n for phase, n in host.items() if phase != EVALUATION) / n_trained(first)
        rows.append(
            (
                f"`{first.profile.name}`", percent_text(first.accuracy.test), *([_mean([run.accuracy.test for run in runs])] if len(runs) > 1 else []),
                typeset(joules), share, f"`{first.profile.price_set}`", join_components(energy.unpriced) or "nothing",
                typeset(time), ", ".join(first.timing.model_unmodelled) or "nothing", format_bytes(round(host_bytes)),
            )
        )  # fmt: skip
    header = (
        "profile", f"accuracy, seed {records[0][0].seed}", *([f"mean of {len(records[0])} seeds"] if len(records[0]) > 1 else []),
        "energy per sample", "of it static",
        "price set", "not priced", "time per sample", "not timed", "host per sample",
    )  # fmt: skip
    return table(header, rows)


def _mean(accuracies):
    """Mean of several and its standard error, in %."""
    n, mean = len(accuracies), math.fsum(accuracies) / len(accuracies)
    error = math.sqrt(math.fsum((a - mean) ** 2 for a in accuracies) / (n - 1) / n)
    return f"{100 * mean:.2f} ± {100 * error:.2f} %"


def table(header, rows):
    """Markdown table."""
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in (header, ["---"] * len(header), *rows))


def fill(text, tables):
    """The page with tables in their places, each between ``<!-- NAME -->`` and ``<!-- end -->``."""
    for name, markdown in tables.items():
        text, n = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=markdown: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL)
        if n != 1:
            raise InputError(f"the page has {n} places for the table {name}; expected one")
    return text


def train(found, seeds, data_dir):
    """Records of all that fits: a list per chip, one record per seed."""
    from neurosim.scenario import run_scenario

    for experiment in (e for e in found if e.verdict.fits):
        runs = []
        for seed in seeds:
            scenario = load_scenario(experiment.scenario.name, [f"seed={seed}", "report.figures=false"])
            with tempfile.TemporaryDirectory() as folder:
                record, _ = run_scenario(scenario, out=Path(folder) / "run", data_dir=data_dir)
            print(f"{scenario.name} seed {seed}: {percent_text(record.accuracy.test)}", flush=True)
            runs.append(record)
        yield runs


def main(arguments=None):
    """Train, and write the tables into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_chips", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--data", metavar="DIR", help="where MNIST is looked for first")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments)
    text, found = options.page.read_text(encoding="utf-8"), experiments()
    tables = {"fit": fit_table(found), "refused": refused_table(found)}
    fill(text, tables | {"figures": ""})  # before the long part
    records = []
    for runs in train(found, options.seeds, options.data):  # written after each chip, since the whole takes minutes
        records = sorted([*records, runs], key=lambda runs: runs[0].profile.name)
        options.page.write_text(fill(text, tables | {"figures": figures_table(records)}), encoding="utf-8")


if __name__ == "__main__":
    main()
