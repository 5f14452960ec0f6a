"""What training programs of spiking networks keep, which of them compute what, and which chips hold them."""

from dataclasses import replace

import pytest

from neurosim.datasets import DataShape
from neurosim.errors import InputError, UnsuitableChipError
from neurosim.hardware import load_profile
from neurosim.networks import Spiking, Topology
from neurosim.placement import Workload, place, synapse_counts
from neurosim.placement.compare_programs import describe_programs
from neurosim.placement.programs import PROGRAMS, find_program, why_not
from neurosim.reports.facts import program_texts
from neurosim.scenario.experiment import prepare
from neurosim.scenario.schema import Scenario

N_INPUTS, N_UNITS, N_CLASSES = 40, 128, 10


def place_network(program="eprop_clock", n_steps=100, connectivity=0.1, profile="spinnaker2", batch_size=10, n_cores=1, rows=None, **numbers):
    numbers = {"method": "bptt" if program == "bptt" else "eprop", "readout": "every", "refractory": 2} | numbers
    topology = Topology.spikes(Spiking(**numbers), N_INPUTS, [N_UNITS], N_CLASSES, n_steps)
    counts = synapse_counts(topology, (connectivity, connectivity, 1.0))
    workload = Workload(topology, counts, batch_size=batch_size, optimizer="adam", code_bytes=0, program=program, has_spike_inputs=True)
    return place(load_profile(profile), workload, n_cores)


def bytes_of(program, n_steps=100, **numbers):
    return int(place_network(program, n_steps, **numbers).n_bytes.max())


@pytest.mark.parametrize(
    ("program", "n_steps", "connectivity", "kib"),
    [
        ("bptt", 43, 0.1, 93), ("bptt", 100, 0.1, 125), ("bptt", 228, 0.1, 196), ("eprop_clock", 100, 0.1, 83),
        ("eprop_factorised", 100, 0.1, 75), ("bptt", 100, 1.0, 503), ("eprop_clock", 100, 1.0, 537), ("eprop_factorised", 100, 1.0, 453),
    ],
)  # fmt: skip
def test_bytes_are_those_worked_out_by_hand(program, n_steps, connectivity, kib):
    """The table of a hand calculation with its own rounding and without labels or generators: within 3 %."""
    numbers = {"feedback": "random"} if program != "bptt" else {}
    if program == "eprop_factorised":
        numbers["method"] = "eprop_factorised"
    assert bytes_of(program, n_steps, connectivity=connectivity, **numbers) / 1024 == pytest.approx(kib, rel=0.03)


@pytest.mark.parametrize("program", [name for name in PROGRAMS if name not in ("bptt", "eprop_spike")])
@pytest.mark.parametrize("readout", ["every", "mean"])
def test_what_traces_keep_does_not_depend_on_the_steps(program, readout):
    numbers = {"readout": readout} | ({"method": "eprop_factorised"} if program == "eprop_factorised" else {})
    placements = [place_network(program, n, **numbers) for n in (2, 50, 5000)]
    assert len({tuple(sorted((name, int(n[0])) for name, n in p.local.items())) for p in placements}) == 1
    assert all("history" not in p.local for p in placements)


@pytest.mark.parametrize("readout", ["every", "mean"])
def test_history_of_bptt_is_affine_in_the_steps(readout):
    """(N b_psi + N + I) / 8 bytes for each step, and the errors of the outputs where every step has some."""
    slope = (N_UNITS * 32 + N_UNITS + N_INPUTS) / 8 + 4 * N_CLASSES * (readout == "every")
    found = [bytes_of("bptt", n, readout=readout) for n in (8, 80, 800)]
    assert found[1] - found[0] == 72 * slope and found[2] - found[1] == 720 * slope


def test_a_history_that_is_followed_for_a_while_ends_there():
    assert bytes_of("eprop_spike", 92) > bytes_of("eprop_spike", 50)
    assert bytes_of("eprop_spike", 5000) == bytes_of("eprop_spike", 93)  # 20 ln 100 = 92.1 steps
    assert bytes_of("eprop_spike", 5000, readout="mean") > bytes_of("eprop_spike", 500, readout="mean")  # its signal comes at the end


def test_narrow_derivatives_and_traces_take_fewer_bits():
    profile = load_profile("spinnaker2")
    bits = profile.formats.activation_bits.model_copy(update={"value": 8})
    narrow = profile.model_copy(update={"formats": profile.formats.model_copy(update={"surrogate_bits": bits, "trace_bits": bits})})
    for program, section, part in (("bptt", "history", (8 + 1 + 32 * 10 / 128) / (32 + 1 + 32 * 10 / 128)), ("eprop_clock", "eligibility", 0.25)):
        wide = place_network(program)
        found = place(narrow, wide.workload, 1)
        assert int(found.local[section][0]) == pytest.approx(part * int(wide.local[section][0]), rel=1e-3)


