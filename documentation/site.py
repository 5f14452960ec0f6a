"""What the site has beside the files of docs/: start page, reference from docstrings, notebooks, and the order of all pages. A hook of MkDocs.

Nothing is listed twice: names of the reference are those that `neurosim` offers, a page that has no place in the order stands at its end.
"""

import json
import re
from pathlib import Path

from mkdocs.structure.files import File

REPOSITORY = Path(__file__).resolve().parents[1]

#: Heading and pages of each part, in order.
PARTS = (
    ("Start", ("index.md", "notebooks/first_run.ipynb")),
    ("What is yours", ("your-data.md", "your-network.md", "notebooks/your_network.ipynb", "your-chip.md")),
    ("From Python", ("python.md", "notebooks/budgets.ipynb")),
    ("Networks", ("bptt.md", "spiking.md", "convolution.md", "changing-tasks.md", "rules.md", "weight_formats.md", "paper.md")),
    ("Sweeps and reports", ("sweeps.md", "search.md", "clusters.md", "reports.md", "results.md")),
    ("The method", ("hardware-model.md", "cycles.md", "silicon.md", "validation.md", "architecture.md")),
    ("Every chip", ("chips.md", "profiles.md")),
    ("Reference", ("scenario-reference.md", "reference.md", "changes.md")),
)
#: Rooms whose public functions and classes the reference describes, beside what `import neurosim` offers.
ROOMS = ("neurosim.sklearn", "neurosim.networks.topology", "neurosim.networks.models", "neurosim.results.network", "neurosim.rewiring.rule")


def on_config(config):
    """Put pages in their order."""
    known = {page for _, pages in PARTS for page in pages}
    added = {"index.md", "reference.md", "changes.md"}
    there = {path.relative_to(config.docs_dir).as_posix() for path in Path(config.docs_dir).rglob("*") if path.suffix in (".md", ".ipynb")}
    nav = [{title: [_shown(page) for page in pages if page in there | added]} for title, pages in PARTS]
    if more := sorted(there - known):
        nav.append({"More": [_shown(page) for page in more]})
    config.nav = nav
    return config


def on_files(files, config):
    """Add the pages that are no files of docs/; notebooks become pages."""
    made = {
        "index.md": _moved((REPOSITORY / "README.md").read_text(encoding="utf-8")),
        "changes.md": _moved((REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")),
        "reference.md": reference(),
        "css/site.css": (REPOSITORY / "documentation" / "site.css").read_text(encoding="utf-8"),
    }
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            files.remove(file)
            made[_shown(file.src_uri)] = page_of(Path(file.abs_src_path))
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def reference():
    """Page with a directive for everything that `import neurosim` offers, and for the rooms that are public beside it."""
    import neurosim

    lines = ["# Python reference", "", "Made from the docstrings. `import neurosim as ns` offers the first part.", ""]
    for name, home in sorted(neurosim._HOMES.items(), key=lambda item: item[0].lower()):
        thing = getattr(neurosim, name)
        lines += [f"::: {getattr(thing, '__module__', home)}.{getattr(thing, '__name__', name)}", ""]
    for room in ROOMS:
        lines += [f"::: {room}", ""]
    return "\n".join(lines)


def page_of(path):
    """A notebook as Markdown: text as it is, code as blocks."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join([*parts, f"*A notebook that a test runs: `docs/notebooks/{path.name}`.*"])


def _shown(page):
    return re.sub(r"\.ipynb$", ".md", page)


def _moved(text):
    """README.md seen from docs/: links to docs/ lose it, links to other files of the repository become words."""
    text = text.replace("](docs/", "](")
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)([^)]*)\)", lambda m: m[0] if (REPOSITORY / "docs" / m[2].partition("#")[0]).exists() else m[1], text)
