"""A storage family more, defined in this file alone: it is placed, checked, trained, accounted and drawn like the others.

Synapses are entries of a hash table beside each core: a lookup reads `probes` entries, a removed synapse frees its entry for any other.
"""

import json
from pathlib import Path
from typing import Literal

import pytest
import yaml

from neurosim.accounting import PHASES
from neurosim.errors import DoesNotFitError, InputError
from neurosim.hardware import load_profile, storage
from neurosim.hardware.quantities import Bits, Count
from neurosim.placement import Workload, families, judge, largest_fit, place, refuse_unless_fits, sections
from neurosim.placement.checks import Check, cite
from neurosim.placement.families import Family, add_family, family_of
from neurosim.placement.sections import SECTIONS, Section
from neurosim.reports.profile_table import room_text
from neurosim.scenario import load_scenario, prepare
from neurosim.scenario.record import activity_of, _lengths, settle
from neurosim.scenario.trainer import make_trainer

PROFILE = Path(__file__).parents[1] / "profiles" / "cam_per_neuron.yaml"
ENTRIES, ENTRY_BITS, PROBES = 1200, 48, 3


class HashedPool(storage.StorageFamily):
    family: Literal["hashed_pool"]
    entries: Count
    entry_bits: Bits
    probes: Count
    release: Literal["one_entry"] = "one_entry"


class HashedPoolFamily(Family):
    storage = HashedPool
    home = "synapse_pool"
    sections = (Section("synapse_pool", ("#6f4e37", "++", "#ffffff"), level="pool_memory", has_host_copy=True),)

    def array_checks(self, room):
        entries, layout = room.profile.storage.entries, room.layout
        source = cite(room.profile, "storage.entries", entries)
        yield Check("pool_entries", layout.per_core(room.slots), entries.value, "entries", source, layout.cores)

    def release_text(self, placement):
        return "storage hashed_pool: a removed synapse frees its entry, for any neuron of the core"

    def room_text(self, storage):
        return f"{storage.entries.value} entries"

    def forward(self, t, phase, activity, walks, visits):
        t.read_pre(phase, walks * t.shape.n_pre)
        t.read(phase, self.home, t.per_segment(visits.forward * t.placement.profile.storage.entry_bits.value))
        t.start_sums(phase, activity.passes[0])
        t.add_to_sums(phase, visits.forward_ops)

    def propose(self, t, events, proposals):
        room = t.placement.profile.storage
        t.read("rewire", self.home, t.per_segment(proposals * room.probes.value * room.entry_bits.value))


def number(value, unit="1"):
    return {"value": value, "unit": unit, "kind": "specified", "source": "test", "confidence": "V"}


@pytest.fixture
def chip(tmp_path):
    """Path of a profile of the new family, which is forgotten afterwards."""
    kept = [(table, table.copy()) for table in (families.FAMILIES, storage._ADDED, sections.TABLE)]
    names = list(SECTIONS)
    add_family(HashedPoolFamily())
    data = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
    data["name"], data["storage"] = "pool", {
        "family": "hashed_pool", "entries": number(ENTRIES), "entry_bits": number(ENTRY_BITS, "bit"), "probes": number(PROBES),
    }  # fmt: skip
    path = tmp_path / "pool.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    yield path
    for table, before in kept:
        table.clear()
        table.update(before)
    SECTIONS[:] = names


def scenario_of(chip, *overrides):
    common = (
        f"hardware.profile={chip}",
        "hardware.cores=1",
        "training.epochs=1",
        "training.batch_size=10",
        "dataset.limit=200",
        "report.figures=false",
    )
    return load_scenario("digits_santos", [*common, *overrides])


