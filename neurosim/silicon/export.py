"""The folder of a program in C: sources, one file of memory for each core, linker script, Makefile, and what the host streams."""

import shutil
from pathlib import Path

import numpy as np

from neurosim.documents import bundled_folder, write_atomic
from neurosim.errors import DoesNotFitError, InputError, os_trouble
from neurosim.placement import summarize
from neurosim.placement.memory import MERGE_ENTRIES, has_accumulators, has_row_pointers
from neurosim.random import mix64
from neurosim.silicon.arrays import Array, in_order, neuron_arrays, parts_of_core, slot_arrays
from neurosim.silicon.refusal import refuse_unless_emitted
from neurosim.silicon.storages import storage_for

_HERE = Path(__file__).resolve().parent / "c"
#: Slots that an update takes at once: the products of batch 1 wait for it on the stack.
BLOCK = 64
#: Bytes that the linker script keeps for the stack; a trial says what was used of them.
STACK = 1024
_GOLDEN = 0x9E3779B97F4A7C15


def export_program(source, out, data_dir=None, dataset=None, overrides=()):
    """Write the training program of a scenario as C.

    Parameters
    ----------
    source : str or Path
        Scenario (name or file), or folder of a run, whose scenario is taken.
    out : path-like
        Folder to write; created.
    data_dir : path-like, optional
        Where to look for data sets first.
    dataset : Dataset, optional
        Samples in memory, instead of those that the scenario names.
    overrides : iterable of str, or mapping
        As in `load_scenario`.

    Returns
    -------
    Trainer
        Of the same experiment, not trained: what the program is to be compared with.

    Raises
    ------
    InputError
        Something has no emitter (`silicon.refusal`), or the folder cannot be written.
    DoesNotFitError
    """
    from neurosim.scenario import load_scenario, prepare
    from neurosim.scenario.trainer import make_trainer

    source, out = Path(source), Path(out)
    folder = source.parent if source.name == "result.json" else source
    own = folder / "scenario.yaml"
    name = str(own) if folder != Path() and own.is_file() else str(source)
    experiment = prepare(load_scenario(name, overrides))
    refuse_unless_emitted(experiment)
    if not experiment.placement.fits:
        raise DoesNotFitError(f"--format c: {experiment.scenario.name} does not fit: {summarize(experiment.verdict)}", experiment.verdict)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; --format c writes several, give a folder")
    trainer, _ = make_trainer(experiment, data_dir, dataset)
    program = Program(experiment, trainer)
    try:
        (out / "data").mkdir(parents=True, exist_ok=True)
        program.write(out)
    except OSError as error:
        raise os_trouble(error, out, "cannot be written") from None
    return trainer


