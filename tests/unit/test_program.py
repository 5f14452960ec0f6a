"""Cycles of the loops in C: the tables are what the tools say, and every turn that is charged is one that the program takes."""

import math
import re
import shutil
import subprocess

import numpy as np
import pytest

from neurosim.accounting import PHASES, make_ledger
from neurosim.accounting.events import PHASE
from neurosim.accounting.loops import storage_of
from neurosim.accounting.pricing import LOOP
from neurosim.accounting.sensitivity import price_sensitivity
from neurosim.errors import InputError
from neurosim.hardware import load_profile
from neurosim.hardware.program import list_programs, load_program
from neurosim.networks import Convolution
from neurosim.placement import Workload, place
from neurosim.placement.families import family_of
from neurosim.validation.activity import dense_activity
from program import derive, page

SETS = {"spinnaker2": "derived_from_program", "spinnaker2_santos": "derived_from_program", "spinnaker1": "derived_from_program"}


@pytest.mark.parametrize("core", derive.CORES, ids=lambda core: core.name)
def test_the_tables_are_what_the_tools_say(core):
    """Exactly the committed text: other versions of the tools may count otherwise, so they are named in it."""
    if derive.missing_tools():
        pytest.skip(f"{' and '.join(derive.missing_tools())} not installed (Debian: gcc-arm-none-eabi, llvm)")
    path = derive.TABLES / f"{core.name}.yaml"
    text = derive.write_table(core, derive.derive(core))
    versions = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(("compiler:", "method:"))]
    if not all(line in text.splitlines() for line in versions):
        pytest.skip(f"other versions of the tools than those of {path.name}")
    assert path.read_text(encoding="utf-8") == text, "run python -m program.derive --write"


def test_every_table_belongs_to_a_core_and_every_range_holds_its_value():
    assert list_programs() == sorted(core.name for core in derive.CORES)
    for name in list_programs():
        table = load_program(name)
        assert len(table.settings) == 3 and len(table.loops) >= 70
        for loop, cycles in table.loops.items():
            quantity = table.quantity(loop)
            assert quantity.value == cycles[0] and quantity.kind == "derived" and quantity.confidence == "D"
            assert max(cycles) < 5 * min(cycles), loop  # no loop was taken for another one
    with pytest.raises(InputError, match="nearest: cortex_m4f"):
        load_program("cortex_m4")


def test_narrow_words_are_cheaper_to_move_and_packed_fields_dearer():
    loops = load_program("cortex_m4f").loops
    for loop in ("forward", "backward", "forward_row", "update_sgd", "update_momentum", "update_adam", "merge"):
        assert loops[f"{loop}_bits"][0] > loops[f"{loop}_f32"][0]
    assert loops["merge_i8"][0] < loops["merge_f32"][0] and loops["draw_chip"][0] < loops["draw_software"][0]
    assert loops["update_adam_f32"][0] > 2 * loops["update_sgd_f32"][0]


def ledger_of(profile, layers=(6, 4, 3), n_samples=5, n_cores=1, **changes):
    counts = tuple(a * b for a, b in zip(layers, layers[1:]))
    placement = place(profile, Workload(layers, counts, rewires=False, **changes), n_cores=n_cores)
    activity = dense_activity(placement, n_samples, 0.5, 0.5)
    return make_ledger(placement, activity, dense_activity(placement, 2, 0.5, 0.5))


