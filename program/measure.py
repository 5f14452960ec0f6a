"""Counts what the emitted program does on an emulated Cortex-M4F: instructions and cycles of every loop and phase, beside the derived tables.

    python -m program.measure [--samples 50]

`digits_santos`, one sample at a time, is written as C (`neurosim export --format c`), linked for a core and run under Unicorn for some samples. Instructions
are counted by function; a turn of a loop is one of the n that it is called for. Cycles are those of the pipeline model
(`program.derive`) for the loops as they were compiled there, without fast-math and with the simulator's draws.
"""

import argparse
import re
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from neurosim.hardware.program import load_program
from neurosim.silicon import export_program
from program import derive

SETTINGS = ("training.batch_size=1", "training.learning_rate=0.05", "training.epochs=1")
#: Functions of the program by the phase that calls them; what is not listed is the phase's own frame.
PHASES = ("forward", "output", "backward", "update", "rewire")


def build(folder, n_samples, overrides=()):
    """Write and link the program for a trial of some samples; returns the path of the image."""
    export_program("digits_santos", folder, overrides=[*SETTINGS, *overrides])
    subprocess.run(["make", "board", f"MORE=-DLIMIT={n_samples}"], cwd=folder, check=True, capture_output=True)
    return Path(folder) / "board_0.elf"


def read_functions(image):
    """Functions of the image: list of (start, end, name), by `nm`."""
    text = subprocess.run(["arm-none-eabi-nm", "-S", "--defined-only", str(image)], check=True, capture_output=True, text=True).stdout
    found = [(int(a, 16) & ~1, int(n, 16), name) for a, n, kind, name in re.findall(r"^(\w+) (\w+) ([tTwW]) (\S+)$", text, re.MULTILINE)]
    return sorted((start, start + size, name) for start, size, name in found)


def emulate(image, folder):
    """Run an image under Unicorn.

    Returns
    -------
    instructions, turns : Counter
        By function: instructions executed, and the sum of its first argument over its calls.
    by_phase : Counter
        Instructions by the phase that was at work, its loops included.
    """
    from unicorn import UC_ARCH_ARM, UC_HOOK_BLOCK, UC_HOOK_INTR, UC_MODE_MCLASS, UC_MODE_THUMB, Uc
    from unicorn.arm_const import UC_ARM_REG_PC, UC_ARM_REG_R0, UC_ARM_REG_R1, UC_ARM_REG_SP, UC_CPU_ARM_CORTEX_M4

    flat = Path(folder) / "board_0.bin"
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(image), str(flat)], check=True, capture_output=True)
    text = flat.read_bytes()
    machine = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M4)
    machine.mem_map(0, 0x20000)
    machine.mem_map(0xE000E000, 0x1000)
    machine.mem_write(0, text)
    stack, start = struct.unpack("<II", text[:8])
    machine.reg_write(UC_ARM_REG_SP, stack)
    functions = read_functions(image)
    at = {}
    for first, last, name in functions:
        at |= {address: (name, address == first) for address in range(first, last, 2)}
    instructions, turns, by_phase, sizes = Counter(), Counter(), Counter(), {}
    files, phase = {}, [None]

    def count(address, size):
        """Thumb instructions of a block: a halfword from 0xE800 on begins one of four bytes."""
        code, n, k = machine.mem_read(address, size), 0, 0
        while k < size:
            k += 4 if int.from_bytes(code[k : k + 2], "little") >= 0xE800 else 2
            n += 1
        return n

    def on_block(_, address, size, __):
        name, is_first = at.get(address, ("", False))
        if (address, size) not in sizes:
            sizes[address, size] = count(address, size)
        if is_first:
            turns[name] += machine.reg_read(UC_ARM_REG_R0)
            phase[0] = name if name in PHASES or name in ("train_sample", "end_batch", "evaluate", "bench") else phase[0]
        elif name in ("train_sample", "end_batch", "bench"):
            phase[0] = name
        instructions[name] += sizes[address, size]
        by_phase[phase[0]] += sizes[address, size]

    def on_call(_, number, __):
        call, arguments = machine.reg_read(UC_ARM_REG_R0), machine.reg_read(UC_ARM_REG_R1)
        words = struct.unpack("<4I", machine.mem_read(arguments, 16)) if call in (1, 2, 5, 6, 10) else ()
        result = 0
        if call == 1:
            name = bytes(machine.mem_read(words[0], words[2])).decode()
            result = 1
            while result in files:
                result += 1
            files[result] = open(Path(folder) / name, ("rb", "rb", "", "", "", "wb")[words[1]])
        elif call == 2:
            files.pop(words[0]).close()
        elif call == 5:
            files[words[0]].write(machine.mem_read(words[1], words[2]))
        elif call == 6:
            machine.mem_write(words[1], files[words[0]].read(words[2]))
        elif call == 10:
            files[words[0]].seek(words[1])
        elif call == 24:
            machine.emu_stop()
        machine.reg_write(UC_ARM_REG_R0, result)
        machine.reg_write(UC_ARM_REG_PC, (machine.reg_read(UC_ARM_REG_PC) + 2) | 1)

    machine.hook_add(UC_HOOK_BLOCK, on_block)
    machine.hook_add(UC_HOOK_INTR, on_call)
    machine.emu_start(start | 1, 0x1FFFE)
    return instructions, turns, by_phase


