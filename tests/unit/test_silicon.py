"""The training program in C against the simulator: bits, bytes of every section, packets; here, and on an emulated Cortex-M4F where there is one."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from neurosim.commands.files import export
from neurosim.errors import DoesNotFitError, InputError, UnsuitableChipError
from neurosim.kernels.layout import SegmentEvent
from neurosim.scenario import load_scenario, prepare
from neurosim.scenario.trainer import make_trainer
from neurosim.silicon import export_program, read_states
from neurosim.silicon.arrays import FREE
from neurosim.silicon.export import Program
from neurosim.silicon.refusal import emitting_chips
from program import derive, measure

#: digits, one image at a time, 940 slots.
ONLINE = ("training.batch_size=1", "training.learning_rate=0.05", "training.epochs=2")
SMALL = ("network.layers=[64,24,10]", "network.connectivity=[0.2,0.5]")
#: Loops alone; without the counts, which are no part of the program.
EVENTS = [("accepted", "ACCEPTED"), ("rejected", "REJECTED"), ("exact", "EXACT"), ("released", "RELEASED")]


def needs(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed (Debian: gcc, make, gcc-arm-none-eabi, qemu-system-arm)")


on_host = needs("cc", "make")
on_board = needs("make", "arm-none-eabi-gcc", "arm-none-eabi-size")
on_emulator = needs("make", "arm-none-eabi-gcc", "qemu-system-arm")


def make(folder, *targets):
    done = subprocess.run(["make", *targets], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "warning:" not in done.stderr
    return done.stdout + done.stderr  # the emulator speaks there


def run_program(folder, start="./host_0", **options):
    make(folder, "host", *(f"{key}={value}" for key, value in options.items()))
    subprocess.run([start], cwd=folder, capture_output=True, check=True, timeout=300)


def slots_of(store, core, matrix):
    """First and last slot of a matrix on a core, and its segment."""
    g = next(g for g, s in enumerate(store.plan.segments) if s.core == core and s.matrix == matrix)
    return g, slice(*store.segments.slot_start[g : g + 2].tolist())


def matrices_of(store, core):
    return sorted(s.matrix for s in store.plan.segments if s.core == core)


def states_of(folder, store, core=0):
    n = [sum(s.n_slots for s in store.plan.segments if s.core == core and s.matrix == m) for m in range(len(store.plan.matrices))]
    return read_states(folder / f"states_{core}.bin", n)


def connections(slots):
    """Position to weight of the slots in use: dict."""
    return {(int(i), int(j)): float(w) for i, j, w in slots if i != FREE}


def assert_same_slots(store, state, core=0):
    for m in matrices_of(store, core):
        _, rows = slots_of(store, core, m)
        active, found = store.slots.active[rows] == 1, state.slots[m]
        assert np.array_equal(active, found["pre"] != FREE)
        for name in ("pre", "post"):
            assert np.array_equal(getattr(store.slots, name)[rows][active], found[name][active])
        ours = np.ascontiguousarray(store.slots.weight[rows][active])
        assert np.array_equal(ours.view(np.uint32), np.ascontiguousarray(found["weight"][active]).view(np.uint32))


def assert_same_events(store, state, core=0):
    for m in matrices_of(store, core):
        g, _ = slots_of(store, core, m)
        events = store.tally.by_segment[g]
        assert [state.counts[m][ours] for ours, _ in EVENTS] == [int(events[SegmentEvent[theirs]]) for _, theirs in EVENTS]


def train_beside(trainer, states, compare):
    """Train, and compare after every epoch; `compare(epoch, record)`."""
    epochs = []

    def on_epoch(record):
        compare(len(epochs), record)
        epochs.append(record)

    trainer.run(on_epoch=on_epoch, is_enough=lambda: len(epochs) == len(states))
    assert len(epochs) == len(states) > 0


def check_bits(folder, *overrides, scenario="digits_santos"):
    trainer = export_program(scenario, folder, overrides=[*ONLINE, *overrides])
    run_program(folder)
    states, store = states_of(folder, trainer.store), trainer.store

    def compare(epoch, record):
        assert_same_slots(store, states[epoch])
        assert_same_events(store, states[epoch])
        data, chosen = trainer.dataset, record.validation_accuracy
        n_right = record.test_accuracy * data.n_test if chosen is None else chosen * data.n_validation
        assert states[epoch].n_correct == round(n_right)

    train_beside(trainer, states, compare)
    assert sum(states[-1].counts[m]["released"] for m in range(2)) > 100  # something was exchanged
    return states


@on_host
def test_ten_epochs_of_digits_one_image_at_a_time_have_the_same_bits(tmp_path):
    states = check_bits(tmp_path, "training.epochs=10")
    assert len(states) == 10 and sum(len(slots) for slots in states[-1].slots) == 940
    assert states[-1].n_correct > 330


@on_host
@pytest.mark.parametrize(
    "overrides",
    [
        ("training.optimizer=momentum", "training.learning_rate=0.01"),
        ("hardware.weight_format=s3.12",),
        ("hardware.weight_format=s3.12", "hardware.rounding=stochastic"),
        ("hardware.weight_format=int8", "hardware.rounding=stochastic"),
        ("hardware.weight_format=s4.7", "hardware.rounding=stochastic"),
        ("hardware.weight_format=int8", "hardware.master=float32"),
        ("hardware.weight_format=s5.6", "hardware.master=float32", "hardware.rounding=stochastic", "training.optimizer=momentum"),
        ("rewiring.period=7", "hardware.headroom=0.1"),
        ("dataset.standardize=true",),  # samples of float32, few of them zero
        ("network.signs=pre", "training.epoch_samples=700", "dataset.validation_fraction=0.1"),
        ("network.connectivity=[0.9,0.99]", "network.layers=[64,24,10]"),  # so full that proposals fail and exact draws follow
        ("training.learning_rate=[0.05,0.02]", "rewiring.l1=[1e-4,3e-5]", "rewiring.temperature=1e-8", "rewiring.noise_std=null"),
    ],
    ids=lambda overrides: " ".join(text.split(".", 1)[1] for text in overrides),
)
def test_every_format_and_optimizer_has_the_same_bits(tmp_path, overrides):
    states = check_bits(tmp_path, *overrides)
    if "network.layers=[64,24,10]" in overrides:
        assert states[-1].counts[1]["exact"] > 0


@on_host
@pytest.mark.parametrize(
    "overrides",
    [
        ("training.batch_size=10", "training.learning_rate=0.5"),
        ("training.batch_size=10", "training.optimizer=momentum", "training.learning_rate=0.1"),
        ("hardware.execution=event_driven", "rewiring.noise_std=0"),
        ("hardware.execution=event_driven", "rewiring.noise_std=0", "training.batch_size=10", "hardware.headroom=0.1", "rewiring.period=3"),
        ("hardware.execution=event_driven", "rewiring.noise_std=0", "training.batch_size=10", "hardware.weight_format=s4.7"),
        ("hardware.execution=event_driven", "rewiring.noise_std=0", "training.batch_size=10", "training.optimizer=momentum"),
    ],
    ids=lambda overrides: " ".join(text.split(".", 1)[1] for text in overrides),
)
def test_other_orders_of_sums_agree_within_rounding(tmp_path, overrides):
    """Sums of a batch, or in rows, have another order: the same connections, exchanges and merge passes, and weights within float32 rounding."""
    trainer = export_program("digits_santos", tmp_path, overrides=[*ONLINE, *overrides])
    run_program(tmp_path)
    states, store = states_of(tmp_path, trainer.store), trainer.store

    def compare(epoch, record):
        assert_same_events(store, states[epoch])
        for m in range(2):
            g, rows = slots_of(store, 0, m)
            active = store.slots.active[rows] == 1
            ours = connections(zip(*(getattr(store.slots, name)[rows][active] for name in ("pre", "post", "weight"))))
            theirs = connections(states[epoch].slots[m])
            assert ours.keys() == theirs.keys()
            # Some thousand steps, each within (fan-in + 1) eps of the largest weights, at a rate of at most 0.5.
            assert max(abs(ours[k] - theirs[k]) for k in ours) < 2e-4
            if "hardware.execution=event_driven" in overrides:
                assert states[epoch].counts[m]["merges"] == store.tally.by_segment[g, SegmentEvent.MERGES] > 0

    train_beside(trainer, states, compare)


@on_host
@pytest.mark.parametrize("weight_format, layers", [("int8", "[64,100,10]"), ("float32", "[64,100,10]"), ("int8", "[64,40,3,10]")])
def test_four_cores_send_the_packets_that_are_charged(tmp_path, weight_format, layers):
    """Partial errors are added core by core, which rounds otherwise: on the grid of int8 that vanishes, and all weights are equal."""
    options = [*ONLINE, "hardware.cores=4", f"hardware.weight_format={weight_format}", f"network.layers={layers}"]
    options += ["training.epochs=1", "training.epoch_samples=300", "dataset.validation_fraction=0.1"]
    options += ["network.connectivity=0.4"] * (layers != "[64,100,10]")  # three neurons on four cores: one has none
    trainer = export_program("digits_santos", tmp_path, overrides=options)
    run_program(tmp_path, "./cores")
    store = trainer.store
    states = [states_of(tmp_path, store, core) for core in range(4)]

    def compare(epoch, record):
        for core in range(4):
            state = states[core][epoch]
            assert_same_events(store, state, core)
            n_matrices = len(store.plan.matrices)
            assert [state.counts[m]["received"] for m in range(1, n_matrices)] == store.tally.received[1:, core].tolist()
            assert sum(state.counts[m]["sent_back"] for m in range(1, n_matrices)) == store.tally.sent_back[core] > 0
            assert state.n_correct == round(record.validation_accuracy * trainer.dataset.n_validation)
            if weight_format == "int8":
                assert_same_slots(store, state, core)
            for m in matrices_of(store, core):
                _, rows = slots_of(store, core, m)
                assert np.array_equal(store.slots.pre[rows], state.slots[m]["pre"])
                assert np.array_equal(store.slots.post[rows], state.slots[m]["post"])
                assert np.abs(store.slots.weight[rows] - state.slots[m]["weight"]).max() < 2e-5

    train_beside(trainer, states[0], compare)


CONFIGURATIONS = {
    "online": ("training.batch_size=1",),
    "batch and momentum": ("training.batch_size=10", "training.optimizer=momentum"),
    "int8": ("training.batch_size=1", "hardware.weight_format=int8"),
    "s5.6, master copy": ("training.batch_size=1", "hardware.weight_format=s5.6", "hardware.master=float32"),
    "event-driven": ("training.batch_size=10", "hardware.execution=event_driven"),
    "four cores": ("training.batch_size=1", "hardware.cores=4"),
    "four cores, one without neurons of a layer": (
        "training.batch_size=1",
        "hardware.cores=4",
        "network.layers=[64,99,3,10]",
        "network.connectivity=0.31",
    ),
}


def ledger_bytes(placement, core):
    return {name: int(n[core]) for name, n in placement.local.items() if n[core] and name != "code"}


def linked_bytes(tool, image):
    """Bytes of each section of an image: dict."""
    text = subprocess.run([tool, "-A", "-d", str(image)], capture_output=True, text=True, check=True).stdout
    return {name.lstrip("."): int(n) for name, n in re.findall(r"^(\S+)\s+(\d+)\s", text, re.MULTILINE)}


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize(
    "tool, target",
    [pytest.param("size", "host", marks=[on_host, needs("size")]), pytest.param("arm-none-eabi-size", "board", marks=on_board)],
    ids=["host", "board"],
)
def test_linked_sections_are_those_of_the_ledger_to_the_byte(tmp_path, name, tool, target):
    if target == "host" and not sys.platform.startswith("linux"):
        pytest.skip("sections are read from an ELF file")
    experiment = prepare(load_scenario("digits_santos", ["training.epochs=1", "training.learning_rate=0.05", *CONFIGURATIONS[name]]))
    trainer, _ = make_trainer(experiment)
    (tmp_path / "data").mkdir()
    Program(experiment, trainer).write(tmp_path)
    make(tmp_path, target)
    for core in range(experiment.placement.n_cores):
        found, wanted = (
            linked_bytes(tool, tmp_path / (f"host_{core}" if target == "host" else f"board_{core}.elf")),
            ledger_bytes(experiment.placement, core),
        )
        assert len(wanted) >= 4
        assert {section: found.get(section) for section in wanted} == wanted
        if target == "board":  # the program itself, and its stack: less than what is reserved for them by assumption
            assert 3000 < found["code"] + found["stack"] < experiment.placement.local["code"][core]


@on_emulator
def test_an_emulated_core_writes_the_bytes_that_the_host_writes(tmp_path):
    trainer = export_program("digits_santos", tmp_path, overrides=[*ONLINE, "training.epochs=1"])
    run_program(tmp_path)
    host = (tmp_path / "states_0.bin").read_bytes()
    (tmp_path / "states_0.bin").unlink()
    said = make(tmp_path, "emulate")
    assert (tmp_path / "states_0.bin").read_bytes() == host and len(host) > 8 * trainer.store.n_slots
    used = int(re.search(r"stack used, bytes: (\d+)", said)[1])
    assert 100 < used < 1024


@pytest.mark.skipif(bool(derive.missing_tools()), reason="gcc-arm-none-eabi or llvm not installed")
@on_board
def test_loops_take_the_instructions_and_cycles_that_are_charged():
    pytest.importorskip("unicorn", reason="no emulator that counts instructions: pip install unicorn")
    loops, phases = measure.measure(5)
    rows = {row["loop"]: row for row in loops}
    assert 0.85 < rows["dense"]["cycles"] / 7.07 < 1.2  # Yan et al. 2021, eq. 14
    for loop in ("forward_f32", "backward_f32", "gradient_at_once", "relu_forward"):
        assert 0.85 < rows[loop]["cycles"] / rows[loop]["derived"] < 1.15, loop
        assert 0.7 < rows[loop]["instructions"] / rows[loop]["cycles"] < 1.1, loop
    assert rows["forward_f32"]["turns"] == 940
    assert all(row["all_instructions"] > 0.9 * row["instructions"] for row in phases)


def test_what_has_no_emitter_is_named(tmp_path):
    chips = emitting_chips()
    assert "spinnaker2_santos" in chips and "loihi1" not in chips
    for scenario, message in [
        ("mnist_loihi1", "the cores of loihi1 run no program; choose one of"),
        ("digits_brainscales2", "the cores of brainscales2 run no program"),
        ("mnist_spinnaker1", r"of a kind \(arm968\) that has no emitter yet"),
    ]:
        with pytest.raises(UnsuitableChipError, match=message) as error:
            export_program(scenario, tmp_path / "no")
        assert all(chip in str(error.value) for chip in chips) and "\n" not in str(error.value)
    for override, message in [
        ("hardware.weight_format=float16", "hardware.weight_format: found float16, which --format c has no emitter for; expected float32"),
        ("training.optimizer=adam", "training.optimizer: found adam"),
        ("rewiring={rule: set}", "rewiring.rule: found set"),
        ("training.clip=1.0", "training.clip: found 1.0"),
        ("network.bias=true", "network.bias: found true"),
        ("network.activation=tanh", "network.activation: found tanh"),
        ("rewiring={rule: deep_r, scope: network}", "rewiring.scope: found network"),
        ("dataset.augment={shift: 1}", "dataset.augment: found samples that change"),
        ("rewiring.matrices=[0]", "rewiring.matrices: found matrices that do not rewire"),
    ]:
        with pytest.raises(InputError, match=re.escape(message)):
            export_program("digits_santos", tmp_path / "no", overrides=[override, "hardware.headroom=0.25"])
    with pytest.raises(InputError, match="network.layers: found convolutions, which --format c has no emitter for"):
        export_program("digits_conv_spinnaker2", tmp_path / "no")
    with pytest.raises(InputError, match="event_driven with batch_size 1"):
        export_program("digits_santos", tmp_path / "no", overrides=[*ONLINE, "hardware.execution=event_driven", "training.optimizer=momentum"])
    with pytest.raises(DoesNotFitError, match="does not fit"):
        export_program("digits_santos", tmp_path / "no", overrides=["network.connectivity=1.0", *ONLINE])
    with pytest.raises(InputError, match="--out: missing"):
        export(tmp_path, "c")
    with pytest.raises(InputError, match="--set: for --format c alone"):
        export(tmp_path, "npz", tmp_path / "x.npz", overrides=["seed=1"])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; --format c writes several"):
        export("digits_santos", "c", tmp_path / "file")
    assert not (tmp_path / "no").exists()


def test_the_folder_of_a_run_gives_the_program_of_its_scenario(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "scenario.yaml").write_text((load_path("digits_santos")).read_text())
    export(run, "c", tmp_path / "a")
    export("digits_santos", "c", tmp_path / "b")
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(names) > 15
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    text = "".join((tmp_path / "a" / name).read_text() for name in names if name.suffix in (".c", ".h", ".md", ".ld"))
    assert str(tmp_path) not in text and "@" not in text.replace("@ ", "")


def load_path(name):
    from neurosim.documents import bundled_folder

    return bundled_folder("scenarios") / f"{name}.yaml"


@pytest.mark.slow
@on_host
def test_an_epoch_of_mnist_inside_64_kilobytes_has_the_same_bits(mnist_dir, tmp_path):
    """784-300-100-10, 3,552 slots, 60,000 images one by one; the image of the core links into what a Santos core has."""
    trainer = export_program("mnist_santos_online", tmp_path, mnist_dir, overrides=["training.epochs=1"])
    run_program(tmp_path)
    (state,) = states_of(tmp_path, trainer.store)

    def compare(epoch, record):
        assert_same_slots(trainer.store, state)
        assert_same_events(trainer.store, state)
        assert state.n_correct == round(record.test_accuracy * 10_000) > 9000

    train_beside(trainer, [state], compare)
    assert sum(len(slots) for slots in state.slots) == 3552
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc not installed: compared here alone (Debian: gcc-arm-none-eabi)")
    make(tmp_path, "board", "MORE=-DLIMIT=1500")
    found = linked_bytes("arm-none-eabi-size", tmp_path / "board_0.elf")
    assert (
        sum(found[name] for name in ("vectors", "code", "synapses", "neuron_state", "label_buffer", "input_buffer", "random_state", "stack")) < 65536
    )
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm not installed: linked alone")
    shutil.move(tmp_path / "host_0", tmp_path / "whole")
    run_program(tmp_path, MORE="-DLIMIT=1500")
    host = (tmp_path / "states_0.bin").read_bytes()
    (tmp_path / "states_0.bin").unlink()
    make(tmp_path, "emulate", "MORE=-DLIMIT=1500")
    assert (tmp_path / "states_0.bin").read_bytes() == host
