import json
import time
from dataclasses import replace

import pytest

from neurosim.errors import DoesNotFitError
from neurosim.hardware import KNOWN_LIMITS, load_profile
from neurosim.placement import Workload, judge, largest_fit, place, refuse_unless_fits, smallest_cores, synapse_counts
from neurosim.placement.search import scale_counts

MNIST = (784, 300, 100, 10)
SPARSE = (2352, 900, 300)
DENSE = synapse_counts(MNIST, 1.0)
SANTOS = load_profile("spinnaker2_santos")
SPIN2 = load_profile("spinnaker2")
BSS2 = load_profile("brainscales2")


def with_value(profile, key, value):
    """Profile with one number changed; `key` is dotted."""
    head, _, rest = key.partition(".")
    changed = with_value(getattr(profile, head), rest, value) if rest else value
    return profile.model_copy(update={head: changed})


def with_limit(profile, name, value):
    """Profile that states one more limit, with the source of its number of cores."""
    limit = BSS2.limits.neurons_per_core.model_copy(update={"max": profile.cores.model_copy(update={"value": value})})
    return with_value(profile, "limits." + name, limit)


def test_mnist_fits_and_says_what_is_left():
    verdict = refuse_unless_fits(place(SANTOS, Workload(MNIST, SPARSE), 1))
    assert verdict.fits and not verdict.violations and not verdict.hints and verdict.worst is None
    memory = next(usage for usage in verdict.headroom if usage.name == "local_memory")
    assert (memory.used, memory.limit, memory.over, memory.unit) == (47_621, 65_536, 47_621 - 65_536, "B")
    assert "liu2018" in memory.source and "storage.local_bytes" in memory.source
    assert verdict.unstated == list(KNOWN_LIMITS)


def test_the_dense_network_breaks_at_its_synapses_by_exact_bytes():
    placement = place(SANTOS, Workload(MNIST, DENSE), 1)
    synapses = 266_200 * 4 + 1_064_800 + 29_400 + 3_750 + 125
    used = 12_288 + synapses + 6_456 + 16
    verdict = judge(placement)
    (violation,) = verdict.violations
    assert (violation.name, violation.where, violation.used, violation.limit) == ("local_memory", "core 0", used, 65_536)
    (over,) = verdict.section_over
    assert (over.core, over.section, over.over) == (0, "synapses", used - 65_536)
    assert over.largest == (("synapses", synapses), ("code", 12_288), ("neuron_state", 3_280))
    with pytest.raises(DoesNotFitError) as error:
        refuse_unless_fits(placement)
    message = str(error.value)
    assert error.value.exit_code == 3 and error.value.verdict.violations == [violation] and "\n" not in message
    for words in ("spinnaker2_santos", "1 limit exceeded", "core 0", "2,181,635 of 65,536 B", "2,116,099 over", "synapses", "liu2018"):
        assert words in message
    assert verdict.hints[0] in message


def test_gradients_are_named_when_only_they_break_the_limit():
    verdict = judge(place(BSS2, Workload((64, 100, 10), (6400, 1000), batch_size=10), 1))
    assert [(s.section, s.over) for s in verdict.section_over] == [("gradients", 8_612 + 14_800 - 16_384)]
    assert any(hint.startswith("batch_size 1 alone") and "14,800 B" in hint for hint in verdict.hints)


def test_headroom_is_given_up_only_where_slots_stay_on_their_core():
    """A slot that is re-used elsewhere needs a free one there: a scenario with such a scope has no headroom of 0."""
    for scope, offered in (("core", True), ("layer", False), ("network", False)):
        verdict = judge(place(SANTOS, Workload(MNIST, SPARSE, headroom=1.0, scope=scope), 1))
        assert not verdict.fits and any(hint.startswith("headroom 0 alone") for hint in verdict.hints) == offered


def test_what_fits_for_every_draw_says_so():
    odin = load_profile("odin")
    verdict = judge(place(odin, Workload((64, 100, 50, 10), (5000, 3000, 400), host_learns=True), 1))
    assert any(hint.startswith("at most") and hint.endswith("whichever positions are drawn") for hint in verdict.hints)


def test_fan_in_129_is_refused_on_brainscales2_without_merged_circuits():
    alone = with_value(BSS2, "storage.merged_columns", None)
    assert place(alone, Workload((128, 10), (1280,)), 1).fits
    assert place(alone, Workload((129, 10), (1280,)), 1).fits
    placement = place(alone, Workload((129, 10), (1290,)), 1)
    (violation,) = judge(placement).violations
    assert (violation.name, violation.where, violation.used, violation.limit) == ("fan_in_per_neuron", "core 0, matrix 0", 129, 128)
    with pytest.raises(DoesNotFitError, match="fan_in_per_neuron needs 129 of 128 synapses.*halco"):
        refuse_unless_fits(placement)


