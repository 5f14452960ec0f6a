"""What a system refuses, what a terminal cannot show, what a name may contain: one line with the true cause, never a traceback."""

import hashlib
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from test_malformed import PROFILE, SCENARIO, replaced

LONG = "n" * 300


@pytest.fixture
def one_line(main_cli):
    """Call ``one_line(code, *arguments)``: the one line on standard error of a command that ends with `code`."""

    def check(code, *arguments):
        result = main_cli(*arguments)
        assert result.code == code and len(result.err.splitlines()) == 1 and "Traceback" not in result.err, result
        assert result.err.startswith("neurosim: ") and result.err.rstrip("\n").isprintable()
        return result.err

    return check


@pytest.fixture
def process(cli_environment, tmp_path):
    """Call ``process(*arguments, **environment)``: the command in a process whose standard output the caller may choose."""

    def call(*arguments, stdout=subprocess.PIPE, **environment):
        command = [sys.executable, "-m", "neurosim.cli", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=cli_environment | environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, timeout=120
        )  # fmt: skip

    return call


NAMES = [
    ["check", f"{LONG}.yaml"],
    ["check", "digits_santos", "--set", f"hardware.profile={LONG}.yaml"],
    ["profiles", "show", f"{LONG}.yaml"],
    ["run", "digits_santos", "--out", LONG],
    ["run", "digits_santos", "--out", f"folder/{LONG}"],
    ["run", "digits_santos", "--out", LONG, "--resume"],
    ["sweep", f"{LONG}.yaml"],
    ["sweep", "digits_quick", "--out", LONG],
    ["compare", LONG, LONG],
    ["report", LONG],
    ["export", LONG, "--format", "action-counts"],
]


@pytest.mark.parametrize("arguments", NAMES, ids=lambda arguments: " ".join(arguments)[:24])
def test_a_name_of_300_letters(arguments, one_line):
    line = one_line(2, *arguments)
    assert LONG in line and ("File name too long" in line or "no such" in line or "no checkpoint" in line) and "output" not in line


@pytest.mark.parametrize(
    "arguments", [["check", "loop.yaml"], ["compare", "loop", "loop"], ["report", "loop"], ["run", "digits_santos", "--out", "loop"]]
)
def test_a_link_to_itself(arguments, one_line, tmp_path):
    for name in ("loop", "loop.yaml"):
        (tmp_path / name).symlink_to(name)
    line = one_line(2, *arguments)
    assert "loop" in line and ("symbolic links" in line or "cannot be created" in line)


def test_an_unreadable_folder(one_line, tmp_path, monkeypatch):
    """Root reads everything, so the system is asked to refuse."""
    true_stat = os.stat

    def stat(path, *arguments, **options):
        if "secret" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return true_stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    for arguments in (["compare", "secret/run", "secret/run"], ["report", "secret/run"], ["run", "digits_santos", "--out", "secret/run"]):
        line = one_line(2, *arguments)
        assert "secret/run" in line and "Permission denied" in line