class Program:
    """Text and data of the program of one experiment.

    Parameters
    ----------
    experiment : Experiment
    trainer : Trainer
        Before its first step.
    """

    def __init__(self, experiment, trainer):
        self.experiment, self.trainer = experiment, trainer
        self.placement, self.store = experiment.placement, trainer.store
        workload = self.placement.workload
        self.storage = storage_for(experiment.scenario.hardware.format)
        self.has_accumulators = has_accumulators(self.placement.profile, workload)
        self.is_sorted = has_row_pointers(self.placement.profile, workload)
        self.n_cores = self.placement.n_cores
        self.parts = [parts_of_core(self.store, self.placement, core) for core in range(self.n_cores)]
        self.arrays = [in_order(self._arrays(parts)) for parts in self.parts]

    def _arrays(self, parts):
        found = []
        for part in parts:
            if part.segment is not None:
                found += slot_arrays(self.store, part, self.storage, self.has_accumulators, self.is_sorted)
        found += neuron_arrays(self.placement.workload.topology, parts, parts[0].segment is not None, parts[-1].segment is not None)
        if self.is_sorted:
            found += [Array("rewiring", f"arrival_{side}", np.zeros(MERGE_ENTRIES, np.uint16)) for side in ("pre", "post")]
        return found

    def section_bytes(self, core):
        """Bytes of each section of a core but the code, as its arrays add up: dict."""
        total = {}
        for array in self.arrays[core]:
            total[array.section] = total.get(array.section, 0) + array.n_bytes
        return total | {"random_state": 16}

    def write(self, out):
        """Write all files into a folder."""
        for name in ("core.c", "core.h", "bench.c", "bench.h", "link_files.c", "link_semihosting.c"):
            shutil.copyfile(_HERE / name, out / name)
        if self.n_cores > 1:
            for name in ("network.c", "cores.c"):
                shutil.copyfile(_HERE / name, out / name)
        for name in ("loops.c", "loops.h", "exact.h"):
            shutil.copyfile(bundled_folder("program") / name, out / name)
        write_atomic(out / "network.h", self.header())
        for core in range(self.n_cores):
            write_atomic(out / f"memory_{core}.c", self.memory(core))
        write_atomic(out / "chip.ld", self.linker_script())
        is_several = self.n_cores > 1
        numbers = " ".join(map(str, range(self.n_cores)))
        loose = "-Wl,--unresolved-symbols=ignore-in-object-files" if is_several else ""  # packets are the board's affair
        makefile = self._fill("Makefile.in", CORES=numbers, NETWORK_C="network.c" * is_several, LAUNCHER="cores" * is_several, LOOSE=loose)
        write_atomic(out / "Makefile", makefile)
        write_atomic(out / "README.md", self.readme())
        self._write_data(out / "data")

    def header(self):
        """network.h: sizes, and what is the same for all cores."""
        scenario, trainer, data = self.experiment.scenario, self.trainer, self.trainer.dataset
        layers, n_test = self.placement.workload.topology.sizes, len(self._test_samples()[1])
        storage, rule = self.storage, trainer.plan.rule
        numbers = {
            "N_CORES": self.n_cores, "N_MATRICES": len(layers) - 1, "N_INPUTS": layers[0], "N_OUTPUTS": layers[-1],
            "STORAGE": storage.name, "IS_PACKED": int(storage.name == "bits"), "IS_STOCHASTIC": int(trainer.plan.is_stochastic),
            "IS_SORTED": int(self.is_sorted), "N_LISTED": MERGE_ENTRIES,
            "HAS_ACCUMULATORS": int(self.has_accumulators), "HAS_MASTER": int(self.store.plan.has_master),
            "HAS_MOMENTUM": int(self.store.plan.n_moments == 1), "MOMENTUM": _real(trainer.plan.optimizer.momentum),
            "BATCH": trainer.plan.batch_size, "PERIOD": rule.period, "THETA_BORN": _real(rule.theta_born), "MOST_PROPOSALS": 64, "BLOCK": BLOCK,
            "N_EPOCHS": trainer.plan.n_epochs, "N_TRAIN": trainer.n_epoch_samples, "N_TEST": n_test, "SCALE": _real(data.scale),
        }  # fmt: skip
        kind = "uint8_t" if data.x_train.dtype == np.uint8 else "float"
        cores = [
            f"#if CORE == {core}\n#define HAS_OUTPUTS {int(parts[-1].segment is not None)}\n#define HAS_INPUTS {int(parts[0].segment is not None)}\n#endif"
            for core, parts in enumerate(self.parts)
        ]
        lines = [
            f"/* {scenario.name}: {'-'.join(map(str, layers))} on {self.placement.profile.name}, seed {scenario.seed}. Written by neurosim. */",
            "#ifndef NETWORK_H",
            "#define NETWORK_H",
            "#include <stdint.h>",
            *(f"#define {name} {value}" for name, value in numbers.items()),
            f"typedef {kind} sample_t; /* as the host stores an input; times SCALE it is what the network sees */",
            *cores,
            *(self._homes(layers) if self.n_cores > 1 else ()),
            "#endif",
        ]
        return "\n".join(lines) + "\n"

    def _homes(self, layers):
        """Where the neurons of each layer lie, for whoever sends packets; of the inputs nowhere."""
        cores = np.arange(self.n_cores + 1)
        bounds = [np.searchsorted(self.placement.homes[i], cores) if i else np.zeros(len(cores), int) for i in range(len(layers))]
        rows = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in bounds)
        yield f"#define MOST_NEURONS {max(layers)}"
        yield "#define FIRST_SOCKET 100"
        yield "/* First own neuron of each core, layer by layer. */"
        yield f"static const uint32_t first_own[N_MATRICES + 1][N_CORES + 1] __attribute__((unused)) = {{{rows}}};"

    def memory(self, core):
        """memory_N.c: every array of a core in its section, and the table of its segments."""
        lines = [
            f"/* What lies in the memory of core {core}, section by section as the ledger of neurosim has it, and where its neurons and slots are. */",
            '#include "core.h"',
            "#ifdef __APPLE__ /* sections have other names there, and nobody asks for them */",
            "#define IN(section_, align) __attribute__((aligned(align)))",
            "#else",
            '#define IN(section_, align) __attribute__((section("." #section_), aligned(align)))',
            "#endif",
            *(_definition(array) for array in self.arrays[core]),
            f"struct state random_state IN(random_state, 8) = {{0x{mix64(self.experiment.scenario.seed + _GOLDEN):016x}u, {self.trainer.first_step}}};",
            f"index_t top_free[N_MATRICES] = {{{', '.join(str(part.free[0] if part.free else 0xFFFF) for part in self.parts[core])}}};",
            f"index_t n_free[N_MATRICES] = {{{', '.join(str(len(part.free)) for part in self.parts[core])}}};",
            "const matrix_t matrices[N_MATRICES] = {",
            *(self._row(core, part) for part in self.parts[core]),
            "};",
        ]
        return "\n".join(lines) + "\n"

    def _row(self, core, part):
        plan, m = self.store.plan, part.matrix
        matrix, grid, storage = plan.matrices[m], plan.matrices[m].grid, self.storage
        names = {array.name for array in self.arrays[core]}
        last = len(plan.matrices) - 1
        is_whole = part.segment is not None  # else only own neurons have a place, and the array begins with the first of them
        x = "input_buffer" if m == 0 else _at(f"values_{m}", 0 if is_whole else -part.own_pre[0])
        back = _at(f"errors_{m}", 0 if is_whole else -part.own_pre[0])
        following = self.parts[core][m + 1] if m < last else None
        offset = following.own_pre[0] if following is not None and following.segment is not None else 0
        fields = {
            "n_slots": part.n_slots, "n_spare": part.n_spare, "n_pre": matrix.n_pre, "n_own": part.post_stop - part.post_start,
            "own_pre": part.own_pre[0], "n_own_pre": part.own_pre[1] - part.own_pre[0], "first_slot": part.first_slot, "scope": part.segment or 0,
            "first_post": part.post_start, "n_post": matrix.n_post, "sign_key": f"0x{int(self.store.matrices.sign_key[m]):016x}u",
            "sign_step": int(self.store.matrices.sign_step[m]),
            "width": storage.width, "most": storage.most, "step": _real(grid.step), "per_step": _real(1 / grid.step if grid.step else 0),
        }  # fmt: skip
        if m and x.split(" ")[0] in names:
            fields |= {"x": x, "back": back}
        if part.segment is not None:
            fields["x"] = x
            fields |= {"pre": f"pre_{m}", "post": f"post_{m}", "weight": f"weight_{m}"}
            fields["signs"] = f"(word_t *)signs_{m}" if f"signs_{m}" in names else "0"
            fields |= {kind: f"{kind}_{m}" for kind in ("master", "gradient", "momentum", "row") if f"{kind}_{m}" in names}
            fields["sums"] = _at("logits", part.post_start) if m == last else _at(f"values_{m + 1}", offset)
            fields["error"] = "output_error" if m == last else _at(f"errors_{m + 1}", offset)
            born = np.abs(np.float32(self.trainer.plan.rule.theta_born))
            fields["born"] = min(round(float(born) / grid.step), storage.most) if grid.step else 0
        return "    {" + ", ".join(f".{name} = {value}" for name, value in fields.items()) + "},"

    def linker_script(self):
        """chip.ld: the memory of a core of the profile, and the sections of the ledger."""
        sections = list(dict.fromkeys([array.section for arrays in self.arrays for array in arrays] + ["random_state"]))
        local = self.placement.profile.storage.local_bytes
        return self._fill(
            "chip.ld.in",
            TITLE=self.placement.profile.title,
            ORIGIN="0x00000000",
            LENGTH=str(local.value if local else 4 * 2**20),
            STACK=str(STACK),
            SECTIONS="\n".join(f"    {name} : {{ *(.{name}) }} > local" for name in sections),
        )

    def readme(self):
        """README.md of the folder."""
        scenario = self.experiment.scenario
        start = "cores" if self.n_cores > 1 else "host_0"
        return (
            f"# {scenario.name} in C\n\nThe training program that neurosim charges, for {self.n_cores} core(s) of {self.placement.profile.title}.\n\n"
            f"    make host && ./{start}     # this computer; writes states_0.bin\n"
            "    make board && make maps   # an image for each core (arm-none-eabi-gcc), and its bytes by section\n"
            "    make emulate              # core 0 under qemu-system-arm\n\n"
            "core.c has the phases, loops.c their loops, exact.h what makes the bits those of the simulator, memory_N.c what lies in core N. bench.c\n"
            "and link_*.c stand for the host of the chip: they stream samples from data/ and write what is in the slots. What is equal to the simulator and\n"
            "what is not, and how to take it to a board: docs/silicon.md of neurosim.\n"
        )

    def _fill(self, name, **values):
        text = (_HERE / name).read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        return text

    def _test_samples(self):
        """What is evaluated after each epoch: with a validation set that one, as in the simulator."""
        data = self.trainer.dataset
        return (data.x_validation, data.y_validation) if data.n_validation else (data.x_test, data.y_test)

    def _write_data(self, folder):
        trainer, data = self.trainer, self.trainer.dataset
        for name, x, y in (("train", data.x_train, data.y_train), ("test", *self._test_samples())):
            np.ascontiguousarray(x).tofile(folder / f"{name}.bin")
            y.astype("<u2").tofile(folder / f"{name}_labels.bin")
        n = len(self.store.plan.matrices)
        with open(folder / "order.bin", "wb") as order, open(folder / "epochs.bin", "wb") as epochs:
            for epoch in range(trainer.plan.n_epochs):
                trainer.order_of(epoch).astype("<u4").tofile(order)
                rule = trainer.rule_of(epoch)
                rows = rule.by_matrix[:, :3] if len(rule.by_matrix) else np.tile([rule.eta, rule.l1, rule.noise_std], (n, 1))
                rows.astype("<f4").tofile(epochs)


def _real(value):
    """A float32 as C writes it, exactly."""
    return f"{float(np.float32(value)).hex()}f"


def _at(name, offset):
    return name if offset == 0 else f"{name} {'+' if offset > 0 else '-'} {abs(offset)}"


def _definition(array: Array):
    values, size = array.values, array.values.dtype.itemsize
    head = f"{array.type} {array.name}[{values.size}] IN({array.section}, {size})"
    if not values.any():
        return f"{head};"
    texts = [f"{float(v).hex()}f" for v in values] if size == 4 else [str(v) for v in values.tolist()]
    lines = [", ".join(texts[i : i + 16]) for i in range(0, len(texts), 16)]
    return head + " = {\n    " + ",\n    ".join(lines) + "};"