@pytest.mark.parametrize(
    ("numbers", "batch", "words", "has_gradients"),
    [
        ({"readout": "every"}, 1, 1, True),
        ({"readout": "every", "tau_out": 0.0}, 1, 0, True),
        ({"readout": "every", "adaptive": 0.5, "beta": 1.0}, 1, 2, True),
        ({"readout": "mean"}, 1, 1, False),  # one trace in the place of two numbers
        ({"readout": "last"}, 10, 1, True),
        ({"readout": "mean", "adaptive": 1.0, "beta": 1.0}, 1, 2, False),
        ({"readout": "mean", "rate_cost": 1.0, "rate_target": 0.1}, 1, 2, False),
    ],
)
def test_numbers_of_a_synapse(numbers, batch, words, has_gradients):
    placement = place_network("eprop_clock", batch_size=batch, **numbers)
    hidden = sum(placement.workload.n_active[:2])
    assert int(placement.local.get("eligibility", [0])[0]) == words * 4 * hidden
    assert ("gradients" in placement.local) == has_gradients


@pytest.mark.parametrize(
    ("program", "numbers", "reason"),
    [
        ("eprop_clock", {"method": "bptt"}, "errors that go back"),
        ("eprop_factorised", {"method": "eprop", "readout": "every"}, "filters psi zbar, which does not factorise"),
        ("eprop_factorised", {"method": "eprop_factorised", "adaptive": 1.0, "beta": 1.0}, r"eps\(t\+1\) = psi zbar"),
        ("eprop_factorised", {"method": "eprop", "readout": "mean"}, None),
        ("eprop_factorised", {"method": "eprop", "readout": "every", "tau_out": 0.0}, None),
        ("eprop_factorised", {"method": "eprop_factorised", "readout": "every"}, None),
        ("bptt", {"method": "eprop", "readout": "every"}, None),
        ("eprop_factorised", {"method": "ottt", "readout": "every"}, None),
        ("eprop_factorised", {"method": "ottt", "readout": "every", "adaptive": 1.0, "beta": 1.0}, r"eps\(t\+1\) = psi zbar"),
    ],
)
def test_programs_compute_what_they_say(program, numbers, reason):
    topology = Topology.spikes(Spiking(**numbers), 4, [5], 2, 10)
    if reason is None:
        assert why_not(find_program(program), topology) is None
        return
    with pytest.raises(InputError, match=reason) as caught:
        Workload(topology, (1, 1, 1), program=program)
    assert "\n" not in str(caught.value) and "use" in str(caught.value)


def test_bptt_of_one_layer_without_recurrence_is_online():
    topology = Topology.spikes(Spiking(), 4, [5], 2, 10, is_recurrent=False)
    assert Workload(topology, (1, 1), program="eprop_clock").program == "eprop_clock"


@pytest.mark.parametrize("connectivity", [0.1, 1.0])
def test_break_even_is_where_the_bytes_cross(connectivity):
    rows = {row["program"]: row for row in describe_programs(place_network(connectivity=connectivity), (20, 200))}
    clock, spike = rows["eprop_clock"], rows["eprop_spike"]
    for row in (clock, spike):
        n = row["break_even"]
        assert bytes_of(row["program"], n, connectivity=connectivity) < bytes_of_bptt(n, connectivity)
        assert bytes_of(row["program"], n - 1, connectivity=connectivity) >= bytes_of_bptt(n - 1, connectivity)
    # Fan-in times four bytes of trace over 4.125 bytes of a step, and some bytes of neurons and outputs.
    assert clock["break_even"] == pytest.approx((168 * connectivity) * 4 / 4.125, rel=0.15)
    assert clock["by_steps"] == [bytes_of("eprop_clock", n, connectivity=connectivity) for n in (20, 200)]
    assert clock["per_step"] == 0 and rows["bptt"]["per_step"] == pytest.approx((128 * 33 + 40) / 8 + 40)


def bytes_of_bptt(n, connectivity):
    return bytes_of("bptt", n, connectivity=connectivity, method="eprop")


def test_texts_name_every_program():
    texts = program_texts({"programs": describe_programs(place_network())})
    assert len(texts) == len(PROGRAMS) and texts[1].startswith("eprop_clock (chosen): ")
    assert "less than bptt from" in texts[1] and "not possible" in texts[4]
    assert program_texts({}) == []


def test_copies_on_several_cores_are_charged():
    one, three = place_network(n_cores=1), place_network(n_cores=3)
    # Traces of the 40 inputs, of 128 neurons for recurrence and of 128 for the outputs, on every core with a synapse of them.
    assert int(one.local["pre_traces"].sum()) == 4 * (40 + 128 + 128)
    assert int(three.local["pre_traces"].sum()) == 3 * 4 * (40 + 128 + 128)