def test_a_full_disk_is_no_bad_input(one_line, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", source)

    monkeypatch.setattr(os, "replace", full)
    line = one_line(1, "run", "digits_santos", "--quiet", "--set", "training.epochs=1", "--out", "here")
    assert "here/scenario.yaml: cannot be written: No space left on device" in line


def test_which_refusals_are_of_the_machine():
    from neurosim.errors import InputError, MachineError, os_trouble

    assert isinstance(os_trouble(PermissionError(13, "Permission denied", "a")), InputError)
    assert os_trouble(PermissionError(13, "Permission denied", "a")).exit_code == 2
    assert str(os_trouble(FileNotFoundError(2, "No such file or directory", b"a\xff"))) == "a\ufffd: No such file or directory"
    lost = os_trouble(ConnectionResetError())
    assert isinstance(lost, MachineError) and lost.exit_code == 1 and str(lost) == "ConnectionResetError"
    assert str(os_trouble(OSError(5, "Input/output error"), "a\nb", "cannot be read")) == "a\\nb: cannot be read: Input/output error"


def test_too_little_memory_is_one_line(one_line, monkeypatch):
    def allocate(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("neurosim.scenario.experiment.prepare", allocate)
    assert "too little memory" in one_line(1, "check", "digits_santos")


# --- clusters ---


def test_a_lost_cluster_says_so(one_line, monkeypatch):
    from contextlib import contextmanager, nullcontext

    @contextmanager
    def client(scheduler):
        yield SimpleNamespace(nthreads=lambda: {"worker": 2})

    def run(tasks):
        raise OSError  # as Dask raises it: without a number, a path or a text
        yield

    monkeypatch.setattr("joblib.parallel_config", lambda **options: nullcontext())
    monkeypatch.setattr("neurosim.sweeps.engine._dask_client", client)
    monkeypatch.setattr("neurosim.sweeps.engine._with_joblib", lambda **options: run)
    line = one_line(1, "sweep", "digits_quick", "--quiet", "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9")
    assert "lost the cluster" in line and "the same command continues" in line and "None" not in line


def _ray(init):
    ray = SimpleNamespace(init=init, util=SimpleNamespace())
    ray.util.joblib = SimpleNamespace(register_ray=lambda: None)
    return {"ray": ray, "ray.util": ray.util, "ray.util.joblib": ray.util.joblib}


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "[::1]:9"])
def test_a_dead_address_of_ray_is_refused_in_seconds(address, one_line, monkeypatch):
    def init(**options):
        raise AssertionError("Ray asks for minutes")

    for name, module in _ray(init).items():
        monkeypatch.setitem(sys.modules, name, module)
    began = time.monotonic()
    line = one_line(2, "sweep", "digits_quick", "--engine", "ray", "--scheduler", address)
    assert address in line and "nobody answers" in line and time.monotonic() - began < 30


def test_no_cluster_of_ray_and_no_address(one_line, monkeypatch):
    def init(**options):
        raise ConnectionError("Could not find any running Ray instance.\nPlease specify the one to connect to")

    for name, module in _ray(init).items():
        monkeypatch.setitem(sys.modules, name, module)
    assert "no running cluster" in one_line(2, "sweep", "digits_quick", "--engine", "ray")
    assert "expected HOST:PORT" in one_line(2, "sweep", "digits_quick", "--engine", "ray", "--scheduler", "host")


# --- standard output ---


def test_a_full_standard_output(process):
    with open("/dev/full", "w") as full:
        result = process("check", "digits_santos", stdout=full)
    assert result.returncode == 1 and result.stderr.decode() == "neurosim: cannot write the output: No space left on device\n"


