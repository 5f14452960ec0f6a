"""Counts the cycles of a turn of every loop of the training program, for the cores that profiles name.

    python -m program.derive            # prints what changed against hardware_profiles/programs
    python -m program.derive --write    # writes the tables anew

Each function of `loops.c` and `spiking.c` is one loop. It is compiled for the core with each of three settings of the compiler, its
loop is found in the assembly (from a label to the branch back to it), and the
instructions of that loop are counted: by the pipeline model of `llvm-mca` for a Cortex-M4F, by the issue cycles and interlocks of
ARM's reference manual for an ARM9E-S. Every instruction of the loop is charged, also those that a condition skips; memory is the core's
own, without waits. A loop that calls the compiler's library is left out: nothing says what the call takes.
"""

import argparse
import math
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
TABLES = HERE.parent / "hardware_profiles" / "programs"
SETTINGS = ("-O2", "-O2 -funroll-loops", "-Os")
ITERATIONS = 1000
#: Loops of all networks, and what spiking ones add.
SOURCES = ("loops.c", "spiking.c")
COMPILER, COUNTER = "arm-none-eabi-gcc", "llvm-mca"


@dataclass(frozen=True)
class Core:
    """A core and how loops are compiled and counted for it."""

    name: str
    title: str
    flags: str
    method: str
    note: str
    count: object


def missing_tools():
    """Programs that are not installed: list of str."""
    return [tool for tool in (COMPILER, COUNTER) if shutil.which(tool) is None]


def find_loops(assembly):
    """The loop of each function: of the stretches from a label to a branch back to it, the one with most accesses to memory.

    Parameters
    ----------
    assembly : str
        Output of the compiler.

    Returns
    -------
    dict of str to list of str
        Name to the instructions and labels of the loop body, in order. Loops that call a function are left out.
    """
    found = {}
    for name, text in re.findall(r"^(\w+):\n(.*?)^\t\.size\t\1,", assembly, re.DOTALL | re.MULTILINE):
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if not re.match(r"@|\.(?!L)|$", line)]
        labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
        bodies = []
        for i, line in enumerate(lines):
            target = re.match(r"(?:b\w*(?:\.\w)?|cbn?z\s+\w+,)\s+(\.L\w+)$", line)
            if target and labels.get(target[1], len(lines)) < i:
                bodies.append(_without_exit(lines[labels[target[1]] : i + 1]))
        if not any(bodies):
            raise SystemExit(f"program.derive: no loop found in {name}")
        body = max(bodies, key=lambda body: (_count_accesses(body), len(body)))
        if not any(re.match(r"blx?\s", line) for line in body):
            found[name] = body
    return found


def count_turns(body, one_turn):
    """Turns of an unrolled loop body, beside the body of one turn: the power of two next to what its accesses to memory say.

    The compiler unrolls by powers of two; a load may be shared with the turn before, and parts of a turn lie beside the loop.
    """
    return 2 ** round(math.log2(_count_accesses(body) / _count_accesses(one_turn)))


def _count_accesses(body):
    """Accesses to memory, but to constants and to what is kept on the stack for want of registers."""
    return sum(bool(re.match(r"v?(ld|st)(?!.*(\[sp|\.L))", line)) for line in body)


def _without_exit(body):
    """A stretch without the way out of the function, where a branch around that lies within it; empty if code of another place follows."""
    ends = [i for i, line in enumerate(body) if re.match(r"bx\s+lr|(pop|ldm\w*)\b.*\bpc|ldr\s+pc", line)]
    for end in reversed(ends):
        start = end
        while start > 0 and not re.match(r"b\w*\s+\.L|cbn?z", body[start - 1]):
            start -= 1
        if start == 0 or body[start - 1].split()[-1] + ":" != body[end + 1]:
            return []
        body = body[:start] + body[end + 1 :]
    return body


def count_by_pipeline(loops):
    """Cycles of each loop body in the steady state, by the pipeline model of the Cortex-M4: dict of str to float."""
    source = [".thumb", ".syntax unified"]
    for name, body in loops.items():
        source += [f"@ LLVM-MCA-BEGIN {name}", *body, "@ LLVM-MCA-END"]
    command = [COUNTER, "-mtriple=thumbv7em-none-eabihf", "-mcpu=cortex-m4", f"-iterations={ITERATIONS}"]
    text = run(command, "\n".join(source) + "\n")
    regions = re.findall(r"Code Region - (\w+)\n\nIterations:\s+\d+\nInstructions:\s+\d+\nTotal Cycles:\s+(\d+)", text)
    return {name: int(cycles) / ITERATIONS for name, cycles in regions}


#: ARM9E-S: (issue cycles, cycles until the result can be used) by the start of the mnemonic, the first that fits.
#: ARM DDI 0222 table 8.2 for loads, stores, data operations and branches; multiplications as in GCC's description of the same pipeline.
_ARM9 = (
    (r"ldr(b|h|sb|sh)", 1, 3),
    (r"ldrd", 2, 3),
    (r"ldr", 1, 2),
    (r"strd", 2, 2),
    (r"str", 1, 1),
    (r"(smul|smlal?|umul|umla)l", 3, 4),
    (r"(smul|smla)[wbt]", 1, 2),
    (r"(mul|mla)", 2, 3),
    (r"b(eq|ne|gt|ge|lt|le|hi|ls|cs|cc|mi|pl|hs|lo|al)?$", 1, 1),
)


def count_by_manual(loops):
    """Cycles of each loop body by issue cycles and interlocks of an ARM9E-S, the closing branch taken: dict of str to float."""
    return {name: _arm9_cycles(body) for name, body in loops.items()}