def test_circuits_are_merged_where_the_fan_in_needs_it():
    """Two circuits of 128 signed rows: 256 fit and take two columns each, 257 do not; a matrix that needs one takes one."""
    placement = place(BSS2, Workload((256, 246, 10), (256 * 246, 2460)), 2)
    assert placement.fits and placement.fan_in_limits == (256, 256)
    assert [(u.used, u.limit) for u in placement.usages if u.name == "columns"] == [(256, 256), (256, 256)]
    mixed = place(BSS2, Workload((256, 100, 10), (256 * 100, 1000)), 2)
    assert mixed.fan_in_limits == (256, 128)
    assert [u.used for u in mixed.usages if u.name == "columns"] == [50 * 2 + 5, 50 * 2 + 5]
    assert not place(BSS2, Workload((256, 250, 10), (256 * 250, 2500)), 2).fits  # 260 neurons of two columns
    (violation,) = judge(place(BSS2, Workload((257, 10), (2570,)), 1)).violations
    assert (violation.name, violation.used, violation.limit) == ("fan_in_per_neuron", 257, 256) and "merged_columns" in violation.source


@pytest.mark.parametrize("side", ["pre", "post"])
def test_index_width(side):
    profile = with_value(SANTOS, f"synapse_word.{side}_index_bits.value", 4)
    for n, broken in ((15, []), (16, [f"{side}_index"])):
        layers = (n, 3) if side == "pre" else (3, n)
        assert [u.name for u in judge(place(profile, Workload(layers, (3,)), 1)).violations] == broken


def test_row_pointer_width():
    profile = with_value(SANTOS, "formats.row_pointer_bits.value", 4)
    for k, broken in ((15, []), (16, ["row_pointer"])):
        verdict = judge(place(profile, Workload((5, 5), (k,), execution="event_driven"), 1))
        assert [u.name for u in verdict.violations] == broken
    assert any(hint.startswith("execution scan alone") for hint in verdict.hints)


def test_all_violations_are_listed_at_once():
    violations = judge(place(with_limit(SANTOS, "neurons_per_core", 50), Workload(MNIST, DENSE), 5)).violations
    found = {(u.name, u.core) for u in violations}
    assert found == {("cores", None)} | {(name, c) for name in ("local_memory", "neurons_per_core") for c in range(5)}
    verdict = judge(place(BSS2, Workload((400, 300, 300, 10), (120_000, 90_000, 3_000)), 1))
    fan_in = [(u.used, u.matrix) for u in verdict.violations if u.name == "fan_in_per_neuron"]
    assert fan_in == [(400, 0), (300, 1), (300, 2)]
    assert {u.name for u in verdict.violations} == {
        "fan_in_per_neuron", "synapse_array", "synapses_per_core", "columns", "neurons_per_core",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("synapses_per_core", [6, 6]),
        ("fan_in_per_neuron", [2, 2, 2, 2]),
    ],
)
def test_a_stated_limit_is_counted_and_binds_at_the_next_value(name, used):
    workload = Workload((3, 4, 2), (8, 4))
    fits, broken = (place(with_limit(SANTOS, name, n), workload, 2) for n in (max(used), max(used) - 1))
    found = [u.used for u in fits.usages if u.name == name]
    assert found == used
    assert fits.fits and name not in judge(fits).unstated
    assert {u.name for u in judge(broken).violations} == {name}


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("in_axons_per_core", 2 + 2, 3 + 2),  # 4 synapses into 2 neurons from 2 or 3 inputs, 2 into 1 neuron
        ("out_axons_per_core", 0, 2),  # the other core's 2 synapses may all come from its own hidden neurons
    ],
)
def test_a_limit_on_axons_is_sure_or_open_or_broken(name, least, most):  # `test_placement_routes` has those on routes
    workload = Workload((3, 4, 2), (8, 4))
    for limit in range(1, 7):
        placement = place(with_limit(SANTOS, name, limit), workload, 2)
        usages = [u for u in placement.usages if u.name == name]
        assert [(u.least, u.most) for u in usages] == [(least, most)] * 2 and all(least <= u.used <= most for u in usages)
        assert placement.fits == (limit >= least) and all(u.is_guaranteed == (limit >= most) for u in usages)
        (text,) = [line for line in judge(placement).storage if line.startswith(name)] or [""]
        assert ("whichever positions" in text) == (limit >= most) and ("stays dormant" in text) == (least <= limit < most)


def test_routing_entries_stay_empty_on_one_core():
    one, two = ({u.name: u for u in place(SPIN2, Workload(MNIST, SPARSE), n).usages}["routing_entries"] for n in (1, 2))
    assert (one.least, one.used, one.most) == (0, 0, 0) and (two.least, two.used, two.most) == (0, 319, 400)


def test_what_is_not_modelled_is_said():
    notes = judge(place(BSS2, Workload((64, 10), (64,)), 1)).not_modelled
    assert any(note.startswith("weight_bits_native 6") for note in notes) and any("labels" in note for note in notes)
    board = judge(place(load_profile("spinn5_board"), Workload(MNIST, SPARSE), 40))
    assert any("routing_entries" in note for note in board.not_modelled)


