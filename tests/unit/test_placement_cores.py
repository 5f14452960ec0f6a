import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from neurosim.errors import InputError
from neurosim.hardware import load_profile
from neurosim.placement import MERGE_ENTRIES, SECTIONS, Workload, largest_fit, place, synapse_counts
from neurosim.scenario import load_scenario, prepare

MNIST = (784, 300, 100, 10)
SPARSE = (2352, 900, 300)
SANTOS = load_profile("spinnaker2_santos")
BSS2 = load_profile("brainscales2")


def test_synapse_counts_take_one_fraction_or_one_per_matrix():
    assert synapse_counts(MNIST, (0.01, 0.03, 0.3)) == SPARSE
    assert synapse_counts(MNIST, 1.0) == (235_200, 30_000, 1_000)
    assert synapse_counts((4, 3, 2), 0.001) == (1, 1)


def test_mnist_on_one_santos_core_in_bytes():
    (core,) = place(SANTOS, Workload(MNIST, SPARSE), 1).cores
    indices, weights = 3552 * (2 + 2), 3552 * 4
    signs = 2352 // 8 + (900 + 4) // 8 + (300 + 4) // 8  # 294 + 113 + 38
    assert core.sections == {
        "code": 12_288,
        "synapses": indices + weights + signs,
        "neuron_state": 410 * 4 + 410 * 4,
        "input_buffer": 784 * 4,
        "label_buffer": 10 * 4,
        "random_state": 16,
    }
    assert core.sections["neuron_state"] + core.sections["input_buffer"] + core.sections["label_buffer"] == 6_456
    # The authors' C code reserves n / 8 + 1 bytes of signs, one more than needed where 8 divides n: 28,862 in all.
    assert core.sections["synapses"] == 28_861 == 28_862 - sum(k % 8 == 0 for k in SPARSE)
    assert (core.n_neurons, core.n_slots, core.n_bytes) == (410, 3552, 12_288 + 28_861 + 6_456 + 16)


def test_a_batch_adds_one_accumulator_per_slot_and_no_neuron_state():
    one = place(SANTOS, Workload(MNIST, SPARSE), 1).cores[0].sections
    ten = place(SANTOS, Workload(MNIST, SPARSE, batch_size=10), 1).cores[0].sections
    assert ten == one | {"gradients": 14_208}
    assert list(ten) == [name for name in SECTIONS if name in ten]


def test_an_optimizer_adds_its_state():
    plain = place(SANTOS, Workload(MNIST, SPARSE), 1).cores[0].sections
    momentum = place(SANTOS, Workload(MNIST, SPARSE, optimizer="momentum"), 1).cores[0].sections
    assert momentum == plain | {"optimizer_state": 3552 * 4}
    adam = place(SANTOS, Workload(MNIST, SPARSE, optimizer="adam", headroom=0.5), 3).cores
    slots = [core.n_slots for core in adam]
    assert min(slots) > 1184 and [core.sections["optimizer_state"] for core in adam] == [n * 2 * 4 + 4 for n in slots]
    # A core without neurons keeps no count; on a crossbar the state is in the processor's memory, 16 bits a number.
    assert [c.sections.get("optimizer_state") for c in place(SANTOS, Workload((5, 2), (9,), optimizer="adam"), 4).cores] == [None, 44, None, 36]
    assert place(BSS2, Workload((64, 100, 10), (640, 100), optimizer="adam"), 1).cores[0].sections["optimizer_state"] == 740 * 2 * 2 + 4


def test_event_driven_adds_row_pointers_and_the_merge_list():
    scan = place(SANTOS, Workload(MNIST, SPARSE), 1).cores[0].sections
    event = place(SANTOS, Workload(MNIST, SPARSE, execution="event_driven"), 1).cores[0].sections
    assert event == scan | {"row_pointers": (785 + 301 + 101) * 2, "rewiring": MERGE_ENTRIES * 4}
    fixed = place(SANTOS, Workload(MNIST, SPARSE, execution="event_driven", rewires=False), 1).cores[0].sections
    assert set(event) - set(fixed) == {"rewiring", "random_state"}


def test_code_bytes_and_headroom_of_the_run():
    placement = place(SANTOS, Workload(MNIST, SPARSE, code_bytes=0, headroom=0.25), 1)
    assert [s.n_slots for s in placement.segments] == [2352 + 588, 900 + 225, 300 + 75]
    assert "code" not in placement.cores[0].sections
    full = place(SANTOS, Workload((2, 3), (5,), headroom=0.5), 1)
    assert full.segments[0].n_slots == full.segments[0].n_positions == 6


