"""Files damaged at random, pipes and devices in their place, bombs: each is used or refused in one line, soon and in little memory.

By hand, thousands of files: NEUROSIM_MUTATIONS=3000 pytest tests/system/test_mutated_files.py
"""

import io
import json
import os
import random
import re
import resource
import threading
import time
import zipfile

import numpy as np
import pytest
from test_malformed import PROFILE, SCENARIO, SWEEP

from neurosim.errors import InputError
from neurosim.results.sweep_files import write_sweep
from neurosim.sweeps import expand, load_sweep
from neurosim.sweeps.collect import collect, point_folder
from neurosim.training.checkpoint import load_checkpoint

N = int(os.environ.get("NEUROSIM_MUTATIONS", 300))
#: Seconds for one file. Those that are drawn take 2 s; the machine may be busy.
SECONDS = 5.0
#: Drawing a page takes a second: fewer of these.
N_DRAWN = max(N // 20, 10)
#: Growth of this process over all files of a test, B.
MEMORY = 600e6

ODD = [b"-1", b"0", b"1", b"1e999", b"-1e-999", b"NaN", b"Infinity", b".nan", b"1e308", b"9" * 20, b"9" * 5000, b"9007199254740993", b"0.5", b"true",
       b"null", b'""', b'"x"', b"[]", b"{}", b"[[]]", b"[" * 3000, b"~", b"!!python/object:os.system x", b"&a", b"*a", b"'", b'"', b"\\", b"\x00", b"\xff", b"\r\n",
       b"\x1b[31m", b"\xe2\x80\xa8", b"\t", b"---\n", b": ", b"#"]  # fmt: skip


def mutate(content, rng):
    """`content` with one to three changes: bits, pieces, lines, and values that are odd where they stand."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at, kind = rng.randrange(max(len(content), 1)), rng.randrange(8)
        if kind == 0:
            content = content[:at] + bytes([(content[at] if content else 0) ^ 1 << rng.randrange(8)]) + content[at + 1 :]
        elif kind == 1:
            content = content[:at] + content[at + rng.choice((1, 1, 5, 50, 5000)) :]
        elif kind == 2:
            content = content[:at]
        elif kind == 3:
            content = content[:at] + rng.choice(ODD) + content[at:]
        elif kind == 4:
            length = rng.choice((1, 20, 500))
            content = content[:at] + content[at : at + length] * rng.choice((2, 40)) + content[at + length :]
        elif kind == 5 and (lines := content.split(b"\n")):
            del lines[rng.randrange(len(lines))]
            content = b"\n".join(lines)
        else:  # a value: a number, or a word behind a colon
            values = list(re.finditer(rb"-?\d[\d.e+-]*|(?<=: )[^,}\]\n]+", content))
            if values:
                value = rng.choice(values)
                content = content[: value.start()] + rng.choice(ODD) + content[value.end() :]
    return content


def mutate_json(content, rng):
    """The same, or one place of the tree replaced, removed, or exchanged with a part of it, so that it is still JSON."""
    if rng.random() < 0.4:
        return mutate(content, rng)
    data = json.loads(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = []

        def walk(node):
            items = node.items() if isinstance(node, dict) else enumerate(node)
            for key, value in items:
                places.append((node, key))
                if isinstance(value, (dict, list)):
                    walk(value)

        walk(data)
        node, key = rng.choice(places)
        other, other_key = rng.choice(places)
        odd = [None, True, -1, 0, 10**15, 1e300, -0.5, "", "x", "\x1b[31m", [], {}, [None], {"x": 1}, other[other_key]]
        if rng.random() < 0.3:
            del node[key]
            if not places or not data:
                break
        else:
            node[key] = json.loads(json.dumps(rng.choice(odd)))
    return json.dumps(data).encode()


@pytest.fixture
def bounded():
    """Call ``bounded(work, n)``: `work` of each number takes seconds at most, and the memory of the process hardly grows."""

    def check(work, n):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(n):
            began = time.process_time()
            work(number)
            assert time.process_time() - began < SECONDS, number
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY

    return check


def assert_said(result, codes=(0, 2), says_all=False):
    """A command that ended as a user may expect: with a code of its own and at most one printable line of complaint.

    With `says_all` there may be several, one for each thing that is wrong.
    """
    assert result.code in codes, result
    lines = result.err.splitlines()
    assert 0 < len(lines) < 60 if says_all and result.code in (1, 2) else len(lines) == (result.code in (1, 2)), result.err
    assert "Traceback" not in result.err and all(map(str.isprintable, lines)) and len(result.err) < 5000 * max(1, len(lines)), result.err


def test_scenarios(main_cli, bounded, tmp_path):
    codes = set()

    def work(number):
        (tmp_path / "small.yaml").write_bytes(mutate(SCENARIO.encode(), random.Random(number)))
        result = main_cli("check", "small.yaml", *(["--json"] if number % 2 else []))
        assert_said(result, (0, 2, 3))
        codes.add(result.code)

    bounded(work, N)
    assert codes >= {0, 2}


def test_profiles(main_cli, bounded, tmp_path):
    codes = set()

    def work(number):
        (tmp_path / "chip.yaml").write_bytes(mutate(PROFILE.encode(), random.Random(number)))
        for arguments in (
            ["profiles", "check", "chip.yaml"],
            ["profiles", "show", "chip.yaml"],
            ["check", "digits_santos", "--set", "hardware.profile=chip.yaml"],
        ):
            result = main_cli(*arguments)
            assert_said(result, (0, 2, 3), says_all=True)
            codes.add(result.code)

    bounded(work, N)
    assert codes >= {0, 2}


def test_sweeps(bounded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SCENARIO.replace("connectivity: [0.2, 0.5]", "connectivity: 0.2"), encoding="utf-8")
    n_refused = 0

    def work(number):
        nonlocal n_refused
        (tmp_path / "trial.yaml").write_bytes(mutate(SWEEP.encode(), random.Random(number)))
        try:
            expand(*load_sweep("trial.yaml"), overrides=(), yes=False)
        except InputError as error:
            assert str(error).isprintable()
            n_refused += 1

    bounded(work, N)
    assert N // 4 < n_refused < N


def test_checkpoints(bounded, tiny_run, tmp_path):
    good, path = (tiny_run.folder / "checkpoint.npz").read_bytes(), tmp_path / "checkpoint.npz"

    def work(number):
        path.write_bytes(mutate(good, random.Random(number)))
        with pytest.raises(InputError) as caught:
            load_checkpoint(path, "nobody")
        assert str(caught.value).isprintable()

    bounded(work, N)


def test_results(main_cli, bounded, tiny_run, tmp_path):
    good, codes = (tiny_run.folder / "result.json").read_bytes(), set()
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "result.json").write_bytes(good)

    def work(number):
        (tmp_path / "result.json").write_bytes(mutate_json(good, random.Random(number)))
        commands = [
            ["compare", "result.json", "good"],
            ["compare", "--json", "result.json", "good"],
            ["export", "result.json", "--format", "action-counts"],
        ]
        for arguments in [*commands, *([["report", "result.json"]] if number < N_DRAWN else [])]:
            result = main_cli(*arguments)
            assert_said(result)
            codes.add(result.code)

    bounded(work, N)
    assert codes == {0, 2}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A sweep of two points that have ended: one with a result, one without."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trial.yaml").write_text(
        "name: trial\nbase: digits_santos\nset: {training.epochs: 2}\nseeds: [0, 1]\naxes:\n  - grid: {training.batch_size: [10]}\n", encoding="utf-8"
    )
    return expand(*load_sweep("trial.yaml"), overrides=(), yes=False)


def test_records_of_sweeps(main_cli, bounded, plan, tiny_run, tmp_path):
    for point in plan.points:
        point_folder(tmp_path, point).mkdir(parents=True)
        (point_folder(tmp_path, point) / "result.json").write_bytes((tiny_run.folder / "result.json").read_bytes())
    write_sweep(collect(plan, tmp_path), tmp_path)
    good = (tmp_path / "sweep.json").read_bytes()

    def work(number):
        (tmp_path / "sweep.json").write_bytes(mutate_json(good, random.Random(number)))
        assert_said(main_cli("report", "."))

    bounded(work, N_DRAWN)


def test_outcomes_of_points(bounded, plan, tiny_run, tmp_path):
    done, unfit = (point_folder(tmp_path, point) for point in plan.points)
    for folder in (done, unfit):
        folder.mkdir(parents=True)
    result = (tiny_run.folder / "result.json").read_bytes()
    limit = {"name": "local_memory", "where": "core 0", "core": 0, "used": 70000, "limit": 65536, "unit": "B", "source": "a table"}
    outcome = json.dumps({"status": "unfit", "reason": "does not fit", "limits": [limit], "metrics": {"n_active": 500, "connectivity": 0.5}}).encode()
    seen = set()

    def work(number):
        rng = random.Random(number)
        (done / "result.json").write_bytes(mutate_json(result, rng) if number % 2 else result)
        (unfit / "outcome.json").write_bytes(outcome if number % 2 else mutate_json(outcome, rng))
        try:
            record = collect(plan, tmp_path)
        except InputError as error:
            assert str(error).isprintable() and str(tmp_path) in str(error)
            seen.add("refused")
        else:
            write_sweep(record, tmp_path)
            seen.update(point.status for point in record.points)

    bounded(work, N)
    assert seen >= {"refused", "done", "unfit", "missing"}


# --- what is no file ---


def make_pipe(path):
    os.mkfifo(path)


def make_device(path):
    path.symlink_to("/dev/zero")


def make_folder(path):
    path.mkdir()


COMMANDS = {
    "small.yaml": [["check", "small.yaml"], ["run", "small.yaml"], ["check", "digits_santos", "--set", "hardware.profile=small.yaml"],
                   ["profiles", "check", "small.yaml"], ["sweep", "small.yaml"]],
    "run/result.json": [["compare", "run", "run"], ["report", "run"], ["report", "run/result.json"], ["export", "run", "--format", "action-counts"]],
    "run/sweep.json": [["report", "run/sweep.json"]],
    "run/checkpoint.npz": [["run", "digits_santos", "--out", "run", "--resume"]],
}  # fmt: skip


@pytest.mark.parametrize("make", [make_pipe, make_device, make_folder])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_file_in_place_of_one(name, make, main_cli, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    make(path)
    for arguments in COMMANDS[name]:
        results = []
        thread = threading.Thread(target=lambda arguments=arguments, results=results: results.append(main_cli(*arguments)), daemon=True)
        thread.start()
        thread.join(60)  # takes 0.1 s
        assert results, f"{arguments} hangs"
        assert_said(results[0], (2,))
        assert name.rpartition("/")[2].partition(".")[0] in results[0].err


@pytest.mark.parametrize("make", [make_pipe, make_device])
def test_no_file_in_place_of_an_outcome(make, plan, tmp_path):
    folder = point_folder(tmp_path, plan.points[0])
    folder.mkdir(parents=True)
    make(folder / "outcome.json")
    assert collect(plan, tmp_path).count("missing") == 2


def test_a_pipe_or_device_is_not_written_over(main_cli, tiny_run, tmp_path):
    make_pipe(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        result = main_cli("export", tiny_run.folder, "--format", "action-counts", "--out", name)
        assert_said(result, (2,))
        assert "a pipe or a device" in result.err
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "null").is_symlink()


# --- bombs ---


def bomb(n_bytes):
    """An archive of `n_bytes` zeros that is a thousandth as long."""
    buffer, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (n_bytes,)})
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("slots.weight.npy", "w") as member:
        member.write(header.getvalue())
        for _ in range(n_bytes // 2**20):
            member.write(bytes(2**20))
    return buffer.getvalue()


def lie(n_elements):
    """An archive with an array that says to be larger than it is."""
    buffer, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (n_elements,)})
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("meta.npy", header.getvalue() + bytes(64))
    return buffer.getvalue()


@pytest.mark.parametrize("make", [lambda: bomb(2**30), lambda: lie(10**8), lambda: lie(10**15)], ids=["bomb", "lie", "absurd"])
def test_a_checkpoint_that_would_grow(make, bounded, tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(make())

    def work(_):
        with pytest.raises(InputError, match="not a readable checkpoint"):
            load_checkpoint(path, "nobody")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bounded(work, 1)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 100e6


def test_a_record_of_a_terabyte(main_cli, bounded, tmp_path):
    with open(tmp_path / "result.json", "wb") as file:
        file.truncate(10**12)
    with open(tmp_path / "sweep.json", "wb") as file:
        file.truncate(10**12)

    def work(_):
        for name in ("result.json", "sweep.json"):
            result = main_cli("report", name)
            assert_said(result, (2,))
            assert f"{name}: not a readable" in result.err and "more than" in result.err

    bounded(work, 1)
