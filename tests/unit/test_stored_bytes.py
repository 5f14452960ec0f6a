"""What a core stores is one number: in verdicts, runs, metrics of sweeps and comparisons, tables, pages and `check --profile all`."""

import pytest

from neurosim.placement.families import family_of
from neurosim.reports.run_page import answer, render_run_page
from neurosim.results.files import core_rows
from neurosim.results.metrics import metrics_of, metrics_of_verdict
from neurosim.scenario import Scenario, run_scenario
from neurosim.scenario.experiment import prepare
from neurosim.scenario.survey import survey

#: Bits of a synapse beside local memory, by chip: cells of two rows of 6 + 6 bits, a row of 3 + 1 bits twice, a CAM word; 0 in local memory.
BESIDE = {"spinnaker2_santos": 0, "brainscales2": 24, "odin": 8}


def make(profile):
    host = {"learning": "host"} if profile == "odin" else {}
    return Scenario(
        name="stored", dataset={"name": "digits", "limit": 100}, network={"layers": [64, 30, 10], "connectivity": 0.2},
        hardware={"profile": profile, **host}, training={"epochs": 1}, report={"figures": False},
    )  # fmt: skip


@pytest.mark.parametrize("profile", [*BESIDE, "loihi1"])
def test_one_number(profile, tmp_path):
    scenario = make(profile)
    experiment = prepare(scenario)
    record, _ = run_scenario(scenario, out=tmp_path / "run")
    stored = [core.stored_bytes for core in record.cores]
    if profile in BESIDE:
        local = [core.memory_bytes.used for core in record.cores]
        assert stored == [n + -(-core.synapses.used * BESIDE[profile] // 8) for n, core in zip(local, record.cores, strict=True)]
        assert experiment.placement.stored_bytes.tolist() == stored
    else:  # words of lists depend on the draw: what is expected lies between the bounds
        words = next(check for check in experiment.placement.checks if check.name == "synapse_words")
        assert words.least[0] * 8 <= stored[0] - record.cores[0].memory_bytes.used <= words.most[0] * 8
        assert experiment.placement.stored_bytes.tolist() == [record.cores[0].memory_bytes.used + int(words.used[0]) * 8]
    assert metrics_of(record).bytes_per_core_max == max(stored)
    planned = int(experiment.placement.stored_bytes.max())
    assert metrics_of_verdict(experiment.verdict.to_dict(), 1).bytes_per_core_max == planned
    assert survey(scenario, [profile])[0].n_bytes == planned
    assert [row["stored_bytes"] for row in core_rows(record)] == stored
    assert f"{max(stored):,d} " in answer(record)
    page = render_run_page(record, {})
    assert ("synapses beside" in page) == (BESIDE.get(profile) != 0) and f"{max(stored):,d}" in page
    footprint = sum(n - core.memory_bytes.sections.get("code", 0) for n, core in zip(stored, record.cores, strict=True))
    assert record.metrics["Footprint"] == footprint
    assert family_of(experiment.profile).bytes_beside(experiment.profile, 0, 0) == 0