@pytest.mark.parametrize("name", SETS)
def test_turns_cycles_and_joules_by_hand(name):
    """6-4-3, all connections, batch 4, 5 samples on one core: slots 24 + 12, hidden neurons 4, outputs 3."""
    profile = load_profile(name).choose(SETS[name])
    ledger = ledger_of(profile, batch_size=4)
    storage = storage_of(profile, Workload((6, 4, 3), (24, 12)))
    turns = {(line.component.removeprefix(LOOP), line.phase): line.count for line in ledger.energy if line.component.startswith(LOOP)}
    wanted = {
        ("start_sum", "forward"): 5 * 7, (f"forward_{storage}", "forward"): 5 * 36, ("relu_forward", "forward"): 5 * 4,
        ("softmax_exponential", "forward"): 5 * 3, ("softmax_error", "forward"): 5 * 3,
        ("start_sum", "backward"): 5 * 4, (f"backward_{storage}", "backward"): 5 * 12, ("relu_backward", "backward"): 5 * 4,
        ("gradient", "gradient"): 5 * 36, (f"update_sgd_{storage}", "update"): 5 * 36,
        ("start_sum", "evaluate"): 2 * 7, (f"forward_{storage}", "evaluate"): 2 * 36, ("relu_forward", "evaluate"): 2 * 4,
    }  # fmt: skip
    assert turns == wanted
    table, joule = load_program(profile.energy.chosen.program), profile.energy.prices.core_cycle.value
    cycles = {phase: [math.fsum(n * table.loops[loop][k] for (loop, p), n in wanted.items() if p == phase) for k in range(3)] for phase in PHASES}
    for phase in ("forward", "backward", "gradient", "update"):
        assert ledger.energy_by("phase")[phase] == pytest.approx(cycles[phase][0] * joule, rel=1e-12)
        assert ledger.time.phase_s[phase] == pytest.approx(cycles[phase][0] / profile.clock.value, rel=1e-12)
        assert ledger.energy_range[phase] == pytest.approx((min(cycles[phase]) * joule, max(cycles[phase]) * joule), rel=1e-12)
        assert ledger.time.phase_range_s[phase] == pytest.approx((min(cycles[phase]) / profile.clock.value, max(cycles[phase]) / profile.clock.value))
    assert set(ledger.unpriced) <= {"host_byte"}


def test_a_loop_that_the_table_lacks_is_said_and_not_free():
    """Adam calls the library on an ARM968E-S, which nothing counts."""
    ledger = ledger_of(load_profile("spinnaker1").choose("derived_from_program"), optimizer="adam", batch_size=2)
    (missing,) = (name for name in ledger.unpriced if name.startswith(LOOP))
    assert missing.startswith("loop:update_adam_") and missing in ledger.time.unmodelled and not ledger.is_complete


@pytest.mark.parametrize("name", SETS)
def test_the_norm_of_a_clipped_gradient_is_charged(name):
    """6-4-3, 36 slots, 5 updates, each after a pass over all accumulators; on two cores each tells the other its part."""
    profile = load_profile(name).choose(SETS[name])
    ledger = ledger_of(profile, batch_size=4, clips=True)
    (line,) = (line for line in ledger.energy if line.component == LOOP + "clip_norm")
    joules = load_program(profile.energy.chosen.program).loops["clip_norm"][0] * profile.energy.prices.core_cycle.value
    assert (line.phase, line.count) == ("update", 5 * 36) and line.energy_j == pytest.approx(5 * 36 * joules, rel=1e-12)
    plain = ledger_of(profile, batch_size=4)
    assert ledger.energy_by("phase")["update"] == pytest.approx(plain.energy_by("phase")["update"] + 5 * 36 * joules, rel=1e-12)
    assert ledger.energy_range["update"][1] > plain.energy_range["update"][1] and ledger.unpriced == plain.unpriced
    two = ledger_of(profile, batch_size=4, clips=True, n_cores=2)
    turns = {line.component.removeprefix(LOOP): line.count for line in two.energy if line.phase == "update" and line.core == 1}
    assert turns["send_value"] == turns["receive_error"] == turns["packet_sent"] == 5
    # Momentum takes the factor slot by slot, which no loop of an update has: said and not silent.
    momentum = ledger_of(profile, batch_size=4, clips=True, optimizer="momentum")
    assert LOOP + "clip_factor" in momentum.unpriced and LOOP + "clip_factor" in momentum.time.unmodelled


