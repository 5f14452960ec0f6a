"""The documentation as a site: built without a network from docs/ as it is; notebooks run; every link leads somewhere."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPOSITORY / "docs" / "notebooks").glob("*.ipynb"))


class Links(HTMLParser):
    """What a page points to, what it loads, and the names in it."""

    def __init__(self):
        super().__init__()
        self.links, self.loaded, self.names = [], [], set()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if found.get("id"):
            self.names.add(found["id"])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("script", "img") and found.get("src"):
            self.loaded.append(found["src"])
        if tag == "link" and "stylesheet" in found.get("rel", ""):
            self.loaded.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with warnings as errors: its folder and each page's `Links`."""
    pytest.importorskip("mkdocs", reason="MkDocs comes with the extra test")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    pages = {}
    for path in folder.rglob("*.html"):
        pages[path] = Links()
        pages[path].feed(path.read_text(encoding="utf-8"))
    return folder, pages


def test_every_page_of_docs_is_in_it(site):
    folder, pages = site
    wanted = {
        path.relative_to(REPOSITORY / "docs").with_suffix(".html").as_posix()
        for path in (REPOSITORY / "docs").rglob("*")
        if path.suffix in (".md", ".ipynb")
    }
    assert wanted and not {name for name in wanted if not (folder / name).is_file()}
    start = {link.partition("#")[0] for link in pages[folder / "index.html"].links}
    assert not wanted - start, "not reached from the start page"


def test_it_loads_nothing_from_elsewhere(site):
    folder, pages = site
    n_loaded = 0
    for path, page in pages.items():
        for source in page.loaded:
            assert not re.match(r"(https?:)?//", source), f"{path.name} loads {source}"
            if source and not source.startswith(("data:", "/")):
                assert (path.parent / source.partition("?")[0]).resolve().is_file(), f"{path.name} loads {source}"
                n_loaded += 1
    assert n_loaded > 20


def test_links_lead_somewhere(site):
    folder, pages = site
    n_links = 0
    for path, page in pages.items():
        for link in page.links if path.name != "404.html" else ():
            if re.match(r"https?:|mailto:|/|\.$", link):
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), f"{path.relative_to(folder)} links to {link}"
            if anchor and target in pages:
                assert anchor in pages[target].names, f"{path.relative_to(folder)} links to {link}"
            n_links += 1
    assert n_links > 500


def test_the_reference_has_what_the_package_offers(site):
    import neurosim

    folder, pages = site
    names = pages[folder / "reference.html"].names
    missing = [
        name for name in neurosim._HOMES if not any(each.rpartition(".")[2] == getattr(getattr(neurosim, name), "__name__", name) for each in names)
    ]
    assert not missing
    text = (folder / "reference.html").read_text(encoding="utf-8")
    for words in ("Parameters", "Raises", "Returns"):
        assert text.count(words) > 10


def test_there_are_three_notebooks_without_outputs():
    assert len(NOTEBOOKS) >= 3
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells), f"{path.name} holds outputs; clear them"
        assert any("assert" in "".join(cell["source"]) for cell in cells), f"{path.name} asserts nothing"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="nbclient comes with the extra test")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="ipykernel comes with the extra test")
    notebook = nbformat.read(path, as_version=4)
    # In a process of its own: a kernel and its loop leave threads and warnings that are no matter of these tests.
    nbformat.write(notebook, tmp_path / path.name)
    script = (
        "import sys, nbclient, nbformat; n = nbformat.read(sys.argv[1], as_version=4); "
        "nbclient.NotebookClient(n, timeout=900, kernel_name='python3').execute(); nbformat.write(n, sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / path.name)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [output for cell in nbformat.read(tmp_path / path.name, as_version=4).cells for output in cell.get("outputs", ())]
    assert any(output.get("text") for output in outputs)
    assert nbclient.__version__