def test_four_cores_hold_a_quarter_each_with_exact_sums():
    placement = place(SANTOS, Workload(MNIST, SPARSE), 4)
    assert [c.n_neurons for c in placement.cores] == [75 + 25 + n for n in (2, 3, 2, 3)]
    assert [s.n_active for s in placement.segments] == [588] * 4 + [225] * 4 + [60, 90, 60, 90]
    assert [(s.post_start, s.post_stop) for s in placement.segments[8:]] == [(0, 2), (2, 5), (5, 7), (7, 10)]
    assert [(s.matrix, s.core) for s in placement.segments] == [(m, c) for m in range(3) for c in range(4)]
    # own + remote neurons of both hidden layers, activation and error each; all 10 logits; errors of own outputs
    for core, n_out in zip(placement.cores, (2, 3, 2, 3), strict=True):
        assert core.sections["neuron_state"] == (300 + 100) * (4 + 4) + 10 * 4 + n_out * 4
        assert core.sections["input_buffer"] == 3_136 and core.sections["label_buffer"] == 40
    synapses = [(588 + 225 + n) * 8 + math.ceil(588 / 8) + math.ceil(225 / 8) + math.ceil(n / 8) for n in (60, 90, 60, 90)]
    assert [c.sections["synapses"] for c in placement.cores] == synapses
    assert placement.home[:784] == (-1,) * 784 and len(placement.home) == sum(MNIST)
    assert placement.home[784:1084] == (0,) * 75 + (1,) * 75 + (2,) * 75 + (3,) * 75
    assert placement.home[-10:] == (0, 0, 1, 1, 1, 2, 2, 3, 3, 3)


def test_a_core_without_post_neurons_of_a_matrix_has_no_segment_there():
    placement = place(SANTOS, Workload((5, 4, 2), (9, 3)), 4)
    assert [(s.matrix, s.core) for s in placement.segments] == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 3)]
    assert [s.n_active for s in placement.segments] == [3, 2, 2, 2, 2, 1]
    assert [("label_buffer" in c.sections) for c in placement.cores] == [False, True, False, True]


def test_a_core_without_neurons_keeps_only_its_code():
    placement = place(SANTOS, Workload((5, 2), (9,), execution="event_driven"), 4)
    assert placement.cores[0].sections == {"code": 12_288} and placement.cores[0].n_neurons == 0


def test_digits_on_brainscales2():
    placement = place(BSS2, Workload((64, 100, 10), (6400, 1000)), 1)
    (core,) = placement.cores
    assert core.sections == {
        "code": 8_192,
        "neuron_state": 110 * 1 + 110 * 2,
        "input_buffer": 64,
        "label_buffer": 10,
        "random_state": 16,
    }
    used = {usage.name: (usage.used, usage.limit) for usage in placement.usages if usage.matrix in (None, 0)}
    assert used == {
        "local_memory": (8_612, 16_384),
        "synapse_array": (7_400, 32_768),
        "synapses_per_core": (7_400, 32_768),
        "fan_in_per_neuron": (64, 128),
        "columns": (110, 256),
        "neurons_per_core": (110, 256),
        "cores": (1, 2),
    }
    assert placement.fits and placement.fan_in_limit == 128 and place(SANTOS, placement.workload).fan_in_limit is None


def test_brainscales2_needs_no_row_pointers_but_gradients_in_processor_memory():
    workload = Workload((64, 100, 10), (640, 100), batch_size=2, execution="event_driven")
    sections = place(BSS2, workload, 1).cores[0].sections
    assert sections["gradients"] == 740 * 2
    assert not {"synapses", "row_pointers", "rewiring"} & set(sections)


def test_auto_takes_the_smallest_number_of_cores_that_fits():
    workload = Workload(MNIST, (8_000, 2_000, 500))
    placement = place(SANTOS, workload)
    assert placement.fits and placement.n_cores == 2
    assert not place(SANTOS, workload, 1).fits
    dense = place(SANTOS, Workload(MNIST, synapse_counts(MNIST, 1.0)))
    assert dense.n_cores == 4 and not dense.fits


def test_values_are_plain_python_numbers():
    placement = place(SANTOS, Workload(tuple(np.array(MNIST)), tuple(np.array(SPARSE))), 4)
    numbers = [n for s in placement.segments for n in vars(s).values()] + list(placement.home)
    numbers += [n for c in placement.cores for n in (c.id, c.n_neurons, c.n_slots, *c.sections.values())]
    numbers += [n for u in placement.usages for n in (u.used, u.limit)]
    assert {type(n) for n in numbers} == {int}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_active": (2352, 900)}, "n_active: found 2 counts; expected one per matrix, 3"),
        ({"n_active": (2352, 900, 1001)}, "1,001 synapses in matrix 2; expected 1 to its 1,000 positions"),
        ({"n_active": (2352, 900, 0)}, "expected 1 to its"),
        ({"n_active": (2352, 900, 3.5)}, "3.5"),
        ({"topology": (784,), "n_active": ()}, "inputs first"),
        ({"topology": (784, 300, 0, 10)}, "found 0 neurons"),
        ({"batch_size": 0}, "batch_size: found 0"),
        ({"execution": "event_drive"}, "nearest: event_driven"),
        ({"scope": "cores"}, "nearest: core"),
        ({"headroom": -0.1}, "headroom: found -0.1"),
        ({"headroom": math.nan}, "headroom: found nan"),
        ({"code_bytes": -1}, "code_bytes: found -1"),
    ],
)
def test_a_wrong_workload_is_refused(change, words):
    with pytest.raises(InputError) as error:
        Workload(**{"topology": MNIST, "n_active": SPARSE} | change)
    assert words in str(error.value)