@pytest.mark.parametrize("name", ["spinnaker2", "spinnaker1"])
def test_a_sign_beside_its_strength_is_no_halfword_with_its_sign(name):
    """SpiNNaker 1 has 16 bits and a sign beside them, 17 in memory; only 15 and 7 share a word with it, in memory and in the loops."""
    profile = load_profile(name)
    family = family_of(profile)
    index_bits = profile.synapse_word.pre_index_bits.value + profile.synapse_word.post_index_bits.value
    for bits in (*range(1, 17), 31, 32):
        workload = Workload((6, 4), (24,), theta_bits=bits)
        shares = family.slot_bytes(profile, workload, np.array([17]))[0] == -(-17 * index_bits // 8) + -(-17 * (bits + 1) // 8)
        apart = -(-17 * index_bits // 8) + -(-17 * bits // 8) + -(-17 // 8)
        assert (storage_of(profile, workload) in ("i16", "i8")) == (bits in (7, 15))
        if bits in (7, 15):
            assert shares
        else:
            assert family.slot_bytes(profile, workload, np.array([17]))[0] == apart
    assert storage_of(load_profile("spinnaker1"), Workload((6, 4), (24,))) == "bits"


def test_formats_have_loops_of_their_own():
    profile = load_profile("spinnaker2")
    found = {bits: storage_of(profile, Workload((6, 4), (24,), theta_bits=bits)) for bits in (15, 7, 11)}
    assert found == {15: "i16", 7: "i8", 11: "bits"} and storage_of(profile, Workload((6, 4), (24,))) == "f32"
    assert storage_of(profile, Workload((6, 4), (24,), theta_bits=16, has_float16=True)) == "f16"


def test_sensitivity_has_the_settings_of_the_compiler():
    profile = load_profile("spinnaker2").choose("derived_from_program")
    ledger = ledger_of(profile, batch_size=4)
    (row,) = (row for row in price_sensitivity(profile, ledger.energy) if row["price"] == "cycles of the program")
    table = load_program("cortex_m4f")
    turns = [
        (line.component.removeprefix(LOOP), line.count * profile.energy.prices.core_cycle.value) for line in ledger.energy if LOOP in line.component
    ]
    totals = [ledger.total_energy_j + math.fsum(n * (table.loops[loop][k] - table.loops[loop][0]) for loop, n in turns) for k in (1, 2)]
    assert [other["total_j"] for other in row["published"]] == pytest.approx(totals, rel=1e-12)


def test_two_generators_differ_in_the_draws_alone():
    chip, software = (load_profile("spinnaker2").choose(name) for name in ("derived_from_program", "derived_from_program_software"))
    assert chip.energy.prices == software.energy.prices and chip.energy.chosen.draws != software.energy.chosen.draws


def test_steps_and_barriers_of_loihi():
    """400-400-10: 12 steps trained, 4 evaluated; each updates all 410 neurons; two barriers a step of training."""
    profile = load_profile("loihi1")
    counts = (160_000, 4_000)
    seconds = {}
    for n_cores in (8, 128):
        placement = place(profile, Workload((400, 400, 10), counts, rewires=False), n_cores=n_cores)
        ledger = make_ledger(placement, dense_activity(placement, 3, 0.25, 0.25), dense_activity(placement, 2, 0.25, 0.25))
        events = ledger.events.sum(axis=0)
        assert events[PHASE["update"], 2] == 3 * 12 * 164_000  # synaptic updates
        updates = ledger.events[:, :, 1].sum(axis=0)
        assert updates[[PHASE["forward"], PHASE["backward"], PHASE["update"]]].sum() == 3 * 12 * 410 and updates[PHASE["evaluate"]] == 2 * 4 * 410
        tiles = n_cores // 4
        barrier = 113e-9 + (465e-9 - 113e-9) * (tiles - 1) / 31
        assert ledger.time.phase_s["barriers"] == pytest.approx(3 * 12 * 2 * barrier, rel=1e-12)
        assert ledger.time.phase_s["evaluate"] == pytest.approx(2 * 4 * 42.5e-6)
        seconds[n_cores] = ledger.time.training_s
        assert seconds[n_cores] > 3 * 12 * 42.5e-6
    assert seconds[128] < seconds[8]
    assert np.isclose(profile.energy.chosen.latencies.barrier_seconds(99), 465e-9)


def test_the_page_has_every_loop_as_the_tables_have_it():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.put(text, "loops", page.loops_table()) == text, "run python -m program.page"
    rows = [row.split("|") for row in text.splitlines() if row.startswith(("| `mnist_santos_64kb`", "| `mnist_spinnaker2`"))]
    assert [row[2].strip() for row in rows] == 2 * ["forward", "backward", "gradient", "update", "rewire"]
    for row in rows:  # no phase is at zero, and each lies in its range
        for cell in (row[3], row[5]):
            value, low, high = map(float, re.findall(r"[\d.]+", cell))
            assert 0 < low <= value <= high


@pytest.mark.parametrize(
    ("n_maps", "side", "kernel", "stride", "padding"), [(3, 24, 5, 1, 2), (4, 12, 3, 1, 0), (2, 15, 3, 2, 1), (1, 8, 4, 2, 3), (5, 9, 1, 1, 0), (2, 30, 7, 3, 2)]
)  # fmt: skip
def test_the_places_of_an_element_are_those_at_which_it_reads_no_border(tmp_path, n_maps, side, kernel, stride, padding):
    """What a turn of `convolve_slot` computes, compiled for this computer, against every place."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc not installed")
    n_out, taps = (side + 2 * padding - kernel) // stride + 1, kernel * kernel
    sizes = {
        "taps": taps, "per_taps": -(-(2**31) // taps), "kernel": kernel, "per_kernel": -(-65536 // kernel), "stride": stride,
        "per_stride": -(-65536 // stride), "padding": padding, "in_height": side, "in_width": side, "in_plane": side * side, "out_height": n_out,
        "out_width": n_out, "out_plane": n_out * n_out,
    }  # fmt: skip
    source = tmp_path / "places.c"
    source.write_text(
        f'#define EXACT\n#include <stdio.h>\n#include "{derive.HERE / "loops.h"}"\n'
        f"int main(void) {{ maps_t s = {{ {', '.join(f'.{k} = {v}u' for k, v in sizes.items())} }};\n"
        f"  for (uint32_t i = 0; i < {n_maps * taps}u; i++) {{ span_t a; find_places(&s, i, 2, &a);\n"
        '    printf("%d %d %d %d\\n", (int)a.in, (int)a.out, (int)a.rows, (int)a.places); }\n  return 0; }\n',
        encoding="utf-8",
    )
    subprocess.run(["gcc", "-std=gnu11", "-w", "-o", tmp_path / "places", source], check=True)
    lines = subprocess.run([tmp_path / "places"], check=True, capture_output=True, text=True).stdout.splitlines()
    found = [tuple(map(int, line.split())) for line in lines]
    pattern = Convolution(kernel, stride, padding)
    uses, rows = pattern.uses(side, side).ravel(), pattern.row_uses(side, side).ravel()
    for pre, (read, written, n_rows, n_places) in enumerate(found):
        ky, kx = pre % taps // kernel, pre % kernel
        at = [
            ((y * stride + ky - padding) * side + x * stride + kx - padding, y * n_out + x)
            for y in range(n_out) for x in range(n_out)
            if 0 <= y * stride + ky - padding < side and 0 <= x * stride + kx - padding < side
        ]  # fmt: skip
        assert (n_rows * n_places, n_rows) == (len(at), len({place // n_out for _, place in at})) == (uses[pre % taps], rows[pre % taps])
        assert (read, written) == (pre // taps * side * side + at[0][0], 2 * n_out * n_out + at[0][1])