def test_a_closed_standard_output(cli_environment, tmp_path):
    command = f"{sys.executable} -m neurosim.cli check digits_santos >&-"
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=cli_environment, capture_output=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_full_standard_error(cli_environment, tmp_path):
    command = f"{sys.executable} -m neurosim.cli check nothing 2>/dev/full"
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=cli_environment, capture_output=True, timeout=120)
    assert result.returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize(
    "arguments",
    [["check", "digits_santos"], ["profiles", "show", "spinnaker2_santos"], ["scenarios", "show", "small.yaml"], ["profiles", "list"], ["--help"]],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_terminal_that_knows_few_characters(encoding, arguments, process, tmp_path):
    text = SCENARIO.replace("name: small\n", 'name: small\ndescription: "größer → 𝄞"\n')
    (tmp_path / "small.yaml").write_text(text, encoding="utf-8")
    result = process(*arguments, PYTHONIOENCODING=encoding, LC_ALL="C")
    assert result.returncode == 0 and result.stderr == b""
    assert result.stdout.decode(encoding)


def test_a_file_name_that_is_no_text(process, tmp_path):
    folder = os.fsencode(tmp_path) + b"/gr\xfcn\x1b[31m"
    os.mkdir(folder)
    result = process("run", "digits_santos", "--set", "training.epochs=1", "--set", "report.figures=false", "--out", os.fsdecode(folder) + "/run")
    assert result.returncode == 0 and b"Traceback" not in result.stderr
    assert b"gr" in result.stdout and b"\x1b" not in result.stdout and b"\xfc" not in result.stdout
    assert "0 of 1 epochs done" in result.stdout.decode()  # nothing is cut off
    result = process("compare", os.fsdecode(folder), os.fsdecode(folder))
    assert result.returncode == 2 and b"\x1b" not in result.stderr and len(result.stderr.splitlines()) == 1


# --- names and titles ---

MARKUP = "chip [/b] [link=file:///etc]x :smile: [bold]"


@pytest.fixture
def marked(tmp_path):
    """A chip whose title is markup of rich, and a scenario on it."""
    title = "SpiNNaker 2 prototype Santos (28 nm, 4 cores, 64 KB)"
    text, _ = replaced(PROFILE, title, f'"{MARKUP}"')
    (tmp_path / "chip.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "small.yaml").write_text(SCENARIO.replace("profile: spinnaker2_santos", "profile: chip.yaml"), encoding="utf-8")


@pytest.mark.usefixtures("marked")
def test_markup_in_titles_and_paths_is_shown_as_it_stands(main_cli):
    for arguments in (["check", "small.yaml"], ["profiles", "show", "chip.yaml"], ["run", "small.yaml", "--out", "runs[/b]/[red]x"]):
        result = main_cli(*arguments)
        assert result.code == 0 and "Traceback" not in result.err, result
    assert MARKUP in result.out and "Written to runs[/b]/[red]x/: result.json" in result.out
    assert MARKUP in main_cli("profiles", "show", "chip.yaml").out


@pytest.mark.usefixtures("marked")
def test_markup_in_a_sweep(main_cli, tmp_path):
    (tmp_path / "trial.yaml").write_text("name: trial\nbase: small.yaml\nseeds: [0]\naxes:\n  - grid: {training.epochs: [1]}\n", encoding="utf-8")
    result = main_cli("sweep", "trial.yaml", "--jobs", "1", "--out", "[/b]sweep")
    assert result.code == 0 and "Written to [/b]sweep/: sweep.json" in result.out


@pytest.mark.parametrize("change", [
    lambda text: ("\ufeff" + text).replace("\n", "\r\n"),
    lambda text: text.replace("\n", "\r"),  # as old Macs did
    lambda text: text.replace("\n", "\r\n", 9),  # two editors at one file
], ids=["Windows", "old Mac", "mixed"])  # fmt: skip
def test_a_profile_of_any_line_ends_is_copied_byte_for_byte(change, main_cli, tmp_path):
    content = change(PROFILE).encode()
    (tmp_path / "chip.yaml").write_bytes(content)
    assert main_cli("run", "digits_santos", "--set", "hardware.profile=chip.yaml", "--set", "training.epochs=1", "--quiet", "--out", "run").code == 0
    copied = (tmp_path / "run" / "profile.yaml").read_bytes()
    said = json.loads((tmp_path / "run" / "result.json").read_text())["profile"]["sha256"]
    assert copied == content and hashlib.sha256(copied).hexdigest() == said


def test_a_chip_that_cannot_be_learned_says_its_title_in_one_line(one_line, tmp_path):
    """A neighbour: text of a profile in an error line."""
    text, _ = replaced(
        PROFILE, "specified, source: hoeppner2019, confidence: V}\n\n#", 'specified, source: hoeppner2019, confidence: V, note: "\\e[31m\\n"}\n\n#'
    )
    (tmp_path / "chip.yaml").write_text(text.replace("where: same_core", "where: none"), encoding="utf-8")
    one_line(2, "check", "digits_santos", "--set", "hardware.profile=chip.yaml")