@pytest.mark.parametrize("connectivity", [0, 1.1, -0.5, math.nan, (0.1, 0.1), ("a", 0.1, 0.1)])
def test_a_wrong_connectivity_is_refused(connectivity):
    with pytest.raises(InputError, match="connectivity: found"):
        synapse_counts(MNIST, connectivity)


@pytest.mark.parametrize("n_cores", [0, -1, 1.5, True, "auto"])
def test_a_wrong_number_of_cores_is_refused(n_cores):
    with pytest.raises(InputError, match="the 4 cores of spinnaker2_santos"):
        place(SANTOS, Workload(MNIST, SPARSE), n_cores)
    with pytest.raises(InputError, match="the 4 cores of spinnaker2_santos"):
        largest_fit(SANTOS, Workload(MNIST, SPARSE), n_cores)


def test_a_missing_row_pointer_format_is_named():
    formats = SANTOS.formats.model_copy(update={"row_pointer_bits": None})
    profile = SANTOS.model_copy(update={"formats": formats})
    assert place(profile, Workload(MNIST, SPARSE), 1).fits
    with pytest.raises(InputError, match="formats.row_pointer_bits missing"):
        place(profile, Workload(MNIST, SPARSE, execution="event_driven"), 1)


def test_placement_does_not_import_numba():
    code = "import sys, neurosim.placement; sys.exit('numba' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_narrow_weights_take_their_bits_and_a_master_copy_its_own():
    plain = place(SANTOS, Workload(MNIST, SPARSE), 1).cores[0].sections
    narrow = place(SANTOS, Workload(MNIST, SPARSE, theta_bits=7), 1).cores[0].sections
    # 32 bits of indices; 7 of strength and 1 of sign share a byte, as in the program in C.
    assert narrow == plain | {"synapses": sum(4 * k + k for k in SPARSE)}
    assert narrow["synapses"] == 17_760
    # 11 bits and a sign make no word: three arrays per matrix, each rounded up to bytes.
    odd = place(SANTOS, Workload(MNIST, SPARSE, theta_bits=11), 1).cores[0].sections
    assert odd == plain | {"synapses": sum(4 * k + -(-11 * k // 8) + -(-k // 8) for k in SPARSE)}
    master = place(SANTOS, Workload(MNIST, SPARSE, theta_bits=7, master_bits=32), 1).cores[0].sections
    assert master == narrow | {"master_weights": 3552 * 4} and list(master) == [name for name in SECTIONS if name in master]
    # The array holds the strengths; the copies lie in the processor's memory.
    array = {"theta_bits": 6, "master_bits": 32}
    both = [place(BSS2, Workload((64, 100, 10), (640, 100), **more), 1).cores[0].sections for more in ({}, array)]
    assert both[1] == both[0] | {"master_weights": 740 * 4}


@pytest.mark.parametrize(
    ("more", "has_accumulators"),
    [({}, True), ({"master_bits": 32}, False), ({"optimizer": "momentum"}, False), ({"execution": "scan"}, False), ({"theta_bits": None}, False)],
)
def test_who_needs_accumulators_with_single_samples(more, has_accumulators):
    """Between the gradient and the pass over all slots, a rounded strength cannot hold what a gradient adds."""
    workload = Workload(MNIST, SPARSE, **{"execution": "event_driven", "theta_bits": 7} | more)
    assert ("gradients" in place(SANTOS, workload, 1).cores[0].sections) == has_accumulators


def test_who_draws_keeps_the_state_of_a_generator():
    """To rewire, for noise or to round by chance; none of it where the host learns."""
    for changes in ({"rewires": True}, {"draws_noise": True}, {"draws_rounding": True, "theta_bits": 7}):
        workload = Workload(MNIST, SPARSE, **({"rewires": False} | changes))
        assert place(SANTOS, workload, 1).cores[0].sections["random_state"] == 16
        assert "random_state" not in place(SANTOS, replace(workload, host_learns=True), 1).cores[0].sections
    assert "random_state" not in place(SANTOS, Workload(MNIST, SPARSE, rewires=False, theta_bits=7), 1).cores[0].sections
    by_host = Workload(MNIST, SPARSE, theta_bits=7)
    assert "random_state" not in place(load_profile("loihi1"), by_host, 1).cores[0].sections
    assert place(load_profile("loihi1"), replace(by_host, draws_noise=True), 1).cores[0].sections["random_state"] == 16


def test_a_static_scenario_that_rounds_by_chance_has_a_generator():
    changes = ("rewiring={rule: static}", "hardware.weight_format=int8", "hardware.weight_range=2")
    for rounding in ("stochastic", "nearest"):
        experiment = prepare(load_scenario("digits_santos", (*changes, f"hardware.rounding={rounding}")))
        assert ("random_state" in experiment.placement.cores[0].sections) == (rounding == "stochastic")