def test_it_is_placed_and_checked(chip):
    profile = load_profile(chip)
    assert type(profile.storage) is HashedPool and profile.model_dump()["storage"]["entries"]["value"] == ENTRIES
    fits = place(profile, Workload((64, 100, 10), (900, 300)), 1)
    (usage,) = [u for u in fits.usages if u.name == "pool_entries"]
    assert (usage.used, usage.limit, usage.fits) == (1200, ENTRIES, True) and usage.source.startswith("storage.entries (test: ")
    assert "frees its entry" in judge(fits).storage[0] and not any("synapse" in name for core in fits.cores for name in core.sections)
    with pytest.raises(DoesNotFitError, match="pool_entries needs 1,201 of 1,200 entries, 1 over"):
        refuse_unless_fits(place(profile, Workload((64, 100, 10), (901, 300)), 1))
    assert sum(largest_fit(profile, Workload((64, 100, 10), (900, 300)), 1)) == ENTRIES
    assert room_text(profile.storage) == "1200 entries"


def test_it_trains_and_its_accesses_are_counted(chip):
    experiment = prepare(scenario_of(chip))
    trainer, _ = make_trainer(experiment, None)
    assert trainer.run()
    ledger = settle(experiment, trainer)
    events = activity_of(experiment.placement, trainer.store.tally, _lengths(experiment.placement, trainer.dataset, "train"), 1).segment
    traffic = ledger.traffic[0, :, SECTIONS.index("synapse_pool")]
    assert traffic[PHASES.index("forward"), 0] == -(-events["pre_nonzero"].sum() * ENTRY_BITS // 8) > 0
    proposals, exact = (events["accepted"] + events["rejected"]).sum(), events["exact"].sum()
    word = experiment.placement.profile.synapse_word
    bits = proposals * PROBES * ENTRY_BITS + exact * 2 * experiment.placement.cores[0].n_slots * word.label_bits.value
    assert traffic[PHASES.index("rewire"), 0] == -(-bits // 8) > 0
    others = [SECTIONS.index(name) for name in ("synapses", "synapse_array", "synapse_lists")]
    assert not ledger.traffic[:, :, others].any(), "taken for another family"


def test_a_run_is_written_and_drawn(chip, main_cli, tmp_path):
    small = ("--set", "training.epochs=1", "--set", "dataset.limit=200", "--set", "report.html=true", "--set", "training.batch_size=10")
    result = main_cli("run", "digits_santos", "--set", f"hardware.profile={chip}", *small, "--out", "run")
    assert result.code == 0, result.err
    record = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    rows = [row for row in record["traffic_bytes"]["rows"] if row["section"] == "synapse_pool"]
    assert rows and {row["level"] for row in rows} == {"pool_memory"} and "pool_memory" in record["traffic_bytes"]["by_level"]
    assert list((tmp_path / "run" / "figures").glob("*.png")) and (tmp_path / "run" / "report.html").exists()


def test_what_its_profile_lacks_is_said_with_the_line(chip):
    for old, new, words in (
        ("  probes:", "  probe:", "storage.probe: storage family hashed_pool does not use it; nearest: probes"),
        ("family: hashed_pool", "family: hashed_pol", "storage.family: found 'hashed_pol'; nearest: hashed_pool"),
    ):
        wrong = chip.with_name("wrong.yaml")
        wrong.write_text(chip.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
        with pytest.raises(InputError) as caught:
            load_profile(wrong)
        assert words in str(caught.value) and str(caught.value).startswith(f"{wrong}:")


def test_a_family_that_nobody_describes_is_taken_for_no_other(chip):
    profile = load_profile(chip)
    del families.FAMILIES["hashed_pool"]
    for ask in (family_of, lambda profile: place(profile, Workload((64, 10), (20,)), 1), lambda _: prepare(scenario_of(chip))):
        with pytest.raises(InputError, match="storage.family: found 'hashed_pool', of which nobody says how it stores synapses"):
            ask(profile)


def test_an_incomplete_or_second_description_is_refused(chip):
    class Silent(Family):
        storage, home = HashedPool, "synapses"

    with pytest.raises(TypeError, match="abstract methods"):
        Silent()

    class Nowhere(HashedPoolFamily):
        home, sections = "attic", ()

    with pytest.raises(ValueError, match="there is another of this name"):
        add_family(Nowhere())
    del families.FAMILIES["hashed_pool"]
    with pytest.raises(ValueError, match="its home attic is no section"):
        add_family(Nowhere())