# Chips


def scenario_of(profile, hardware=None, training=None, **network):
    return Scenario(
        name="x",
        dataset="cue_accumulation",
        network={"type": "lif", "units": 30, "connectivity": 0.2, "readout": "every"} | network,
        hardware={"profile": profile} | (hardware or {}),
        training={"method": "eprop", "batch_size": 1} | (training or {}),
        rewiring={"rule": "static"},
    )


SHAPE = DataShape(40, 50, 2, is_spikes=True)


@pytest.mark.parametrize("profile", ["loihi1", "loihi2"])
def test_loihi_holds_one_trace_and_not_two(profile):
    assert prepare(scenario_of(profile), SHAPE).placement.workload.program == "eprop_clock"
    with pytest.raises(
        UnsuitableChipError, match=r"2 numbers for each synapse \(eps of the adaptation and a filtered trace\).*has 1 beside the weight"
    ):
        prepare(scenario_of(profile, type="alif"), SHAPE)
    with pytest.raises(UnsuitableChipError, match="keeps a history, but .* keeps traces alone"):
        prepare(scenario_of(profile, {"program": "bptt"}), SHAPE)


def test_reckon_keeps_traces_of_neurons_alone():
    experiment = prepare(scenario_of("reckon", training={"method": "eprop_factorised"}), SHAPE)
    assert experiment.verdict.fits and "eligibility" not in experiment.placement.local and "gradients" not in experiment.placement.local
    with pytest.raises(UnsuitableChipError, match="has none beside the weight.*eprop_factorised"):
        prepare(scenario_of("reckon"), SHAPE)


def test_errors_from_layer_to_layer_need_a_processor():
    """Of one step alone they are online, and a network of several layers keeps the same for samples of any length."""
    ottt = {"method": "ottt", "batch_size": 10}
    experiment = prepare(scenario_of("spinnaker2", training=ottt, units=[30, 20]), SHAPE)
    assert experiment.placement.workload.program == "eprop_factorised" and "eligibility" not in experiment.placement.local
    longer = prepare(scenario_of("spinnaker2", training=ottt, units=[30, 20]), replace(SHAPE, n_steps=500))
    assert longer.placement.n_bytes.tolist() == experiment.placement.n_bytes.tolist()
    with pytest.raises(UnsuitableChipError, match="from layer to layer, but the engines of"):
        prepare(scenario_of("reckon", training={"method": "ottt"}, units=[30, 20]), SHAPE)
    assert prepare(scenario_of("reckon", training={"method": "ottt"}), SHAPE).verdict.fits


@pytest.mark.parametrize(
    ("training", "network", "message"),
    [
        ({}, {"readout": "mean"}, "network.readout: found mean with method ottt"),
        ({"feedback": "random"}, {}, "training.feedback"),
        ({"window": 3}, {}, "training.window"),
        ({"rate_cost": 1.0, "rate_target": 0.1}, {"units": [30, 20]}, "training.rate_cost: found with method ottt and several layers"),
    ],
)
def test_what_ottt_does_not_take_is_refused_in_one_line(training, network, message):
    with pytest.raises(InputError, match=message) as caught:
        prepare(scenario_of("spinnaker2", training={"method": "ottt"} | training, **network), SHAPE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("profile", ["truenorth", "brainscales2", "dynap_se2", "odin"])
def test_circuits_without_traces_leave_learning_to_the_host(profile):
    with pytest.raises(UnsuitableChipError, match="hardware.learning"):
        prepare(scenario_of(profile), SHAPE)
    experiment = prepare(scenario_of(profile, {"learning": "host", "on_violation": "report"}, connectivity=0.1), SHAPE)
    assert not {"eligibility", "pre_traces", "history", "feedback", "gradients"} & set(experiment.placement.local)


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        ({"program": "eprop_spike"}, "use hardware.execution event_driven"),
        ({"program": "eprop"}, "hardware.program"),
        ({"trace_cutoff": 5}, "hardware.trace_cutoff"),
        ({"program": "eprop_clock", "learning": "host"}, "hardware.program"),
    ],
)
def test_wrong_keys_are_refused_in_one_line(hardware, message):
    with pytest.raises(InputError, match=message) as caught:
        prepare(scenario_of("spinnaker2", hardware), SHAPE)
    assert "\n" not in str(caught.value)


def test_programs_are_refused_for_other_networks():
    with pytest.raises(InputError, match="does not spike"):
        Scenario(name="x", dataset="digits", network=[64, 10], hardware={"profile": "loihi1", "program": "bptt"})
    assert replace(place_network().workload, program=None).program == "eprop_clock"