@pytest.mark.parametrize(
    ("profile", "workload", "n_cores"),
    [
        (SANTOS, Workload(MNIST, DENSE), 1),
        (SANTOS, Workload(MNIST, (8_000, 2_000, 500), batch_size=10, execution="event_driven", headroom=0.1), 1),
        (SANTOS, Workload(MNIST, (8_000, 2_000, 500), batch_size=10), 2),
        (SANTOS, Workload(MNIST, (3_000, 1_000, 500), headroom=0.6), 1),
        (SANTOS, Workload(MNIST, SPARSE, optimizer="adam"), 1),
        (SANTOS, Workload(MNIST, SPARSE), 9),
        (SPIN2, Workload((784, 3000, 1000, 10), (200_000, 300_000, 10_000), batch_size=16), 40),
        (BSS2, Workload((64, 100, 10), (6400, 1000), batch_size=10), 1),
        (BSS2, Workload((257, 10), (2570,)), 1),
    ],
)
def test_every_remedy_fits_and_the_next_synapse_does_not(profile, workload, n_cores):
    verdict = judge(place(profile, workload, n_cores))
    assert not verdict.fits and len(verdict.hints) >= 2
    tried = [remedy for remedy in verdict.remedies if remedy.workload is not None]
    assert all(place(profile, r.workload, r.n_cores).fits for r in tried)
    counts, fewest = largest_fit(profile, workload, n_cores), smallest_cores(profile, workload)
    if counts is None:
        assert "not even one synapse" in verdict.hints[0]
    else:
        assert f"at most {sum(counts):,d} synapses" in verdict.hints[0]
        more = scale_counts(workload.n_active, workload.n_positions, sum(counts) + 1)
        assert not place(profile, replace(workload, n_active=more), n_cores).fits
    if fewest is None:
        assert verdict.hints[1].startswith("no number of cores")
    else:
        assert verdict.hints[1].startswith(f"{fewest} core")
        assert not any(place(profile, workload, n).fits for n in range(1, fewest))


def test_plain_sgd_is_a_remedy_for_an_optimizer_that_does_not_fit():
    hints = judge(place(SANTOS, Workload(MNIST, SPARSE, optimizer="adam"), 1)).hints
    assert "optimizer sgd alone would fit: it saves up to 28,420 B of state per core" in hints


def test_largest_fit_keeps_the_proportion_and_fills_the_core():
    counts = largest_fit(SANTOS, Workload(MNIST, SPARSE), 1)
    free = 65_536 - 12_288 - 6_456 - 16
    assert sum(counts) * 8 + sum((k + 7) // 8 for k in counts) <= free < (sum(counts) + 2) * 8.125
    assert all(abs(k - sum(counts) * share / 3552) < 1 for k, share in zip(counts, SPARSE, strict=True))
    assert largest_fit(SANTOS, Workload(MNIST, SPARSE, code_bytes=65_536), 1) is None
    assert largest_fit(SPIN2, Workload(MNIST, SPARSE), None) == DENSE


def test_a_full_matrix_lets_the_others_grow():
    counts = largest_fit(SANTOS, Workload(MNIST, SPARSE), 4)
    assert counts[2] == 1000 and abs(counts[0] / counts[1] - 2352 / 900) < 0.001


def test_to_dict_is_json():
    verdict = judge(place(SANTOS, Workload(MNIST, DENSE), 4))
    data = json.loads(json.dumps(verdict.to_dict()))
    assert data["fits"] is False and data["hints"] == verdict.hints
    assert len(data["violations"]) == 4 and data["violations"][0]["used"] == verdict.violations[0].used
    assert [core["n_bytes"] for core in data["cores"]] == [core.n_bytes for core in verdict.placement.cores]
    assert data["section_over"][0]["section"] == "synapses" and data["unstated"] == list(KNOWN_LIMITS)


def test_judging_152_cores_is_quick():
    layers = (784, 3000, 1000, 10)
    placement = place(SPIN2, Workload(layers, synapse_counts(layers, 1.0)), 152)
    start = time.perf_counter()
    verdict = judge(placement)
    assert time.perf_counter() - start < 2 and len(verdict.violations) == 152  # takes 0.06 s; the machine may be busy


@pytest.mark.parametrize(
    ("profile", "theta_bits", "fits"),
    [(SANTOS, 32, True), (SANTOS, 7, True), (BSS2, 6, True), (BSS2, 7, False), (BSS2, 16, False)],
)
def test_a_weight_wider_than_the_chip_is_refused_with_its_source(profile, theta_bits, fits):
    placement = place(profile, Workload((64, 10), (64,), theta_bits=theta_bits), 1)
    (usage,) = [u for u in placement.usages if u.name == "weight_bits"]
    assert (usage.used, usage.fits) == (theta_bits, fits)
    assert placement.fits == fits
    assert usage.limit == (6 if profile is BSS2 else 32) and usage.source.endswith(")") and "weight_bits" in usage.source
    if not fits:
        with pytest.raises(DoesNotFitError, match=r"weight_bits needs \d+ of 6 bit.*halco"):
            refuse_unless_fits(placement)


def test_a_chosen_format_is_not_called_wider_than_the_chip():
    notes = judge(place(BSS2, Workload((64, 10), (64,), theta_bits=6), 1)).not_modelled
    assert not any("weight_bits_native" in note for note in notes)
