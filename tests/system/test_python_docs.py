"""The Python that README.md and docs/python.md show: every block runs, in the order of its page."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/python.md", "docs/your-network.md")


def blocks_of(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (REPOSITORY / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks(page, tmp_path, monkeypatch, main_cli, capsys):
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = blocks_of(page, "python")
    assert blocks
    for block in blocks:
        code = compile(block, page, "exec")
        if re.search(r"^import optuna", block, flags=re.MULTILINE):
            continue  # no requirement of the tests; the callback protocol has tests of its own
        if "network.npz" in block:
            for line in "".join(blocks_of(page, "sh")).splitlines():
                assert main_cli(*line.split()[1:]).code == 0, line
        exec(code, names)
    assert "ns" in names


def test_the_readme_shows_ten_lines_below_the_first_screen():
    (block,) = blocks_of("README.md", "python")
    assert len([line for line in block.splitlines() if line.strip()]) <= 12
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert text.index("make demo") < text.index("```python")
