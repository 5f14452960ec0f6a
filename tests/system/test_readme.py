"""The commands that README.md shows: each one runs, in the order of the page, in one folder."""

import re
import shlex
from pathlib import Path

import pytest

from neurosim.errors import InputError
from neurosim.scenario import load_scenario

REPOSITORY = Path(__file__).resolve().parents[2]
README = REPOSITORY / "README.md"
SHELLS = ("", "sh", "bash", "shell", "console", "shell-session", "text")


def commands_of(text):
    """Words of every shell command that starts with `neurosim` or `make`, in fenced blocks."""
    for language, block in re.findall(r"^```([\w-]*)[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        if language not in SHELLS:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"^\s*\$ ", "", line).strip()
            if re.match(r"(neurosim|make) ", line):
                yield shlex.split(line, comments=True)


COMMANDS = list(commands_of(README.read_text(encoding="utf-8"))) if README.exists() else []


def test_commands_are_found_in_all_their_forms():
    text = "x\n```console\n$ make demo   # all\n$ neurosim run a \\\n    --quiet\nfits\n```\n```python\nneurosim run b\n```\nneurosim run c\n"
    assert list(commands_of(text)) == [["make", "demo"], ["neurosim", "run", "a", "--quiet"]]


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 4, f"{README}: found {len(COMMANDS)} commands in fenced blocks, expected at least 4"
    assert ["make", "demo"] in COMMANDS and ["make", "test"] in COMMANDS


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", README.read_text(encoding="utf-8"))
    assert links
    assert not [link for link in links if not (REPOSITORY / link).exists()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands run, with each scenario that the page shows as NAME.yaml."""
    path = tmp_path_factory.mktemp("readme")
    blocks = re.findall(r"^```yaml\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for block in blocks:
        name = re.match(r"name: *([\w.-]+)", block)
        if name:
            (path / f"{name[1]}.yaml").write_text(block, encoding="utf-8")
    return path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command(words, folder, run_cli, request):
    program, *arguments = words
    if program == "make":
        makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
        for target in [word for word in arguments if "=" not in word]:
            assert re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE), f"the Makefile has no target {target}"
        return
    if arguments[:2] == ["data", "fetch"]:
        pytest.skip("needs a network")
    if arguments[0] == "run":
        arguments += ["--set", "training.epochs=1"]
        fixture = FOLDERS.get(_dataset_of(arguments, folder))
        if fixture:
            data_dir = request.getfixturevalue(fixture)
            if "--data" not in arguments:
                arguments += ["--data", data_dir]
    result = run_cli(*arguments, cwd=folder)
    allowed = (0, 3) if arguments[0] == "check" else (0,)
    assert result.returncode in allowed, result.stderr
    assert "Traceback" not in result.stderr


#: Data sets that are files, and the fixture that finds them or skips the test.
FOLDERS = {"mnist": "mnist_dir", "mnist_rows": "mnist_dir", "fsdd": "fsdd_dir"}


def _dataset_of(arguments, folder):
    try:
        own = folder / arguments[1]
        return load_scenario(own if own.is_file() else arguments[1]).dataset.name
    except InputError:  # a file that an earlier command wrote, or a mistake that the command itself will tell
        return None