def _arm9_cycles(body):
    ready, clock, start = {}, 0, 0
    n_rounds = 20
    for round_ in range(n_rounds):
        if round_ == n_rounds // 2:
            start = clock
        for position, line in enumerate(body):
            if line.endswith(":"):
                continue
            mnemonic, _, operands = line.partition("\t")
            registers = re.findall(r"\b(r\d+|sp|lr|ip|fp|sl)\b", operands)
            issue, latency = next(((i, n) for pattern, i, n in _ARM9 if re.match(pattern, mnemonic)), (1, 1))
            if re.match(r"(ldm|stm|push|pop)", mnemonic):
                issue = max(2, len(registers) - 1)
                latency = issue + 1
            if re.match(r"(ld|st)r", mnemonic) and re.search(r"\[.*\b(lsl|lsr|asr)\b.*\]", operands):
                issue, latency = issue + 1, latency + 1  # a scaled offset
            elif not re.match(r"(ld|st|b)", mnemonic) and re.search(r"\b(lsl|lsr|asr|ror)\s+r\d|\b(lsl|lsr|asr|ror)\s+(ip|lr|fp|sl)", operands):
                issue, latency = 2, 2  # a shift by a register
            elif re.match(r"(lsl|lsr|asr|ror)", mnemonic) and len(registers) > 2:
                issue, latency = 2, 2
            is_store = mnemonic.startswith(("str", "cmp", "tst", "cmn", "teq"))
            written = [] if is_store or mnemonic.startswith("b") else registers[: 2 if re.match(r"(ldrd|[su]m\w+l)", mnemonic) else 1]
            read = registers if is_store or mnemonic in ("mla", "smlal") else registers[len(written) :]
            clock = max([clock, *(ready.get(register, 0) for register in read)])
            for register in written:
                ready[register] = clock + latency
            clock += 3 if mnemonic.startswith("b") and position == len(body) - 1 else issue
    return (clock - start) / (n_rounds - n_rounds // 2)


CORES = (
    Core(
        "cortex_m4f",
        "ARM Cortex-M4F: SpiNNaker 2, its prototype Santos",
        "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -mfp16-format=ieee -ffast-math",
        "pipeline model of llvm-mca for the Cortex-M4, steady state",
        "The model charges one cycle for a taken branch; memory is the core's own SRAM without waits.",
        count_by_pipeline,
    ),
    Core(
        "arm968",
        "ARM968E-S: SpiNNaker 1",
        "-mcpu=arm968e-s -marm -DFIXED",
        "issue cycles and interlocks of an ARM9E-S (ARM DDI 0222, table 8.2; multiplications as in GCC's description of the pipeline)",
        "No floating-point unit: s16.15 numbers. Adam and cells that divide are left out: they call the library. Memory is DTCM without waits.",
        count_by_manual,
    ),
)


def derive(core):
    """Cycles of a turn of every loop, one for each of `SETTINGS`: dict of str to list of float; only loops that all settings have."""
    columns, one_turn = [], {}
    for setting in SETTINGS:
        flags = [*core.flags.split(), *setting.split(), "-fno-tree-vectorize", "-fno-tree-loop-distribute-patterns", "-fno-ipa-icf"]
        loops = {}
        for source in SOURCES:
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "loops.s"
                run([COMPILER, *flags, "-S", "-o", str(out), str(HERE / source)])
                loops |= find_loops(out.read_text(encoding="utf-8"))
        one_turn = one_turn or loops  # the first setting unrolls nothing
        cycles = core.count(loops)
        turns = {name: count_turns(body, one_turn[name]) if "unroll" in setting else 1 for name, body in loops.items() if name in one_turn}
        columns.append({name: round(cycles[name] / n, 2) for name, n in turns.items()})
    return {name: [column[name] for column in columns] for name in columns[0] if all(name in column for column in columns)}


def write_table(core, loops):
    """Text of a core's table."""
    compiler = run([COMPILER, "-dumpversion"]).strip()
    counted = ""
    if core.count is count_by_pipeline:
        counted = f" ({COUNTER} {re.search(r'LLVM version (.+)', run([COUNTER, '--version']))[1].split()[-1]})"
    lines = [
        "# Written by `python -m program.derive --write` from program/loops.c and spiking.c; a test holds it to what the tools say.",
        "schema_version: 1",
        f"name: {core.name}",
        f'title: "{core.title}"',
        f'compiler: "{COMPILER} {compiler} {core.flags}"',
        f'method: "{core.method}{counted}"',
        f'note: "{core.note}"',
        f"settings: {list(SETTINGS)}".replace("'", '"'),
        "# Cycles of one turn with each of these settings.",
        "loops:",
        *(f"  {name}: [{', '.join(f'{value:.2f}' for value in values)}]" for name, values in loops.items()),
    ]
    return "\n".join(lines) + "\n"


def run(command, text=None):
    """Output of a program of the tools: str."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"program.derive: {' '.join(command[:3])} ... failed:\n{done.stderr[:2000]}")
    return done.stdout


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m program.derive", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the tables anew")
    options = parser.parse_args(arguments)
    if missing_tools():
        raise SystemExit(f"program.derive: {' and '.join(missing_tools())} not found; Debian: gcc-arm-none-eabi, llvm")
    is_same = True
    for core in CORES:
        path, text = TABLES / f"{core.name}.yaml", write_table(core, derive(core))
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            is_same = False
            print(f"{path}: {'written' if options.write else 'differs'}")
            if options.write:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    return 0 if is_same or options.write else 1


if __name__ == "__main__":
    sys.exit(main())