#: Loops of the phases of this network, and the loops of the derived table that are charged for one turn of them.
_CHARGED = {
    "forward": {"start_sum": ("start_sum",), "forward_f32": ("forward_f32",), "relu_forward": ("relu_forward",)},
    "output": {"softmax_exponential": ("softmax_exponential",), "softmax_error": ("softmax_error",)},
    "backward": {"backward_f32": ("backward_f32",), "relu_backward": ("relu_backward",)},
    "update": {"gradient_at_once": ("gradient_at_once",), "update_sgd_f32": ("update_sgd_f32", "noise_software")},
    "rewire": {"proposal_slot": ("proposal_slot",), "arrival_f32": ("arrival_f32",)},
}


def count_cycles():
    """Cycles of a turn of every loop as the emitted program has it, by the pipeline model: dict of str to float."""
    core = derive.CORES[0]
    flags = ["-DEXACT", "-DIS_SORTED=0", "-ffp-contract=off", "-fno-math-errno", "-O2", "-fno-tree-vectorize", "-fno-tree-loop-distribute-patterns"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "loops.s"
        machine = [flag for flag in core.flags.split() if flag != "-ffast-math"]
        derive.run([derive.COMPILER, *machine, *flags, "-fno-ipa-icf", "-S", "-o", str(out), str(derive.HERE / "loops.c")])
        return derive.count_by_pipeline(derive.find_loops(out.read_text(encoding="utf-8")))


def measure(n_samples):
    """Rows of the table.

    Parameters
    ----------
    n_samples : int

    Returns
    -------
    loops : list of dict
        ``loop``, ``phase``, ``turns`` a sample, ``instructions`` a turn as executed, ``cycles`` a turn of the emitted loop, ``derived``
        cycles a turn of the table that prices.
    phases : list of dict
        ``phase``, the same of all its loops, per slot and sample; ``all_instructions``, with what lies around the loops.
    """
    table, cycles = load_program("cortex_m4f").loops, count_cycles()
    with tempfile.TemporaryDirectory() as folder:
        instructions, turns, by_phase = emulate(build(folder, n_samples), folder)
    n_slots = turns["forward_f32"] / n_samples
    loops, phases = [], []
    for phase, charged in _CHARGED.items():
        here = [
            {
                "loop": loop,
                "phase": phase,
                "turns": turns[loop] / n_samples,
                "instructions": instructions[loop] / turns[loop],
                "cycles": cycles[loop],
                "derived": sum(table[name][0] for name in names),
            }
            for loop, names in charged.items()
        ]
        loops += here
        totals = {key: sum(row[key] * row["turns"] for row in here) / n_slots for key in ("instructions", "cycles", "derived")}
        phases.append({"phase": phase, **totals, "all_instructions": by_phase[phase] / n_samples / n_slots})
    dense = {"loop": "dense", "phase": "-", "turns": 0, "instructions": float("nan"), "cycles": cycles["dense"], "derived": table["dense"][0]}
    return [dense, *loops], phases


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m program.measure", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=50)
    options = parser.parse_args(arguments)
    if derive.missing_tools():
        raise SystemExit(f"program.measure: {' and '.join(derive.missing_tools())} not found; Debian: gcc-arm-none-eabi, llvm")
    loops, phases = measure(options.samples)
    print("| loop | turns a sample | instructions a turn | cycles a turn, emitted | cycles a turn, derived |\n|---|---|---|---|---|")
    for row in loops:
        print(f"| `{row['loop']}` | {row['turns']:.0f} | {row['instructions']:.1f} | {row['cycles']:.1f} | {row['derived']:.1f} |")
    print("\n| phase, per slot and sample | instructions, all | of loops | cycles of loops, emitted | derived |\n|---|---|---|---|---|")
    for row in phases:
        print(f"| {row['phase']} | {row['all_instructions']:.1f} | {row['instructions']:.1f} | {row['cycles']:.1f} | {row['derived']:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
