"""What README.md and the pages of docs/ show: every command and every block of Python runs, in the order of its page, in one folder.

Comments right before a block say what is different here, and never show:

    <!-- not run: REASON -->                      the whole block; there is no other way to leave one out
    <!-- not run "WORDS": REASON -->              its lines that hold these words
    <!-- with: OPTIONS -->                        options behind each of its commands that trains or writes a program
    <!-- first: COMMAND -->                       what a reader would have from elsewhere
    <!-- part of: SCENARIO -->                    of YAML that is no whole file: a scenario with these keys is checked

A whole scenario or sweep in YAML becomes the file NAME.yaml, Python that begins with the path of a file becomes that file. A line whose data set
(MNIST, FSDD, CIFAR-10) is not on this computer is left out with those that name its folder, and the test says so when all others have run.
"""

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from neurosim.documents import parse_yaml
from neurosim.scenario import load_scenario

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
SHELL, SHOWN = ("sh", "bash"), ("text", "json", "c")
BLOCK = re.compile(r"(?P<before>(?:^<!--(?:(?!-->)[\s\S])*-->\n+)*)^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r'<!-- (not run|with|first|part of)(?: "([^"]*)")?: ((?:(?!-->)[\s\S])+?) -->')
TRAINS = ("neurosim run ", "neurosim sweep ", "neurosim search ", "--format c ")


def blocks_of(path):
    """Blocks of a page: language, text, and the comments before it as (what, words, how)."""
    found = BLOCK.finditer(path.read_text(encoding="utf-8"))
    return [SimpleNamespace(language=m["language"], text=m["text"], notes=COMMENT.findall(m["before"])) for m in found]


def lines_of(block):
    """Lines of a shell block, continued ones as one, without comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if line := re.sub(r"(^|\s+)#.*", "", line).strip():
            yield line


def how(block, what, line=""):
    """What the comments of a kind say about a line: of the whole block, and of those whose words it holds."""
    return [text for kind, words, text in block.notes if kind == what and (not words or words in line)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_block_has_a_language_and_every_comment_a_line(path):
    text = path.read_text(encoding="utf-8")
    outside = BLOCK.sub("", text)
    assert "```" not in outside, "a block that does not end"
    assert not re.findall(r"(?:\n\n|-->\n) {4}\S.*", outside), "a block by indentation: fence it, and say its language"
    for block in blocks_of(path):
        assert block.language in (*SHELL, *SHOWN, "python", "yaml"), f"{block.language!r} before {block.text[:60]!r}"
        for what, words, reason in block.notes:
            assert what != "not run" or len(reason.split()) >= 3, f"{what}: {reason!r} says too little"
            assert not words or any(words in line for line in lines_of(block)), f"no line holds {words!r}"
    assert text.count("<!-- not run") + text.count("<!-- with") == sum(
        what in ("not run", "with") for block in blocks_of(path) for what, _, _ in block.notes
    ), "a comment that stands before no block"


@pytest.mark.parametrize(
    "path", [path for path in PAGES if any(b.language in (*SHELL, "python", "yaml") for b in blocks_of(path))], ids=lambda p: p.stem
)
def test_page_runs(path, tmp_path, monkeypatch, main_cli, capsys):
    place = os.environ.get("NEUROSIM_DATA") or str(REPOSITORY.parent / "shared" / "data")
    monkeypatch.setenv("NEUROSIM_DATA", place)
    monkeypatch.syspath_prepend(str(tmp_path))
    page = _Page(tmp_path, monkeypatch, main_cli)
    page.write_files(blocks_of(path))
    for block in blocks_of(path):
        for line in how(block, "first"):
            page.do(line, [])
        if block.language == "yaml":
            page.read_part(block)
        elif any(not words for what, words, _ in block.notes if what == "not run"):
            continue
        elif block.language == "python":
            page.python(block.text, path.name)
        elif block.language in SHELL:
            for line in lines_of(block):
                if not how(block, "not run", line):
                    page.do(line, how(block, "with", line))
    if page.left_out:
        pytest.skip(f"all ran but what needs data that are not in {place}: {'; '.join(page.left_out)}")


def merged(whole, part):
    return {**whole, **{key: merged(whole[key], value) if isinstance(value, dict) and key in whole else value for key, value in part.items()}}


class _Page:
    """A reader at work: one folder, one Python session."""

    def __init__(self, folder, monkeypatch, main_cli):
        self.folder, self.monkeypatch, self.main_cli = folder, monkeypatch, main_cli
        self.names: dict = {"__name__": "page"}
        self.left_out, self.missing = [], set()
        self.is_stuck = False  # in a folder that is not there, since what makes it was left out

    def write_files(self, blocks):
        """Whole files in YAML, wherever on the page they stand: a command may come before the file that it reads."""
        for block in blocks:
            if block.language == "yaml" and not how(block, "part of") and not how(block, "not run"):
                name = parse_yaml(block.text, "page").data.get("name")
                assert name, f"YAML without a name, and without a comment that says what it is part of:\n{block.text}"
                (self.folder / f"{name}.yaml").write_text(block.text, encoding="utf-8")

    def read_part(self, block):
        """Read YAML within the whole that it is a part of."""
        for whole in how(block, "part of"):
            for text in filter(None, re.split(r"(?m)^(?=dataset: )", block.text)):
                part = parse_yaml(text, "page").data
                if whole.endswith(".yaml"):
                    profile = merged(yaml.safe_load((self.folder / whole).read_text(encoding="utf-8")), part)
                    (self.folder / "part.yaml").write_text(yaml.safe_dump(profile), encoding="utf-8")
                    self.do("neurosim profiles check part.yaml", [])
                else:
                    assert load_scenario(whole, part).model_fields_set >= set(part)

    def python(self, text, page):
        if written := re.match(r"# ([\w/]+\.py)\n", text):
            target = self.folder / written[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            return
        exec(compile(text, page, "exec"), self.names)

    def do(self, line, options):
        words = shlex.split(line)
        if words[0] == "cd" and self.missing and not (self.folder / words[1]).is_dir():
            self.is_stuck = True
        if self.is_stuck:
            self.left_out.append(line)
            return
        if words[0] == "cd":
            self.folder /= words[1]
            self.monkeypatch.chdir(self.folder)
            return
        if words[0] == "neurosim":
            self.neurosim(line, words[1:] + (shlex.split(" ".join(options)) if any(each in line for each in TRAINS) else []))
            return
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(["bash", "-ec", line], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    def neurosim(self, line, words):
        if any(name in line for name in self.missing):
            self.left_out.append(line)
            return
        done = self.main_cli(*words)
        self.monkeypatch.chdir(self.folder)
        if done.code == 2 and "or NEUROSIM_DATA" in done.err:
            self.left_out.append(line)
            self.missing.add(words[1])
            return
        assert done.code in ((0, 3) if words[0] == "check" else (0,)), f"{line}\n{textwrap.shorten(done.err, 1000)}"
        assert "Traceback" not in done.err
