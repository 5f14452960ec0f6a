"""The command line as a user meets it: mostly in processes of its own, with warnings as errors."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import jsonschema
import pytest

import neurosim
from neurosim.documents import bundled_folder, bundled_names, read_yaml
from neurosim.scenario import load_scenario

SCENARIOS, PROFILES = bundled_names("scenarios"), bundled_names("hardware_profiles")
#: Bundled to show what does not fit, and why.
REFUSED = {"mnist_santos_dense", "mnist_odin", "mnist_reckon", "mnist_truenorth", "fsdd_lstm_santos", "fsdd_lstm_santos_dense"}
SHORT = ("--set", "training.epochs=1", "--set", "report.figures=false")
# Runs `neurosim` and then says on the last line which of the heavy packages it has loaded.
PROBE = (
    "import sys; from neurosim.cli import main; code = main(sys.argv[1:]);"
    "heavy = {'numba', 'llvmlite', 'matplotlib', 'jinja2', 'sklearn', 'scipy', 'joblib'} & set(sys.modules);"
    "print('LOADED', *sorted(heavy), file=sys.stderr); sys.exit(code)"
)


def console_script():
    script = Path(sysconfig.get_path("scripts")) / "neurosim"
    return str(script) if script.exists() else shutil.which("neurosim")


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def is_one_line(text):
    return text.endswith("\n") and text.count("\n") == 1 and text.startswith("neurosim: ")


def schema_of(run_cli, what, cwd):
    result = run_cli("schema", what, cwd=cwd)
    assert (result.returncode, result.stderr) == (0, "")
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


# --- what a command loads, and how long it takes ---


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("--help", 0),
        ("check digits_santos", 0),
        ("check mnist_santos_dense", 3),
        ("check digits_santos --set network.connectivity=fit", 0),
        ('check digits_santos --set hardware.profile=spinnaker2 --set dataset.name=fsdd --set network={"type":"lstm","units":20,"synapses":99}', 0),
        ("scenarios list", 0),
        ("scenarios show digits_santos", 0),
        ("profiles show spinnaker2", 0),
        ("schema result", 0),
        ("data list", 0),
        ("run mnist_santos_dense", 3),
        ("run digits_santos --set training.epoch=3", 2),
    ],
)
def test_commands_without_training_load_nothing_heavy(command, code, cli_environment, tmp_path):
    result = subprocess.run([sys.executable, "-c", PROBE, *command.split()], cwd=tmp_path, env=cli_environment, capture_output=True, text=True)
    assert result.returncode == code
    assert result.stderr.splitlines()[-1] == "LOADED"


def test_importing_neurosim_loads_nothing_else(cli_environment, tmp_path):
    command = "import sys; import neurosim; print(sorted({'numba', 'numpy', 'matplotlib', 'pydantic'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, env=cli_environment, capture_output=True, text=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(("command", "limit_s"), [("--help", 3), ("check digits_santos", 5)])
def test_quick_commands_are_quick(command, limit_s, run_cli, tmp_path):
    # Generous: the 0.5 s and 1 s are measured on an idle machine with a warm disk.
    run_cli(*command.split(), cwd=tmp_path)
    begin = time.perf_counter()
    run_cli(*command.split(), cwd=tmp_path)
    assert time.perf_counter() - begin < limit_s


# --- help, version, console script ---


def test_version(run_cli, tmp_path):
    result = run_cli("--version", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"neurosim {neurosim.__version__}\n", "")


def test_the_console_script_is_the_same_program(run_cli, cli_environment, tmp_path):
    script = console_script()
    assert script, "the console script `neurosim` is not installed"
    for arguments in (["--version"], ["check", "digits_santos", "--json"], ["check", "nothing"]):
        ours = subprocess.run([script, *arguments], cwd=tmp_path, env=cli_environment, capture_output=True, text=True)
        module = run_cli(*arguments, cwd=tmp_path)
        assert (ours.returncode, ours.stdout, ours.stderr) == (module.returncode, module.stdout, module.stderr)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "check",
        "run",
        "schema",
        "profiles",
        "profiles list",
        "profiles show",
        "profiles check",
        "scenarios list",
        "scenarios show",
        "data fetch",
        "data list",
    ],
)
def test_every_command_has_help(command, main_cli):
    result = main_cli(*command.split(), "--help")
    assert result.code == 0
    assert "Usage" in result.out
    assert result.err == ""


def test_debug_shows_the_traceback(run_cli, tmp_path):
    result = run_cli("--debug", "check", "nothing", cwd=tmp_path)
    assert result.returncode != 0
    assert "Traceback" in result.stderr


# --- check ---


@pytest.mark.parametrize("name", SCENARIOS)
def test_check_of_every_bundled_scenario(name, main_cli, tmp_path):
    table, data = main_cli("check", name), main_cli("check", name, "--json")
    verdict = json.loads(data.out)
    assert table.code == data.code == (0 if verdict["fits"] else 3)
    assert table.err == data.err == ""
    assert (name in REFUSED) == (not verdict["fits"])
    assert list(tmp_path.iterdir()) == []


def test_too_many_steps_are_refused_with_the_window_that_fits(main_cli):
    result = main_cli("check", "fsdd_lstm_santos")
    assert result.code == 3
    assert re.search(r"breaks at section unrolled state, [\d,]+ to [\d,]+ B over", result.out)
    window = int(re.search(r"training\.window: (\d+) would fit on 4 cores", result.out)[1])
    assert window == load_scenario("fsdd_lstm_santos_truncated").training.window
    for more, code in ((0, 0), (1, 3)):
        assert main_cli("check", "fsdd_lstm_santos_truncated", "--set", f"training.window={window + more}").code == code


def test_the_dense_network_is_refused_with_section_bytes_and_remedy(run_cli, tmp_path):
    result = run_cli("check", "mnist_santos_dense", cwd=tmp_path)
    assert result.returncode == 3
    assert "does not fit" in result.stdout
    used, allowed, over = re.search(r"local_memory\s+([\d,]+)\s+([\d,]+)\s+([\d,]+)\s+B", result.stdout).groups()
    used, allowed, over = (int(text.replace(",", "")) for text in (used, allowed, over))
    assert (allowed, over) == (65_536, used - 65_536)
    assert re.search(r"breaks at section synapses, [\d,]+ B over", result.stdout)
    fitting = re.search(r"at most ([\d,]+) synapses", result.stdout.partition("what would help")[2])
    n_fitting = int(fitting[1].replace(",", ""))
    # The remedy must be true: that many fit, one more does not.
    for n_synapses, code in ((n_fitting, 0), (n_fitting + 1, 3)):
        changes = ("--set", "network.connectivity=null", "--set", f"network.synapses={n_synapses}")
        assert run_cli("check", "mnist_santos_dense", *changes, cwd=tmp_path).returncode == code


# --- lists, schemas ---


def test_lists_are_those_of_the_folders(main_cli):
    assert [row["name"] for row in json.loads(main_cli("scenarios", "list", "--json").out)] == SCENARIOS
    assert [row["name"] for row in json.loads(main_cli("profiles", "list", "--json").out)] == PROFILES
    for command, names in (("scenarios", SCENARIOS), ("profiles", PROFILES)):
        table = main_cli(command, "list").out
        assert all(name in table for name in names)


def test_profiles_check_counts_the_numbers(main_cli):
    result = main_cli("profiles", "check")
    assert result.code == 0
    assert [line.partition(":")[0] for line in result.out.splitlines()] == PROFILES
    rows = json.loads(main_cli("profiles", "check", "--json").out)
    assert all(row["ok"] and row["numbers"] > 10 for row in rows)


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_show_every_number_with_its_source(name, main_cli):
    shown = json.loads(main_cli("profiles", "show", name, "--json").out)
    assert all(row["unit"] and row["kind"] and row["source"] for row in shown["numbers"])
    by_path = json.loads(main_cli("profiles", "show", bundled_folder("hardware_profiles") / f"{name}.yaml", "--json").out)
    assert by_path == shown
    table = main_cli("profiles", "show", name)
    assert table.code == 0
    assert shown["name"] in table.out


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_scenarios_show_prints_is_the_scenario(name, main_cli, tmp_path):
    shown = main_cli("scenarios", "show", name)
    (tmp_path / "shown.yaml").write_text(shown.out, encoding="utf-8")
    assert load_scenario("shown.yaml") == load_scenario(name)
    as_json = json.loads(main_cli("scenarios", "show", name, "--json").out)
    assert as_json == read_yaml("shown.yaml").data


def test_bundled_files_validate_against_the_schemas(run_cli, tmp_path):
    for what, folder, names in (("scenario", "scenarios", SCENARIOS), ("profile", "hardware_profiles", PROFILES)):
        validator = schema_of(run_cli, what, tmp_path)
        for name in names:
            validator.validate(read_yaml(bundled_folder(folder) / f"{name}.yaml").data)
        assert not validator.is_valid({"name": "x", "colour": "red"})


# --- run ---

FILES_OF_A_RUN = [
    *("result.json", "epochs.csv", "cores.csv", "traffic.csv", "energy.csv"),
    *("checkpoint.npz", "scenario.yaml", "profile.yaml", "log.txt"),
]


def test_a_run_leaves_all_its_files(tiny_run):
    names = files_below(tiny_run.folder)
    figures = [name for name in names if name.startswith("figures/")]
    assert sorted(set(names) - set(figures)) == sorted(FILES_OF_A_RUN)
    assert len(figures) >= 4
    assert all((tiny_run.folder / name).read_bytes().startswith(b"\x89PNG") for name in figures)
    assert load_scenario(tiny_run.folder / "scenario.yaml") == tiny_run.scenario
    profile = bundled_folder("hardware_profiles") / "spinnaker2_santos.yaml"
    assert (tiny_run.folder / "profile.yaml").read_bytes() == profile.read_bytes()
    log = (tiny_run.folder / "log.txt").read_text(encoding="utf-8")
    assert "started" in log and "epoch 2/2" in log and "done" in log


def test_run_json_is_the_result_and_follows_its_schema(run_cli, tmp_path):
    result = run_cli("run", "digits_santos", *SHORT, "--out", "here", "--json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    printed = json.loads(result.stdout)
    assert printed == json.loads((tmp_path / "here" / "result.json").read_text(encoding="utf-8"))
    schema_of(run_cli, "result", tmp_path).validate(printed)
    assert printed["schema"] == "neurosim.result/2"
    assert printed["scenario"]["training"]["epochs"] == len(printed["epochs"]) == 1
    assert printed["connectivity"]["least_active"] == printed["connectivity"]["most_active"] == printed["connectivity"]["active"]


def test_output_in_a_pipe_is_plain_lines(run_cli, tmp_path):
    result = run_cli("run", "digits_santos", "--set", "training.epochs=2", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.stdout), "control characters in a pipe"
    assert "epoch 2/2" in result.stdout
    for figure in (tmp_path / "runs" / "digits_santos" / "figures").iterdir():
        assert f"runs/digits_santos/figures/{figure.name}" in result.stdout


def test_quiet_prints_nothing(run_cli, tmp_path):
    result = run_cli("run", "digits_santos", *SHORT, "--quiet", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert (tmp_path / "runs" / "digits_santos" / "result.json").exists()


def test_set_overrides_reach_the_run(main_cli, tmp_path):
    changes = ("--set", "training.learning_rate=0.25", "--set", "network.layers.1=40", "--set", "name=other", "--set", "seed=7")
    assert main_cli("run", "digits_santos", *SHORT, *changes, "-q").code == 0
    data = json.loads((tmp_path / "runs" / "other" / "result.json").read_text(encoding="utf-8"))
    assert data["scenario"]["network"]["layers"] == [64, 40, 10]
    assert (data["seed"], data["scenario"]["training"]["learning_rate"]) == (7, 0.25)


def test_folders_are_numbered_and_an_occupied_one_is_refused(main_cli, tmp_path):
    for expected in ("digits_santos", "digits_santos-2", "digits_santos-3"):
        assert main_cli("run", "digits_santos", *SHORT, "-q").code == 0
        assert (tmp_path / "runs" / expected / "result.json").exists()
    before = {name: (tmp_path / name).read_bytes() for name in files_below(tmp_path)}
    refused = main_cli("run", "digits_santos", *SHORT, "--out", "runs/digits_santos-2")
    assert refused.code == 2
    assert is_one_line(refused.err)
    assert "--resume" in refused.err and "runs/digits_santos-2" in refused.err
    assert {name: (tmp_path / name).read_bytes() for name in files_below(tmp_path)} == before


def test_two_scenarios_with_similar_names_do_not_share_folders(main_cli, tmp_path):
    assert main_cli("run", "digits_santos", *SHORT, "--set", "name=a", "-q").code == 0
    assert main_cli("run", "digits_santos", *SHORT, "--set", "name=a-2", "-q").code == 0
    again = main_cli("run", "digits_santos", *SHORT, "--set", "name=a", "--resume", "--json")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out)["scenario"]["name"] == "a"


def test_a_network_that_does_not_fit_is_refused_before_anything_is_written(run_cli, tmp_path):
    result = run_cli("run", "mnist_santos_dense", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (3, "")
    assert is_one_line(result.stderr)
    for fragment in ("core 0", "synapses", "65,536", "over", "at most"):
        assert fragment in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_threads", ["0", "-1", "99", "two"])
def test_impossible_numbers_of_threads_are_refused(n_threads, run_cli, tmp_path):
    result = run_cli("run", "digits_santos", *SHORT, "--threads", n_threads, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert is_one_line(result.stderr)
    assert "--threads" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_data_folder_is_used(mnist_dir, run_cli, tmp_path):
    changes = ("--set", "dataset.limit=200", *SHORT)
    result = run_cli("run", "mnist_santos_64kb", *changes, "--data", mnist_dir, "--json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["dataset"]["n_train"] == 200


# --- words that are not understood, pipes that close ---


@pytest.mark.parametrize(
    ("command", "fragments"),
    [
        ("chek digits_santos", ["chek"]),
        ("profiles lst", ["lst"]),
        ("run digits_santos --threds 1", ["--threds"]),
        ("run", ["SCENARIO"]),
        ("check digits_santos extra", ["extra"]),
        ("check digits_santos --set", ["--set"]),
        ("schema scenarios", ["scenarios", "nearest: scenario"]),
        ("check digits_santo", ["digits_santo", "nearest: digits_santos"]),
        ("profiles show spinaker2", ["spinaker2", "nearest: spinnaker2"]),
        ("data fetch mnst", ["mnst", "mnist"]),
    ],
)
def test_an_unknown_word_is_one_line_and_exit_code_2(command, fragments, main_cli):
    result = main_cli(*command.split())
    assert (result.code, result.out) == (2, "")
    assert is_one_line(result.err)
    assert all(fragment in result.err for fragment in fragments)


@pytest.mark.parametrize("command", ["--help", "check digits_santos", "profiles show spinnaker2", "schema result", "profiles check"])
def test_a_closed_pipe_gives_no_traceback(command, cli_environment, tmp_path):
    """Like ``| head -1``, but the reader is gone before the first byte, so that every run meets it."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        process = subprocess.run(
            [sys.executable, "-m", "neurosim.cli", *command.split()],
            stdout=pipe, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=cli_environment,
        )  # fmt: skip
    assert process.stderr == ""
    assert process.returncode in (0, 1)


def test_head(cli_environment, tmp_path):
    command = f"'{sys.executable}' -m neurosim.cli schema result | head -1"
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=cli_environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("{\n", "")
