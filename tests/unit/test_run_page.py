"""report.html of a run: every section, numbers as in the record, nothing from elsewhere, nothing unescaped."""

import re
from html.parser import HTMLParser

import pytest
from test_reports_records import CASES, make_record

from neurosim.reports.page import PageTable
from neurosim.reports.publish import publish_run
from neurosim.reports.run_page import SECTIONS, render_run_page

EVIL = "<script>alert('x')</script> & \"quotes\" {{ 7 * 7 }}"


class Page(HTMLParser):
    """Text, ids, tables and tags of a page."""

    VOID = {"meta", "link", "br", "img", "input", "hr"}

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tables, self.tags, self.words = [], [], {}, [], []
        self._row = None
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "caption":
            self._rows = []
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th"):
            self._row.append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [dict(attributes)["id"]] if "id" in dict(attributes) else []

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()
        if tag == "tr":
            self._rows.append(self._row)
            self._row = None
        elif tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        if "caption" in self.open:
            self._caption = data
        elif self._row is not None and self._row:
            self._row[-1] += data
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def pages():
    return {case: render_run_page(make_record(**CASES[case]), {}) for case in CASES}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Text of a page with figures, as it is written."""
    folder = tmp_path_factory.mktemp("run")
    paths = publish_run(make_record(n_cores=4), folder)
    assert paths[-1] == folder / "report.html"
    assert {path.suffix for path in paths} == {".png", ".svg", ".html"}
    return paths[-1].read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_every_section_stands_in_order_and_the_navigation_reaches_it(pages, case):
    page = Page(pages[case])
    names = [name for name, _ in SECTIONS]
    assert [i for i in page.ids if i in names] == names
    assert [a["href"] for tag, a in page.tags if tag == "a" and a["href"] != "#content"] == [f"#{name}" for name in names]


@pytest.mark.parametrize("case", CASES)
def test_the_answer_stands_before_the_first_section(pages, case):
    record = make_record(**CASES[case])
    head = pages[case].split("<main")[0]
    fullest = max(core.memory_bytes.used for core in record.cores)
    for part in ("Fits: yes.", f"{100 * record.accuracy.test:.2f} %", "740 synapses", f"{fullest:,d} of 65,536 B"):
        assert part in head
    bound = "(lower bound)" in head
    assert bound == (CASES[case].get("priced", "some") == "some")
    assert ("energy unknown (no price)" in head) == (CASES[case].get("priced") == "none")


@pytest.mark.parametrize("case", CASES)
def test_core_table_is_the_record(pages, case):
    record = make_record(**CASES[case])
    table = Page(pages[case]).tables["Memory of each core in B, its synapses, and its share of traffic and energy over the whole run"]
    head, rows = table[0], table[1:]
    assert len(rows) == len(record.cores)
    for row, core in zip(rows, record.cores):
        found = dict(zip(head, row))
        assert found["core"] == str(core.id) and found["used"] == f"{core.memory_bytes.used:,d}"
        assert found["synapses"] and found["limit"] == "65,536"
        assert found["gradients"] == f"{core.memory_bytes.sections['gradients']:,d}"


@pytest.mark.parametrize("case", CASES)
def test_energy_is_a_lower_bound_wherever_it_is_one(pages, case):
    record, page = make_record(**CASES[case]), Page(pages[case])
    rows = page.tables["Energy by phase"][1:]
    assert ("Lower bound." in page.text) == (not record.energy.complete)
    if CASES[case].get("priced") == "none":
        assert all(row[1] == "not priced" for row in rows)
    else:
        assert rows[-1][0] == "all" and rows[-1][1].startswith("≥") == (not record.energy.complete)
    if not record.energy.complete:
        assert "host_byte" in page.text and "not priced" in page.text


def test_prices_have_their_sources():
    page = Page(render_run_page(make_record(priced="all"), {}))
    rows = page.tables["Prices and durations"][1:]
    assert len(rows) == 5 and all("Written by hand [sic], 2024" in row for row in rows)
    assert "also published: 1.50 nJ (Another hand, 2023)" in page.text


def test_scenario_and_environment_are_shown(tiny_run):
    page = Page(render_run_page(tiny_run.record, {}))
    assert "noise_std: 1.0e-05" in page.text and "connectivity: - 0.1 - 0.3" in page.text
    assert tiny_run.record.dataset.sha256 in page.text and tiny_run.record.profile.sha256 in page.text


def test_user_strings_are_escaped():
    record = make_record()
    record = record.model_copy(
        update={
            "scenario": {**record.scenario, "description": EVIL, "dataset": {"name": EVIL}},
            "profile": record.profile.model_copy(update={"price_set": EVIL, "title": EVIL, "not_modelled": [EVIL]}),
            "dataset": record.dataset.model_copy(update={"name": EVIL, "source": EVIL}),
            "environment": {EVIL: EVIL},
        }
    )
    from neurosim.reports.figures import render_figures
    from neurosim.reports.page_svg import make_drawing

    drawings = {n: make_drawing(n, found.figure, found.files["svg"]) for n, found in render_figures(record, ("svg",)).items()}
    text = render_run_page(record, drawings)
    page = Page(text)
    assert text.count("<script") == 1 and "alert('x')</script>" not in text
    assert EVIL.replace("  ", " ") in page.text
    assert "49" not in re.sub(r"<svg.*?</svg>", "", text.split("<main")[0], flags=re.DOTALL)


def test_a_page_needs_nothing_from_elsewhere(drawn):
    page = Page(drawn)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action"):
            target = attributes.get(name, "#")
            assert target.startswith("#") or target == "data:,", f"<{tag} {name}={target}>"
    assert "@import" not in drawn and not re.search(r"url\((?!#)", drawn)


def test_figures_are_inline_with_words_and_ids_of_their_own(drawn):
    page = Page(drawn)
    pictures = [a for tag, a in page.tags if tag == "svg"]
    assert len(pictures) == 8
    for attributes in pictures:
        assert attributes["role"] == "img" and len(attributes["aria-label"]) > 20
    assert len(page.ids) == len(set(page.ids))
    used = re.findall(r'(?:href="#|url\(#)([^")]+)', drawn)
    assert used and set(used) <= {*page.ids}


def test_figures_take_the_colours_of_the_page(drawn):
    svg = "".join(re.findall(r"<svg.*?</svg>", drawn, flags=re.DOTALL))
    variables = set(re.findall(r"var\((--[\w-]+)\)", svg))
    assert {"--paper", "--ink", "--faint"} <= variables
    for variable in variables:
        # Defined for light, dark and print.
        assert len(re.findall(rf"{variable}:", drawn.split("</style>")[0])) == 3
    assert "#222222" not in svg and "#ffffff" not in svg and 'fill="var' not in svg


def test_a_row_of_the_wrong_length_is_a_mistake():
    table = PageTable("about", "=name", "number")
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        table.row("alone")


def test_old_records_have_a_page():
    record = make_record()
    record = record.model_copy(update={"verdict": {}, "connectivity": record.connectivity.model_copy(update={"inputs": None})})
    assert [i for i in Page(render_run_page(record, {})).ids if i in dict(SECTIONS)] == [name for name, _ in SECTIONS]
