"""README.md: what it shows first, where its links lead, and that its `make` targets exist. Its commands run in test_pages.py."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", TEXT)
    assert links
    assert not [link for link in links if not (REPOSITORY / link).exists()]


def test_its_targets_are_in_the_makefile():
    targets = re.findall(r"(?m)^make (\w+)", TEXT)
    assert {"demo", "test"} <= set(targets)
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert not [target for target in targets if not re.search(rf"(?m)^{target}:", makefile)]


def test_it_shows_ten_lines_of_python_below_the_first_screen():
    (block,) = re.findall(r"(?ms)^```python\n(.*?)^```", TEXT)
    assert len([line for line in block.splitlines() if line.strip()]) <= 12
    assert TEXT.index("make demo") < TEXT.index("```python")
