import hashlib
import os
import stat
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim import documents
from neurosim.documents import (
    Strict,
    WrongKey,
    as_tuple,
    bundled_folder,
    dump_yaml,
    find_document,
    parse_yaml,
    read_yaml,
    set_key,
    validate,
    validate_data,
    write_atomic,
)
from neurosim.errors import InputError, NeurosimError


class Sgd(Strict):
    kind: Literal["sgd"]
    rate: Annotated[float, pydantic.Field(gt=0)]


class Adam(Strict):
    kind: Literal["adam"]
    beta: float = 0.9


class Training(Strict):
    epochs: Annotated[int, pydantic.Field(ge=1)]
    shuffle: bool = True
    optimizer: Annotated[Sgd | Adam, pydantic.Field(discriminator="kind")]
    connectivity: float | int | Literal["fit", "dense"] = "fit"

    @pydantic.field_validator("epochs")
    @classmethod
    def _not_thirteen(cls, epochs):
        if epochs == 13:
            raise ValueError("thirteen is unlucky; take twelve")
        return epochs


class Layer(Strict):
    size: int


class Experiment(Strict):
    name: str
    training: Training
    sizes: Annotated[tuple[int, ...], as_tuple] = ()
    layers: dict[str, Layer] = {}

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.name == "bad":
            raise WrongKey(["training", "epochs"], "a bad name has no epochs")
        return self


GOOD = """\
name: first
training:
  epochs: 3
  optimizer:
    kind: sgd
    rate: 1e-3
sizes: [784, 300]
layers:
  hidden:
    size: 300
"""


def refusal(call, *args, **kwargs):
    """The one line that a call is refused with."""
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    line = str(caught.value)
    assert line.isprintable() and len(line) < 500, line
    return line


def test_scalars_follow_the_yaml_1_2_core():
    document = parse_yaml(
        "a: 1e-12\nb: on\nc: yes\nd: 1:30\ne: 010\nf: 0o10\ng: 0x1F\nh: 2020-01-01\ni: true\nj: ~\nk: 1_000\nl: .5\nm: '3'\nn: -2\no:\np: -.inf\n",
        "x",
    )
    expected = {
        "a": 1e-12, "b": "on", "c": "yes", "d": "1:30", "e": 10, "f": 8, "g": 31, "h": "2020-01-01", "i": True, "j": None,
        "k": "1_000", "l": 0.5, "m": "3", "n": -2, "o": None, "p": float("-inf"),
    }  # fmt: skip
    assert document.data == expected
    assert [type(value) for value in document.data.values()] == [type(value) for value in expected.values()]


def test_lines_of_keys_and_their_nearest_parents():
    document = parse_yaml(GOOD, "x.yaml")
    assert document.line(("training", "optimizer", "rate")) == 6
    assert document.line(("training", "missing", "deeper")) == 2
    assert document.line(("sizes", 1)) == 7
    assert document.line(("nowhere",)) == document.line(()) == 1
    assert document.where(("training", "epochs")) == "x.yaml:3"


MALFORMED = {
    "duplicate key": ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "b.c stands twice, first in line 3"),
    "anchor": ("a: 1\nb: &x 2\n", 2, "anchors"),
    "alias": ("a: 1\nb: *x\n", 2, "anchors"),
    "laughs": ("a: &a [1, 1]\nb: [*a, *a]\n", 1, "anchors"),
    "merge key": ("a: 1\n<<: {b: 2}\n", 2, "merge"),
    "python tag": ("a: !!python/object/apply:os.system ['true']\n", 1, "tag"),
    "own tag": ("a: 1\nb: !unit 3\n", 2, "tag"),
    "standard tag": ("a: !!float 3\n", 1, "tag"),
    "tagged root": ("!!map {a: 1}\n", 1, "tag"),
    "sequence": ("- a\n- b\n", 1, "mapping"),
    "scalar": ("# comment\nhello\n", 2, "mapping"),
    "empty": ("", 1, "empty"),
    "two documents": ("a: 1\n---\nb: 2\n", 2, "second document"),
    "number as key": ("a: 1\n2: b\n", 2, "key"),
    "boolean as key": ("true: b\n", 1, "key"),
    "list as key": ("? [a]\n: 1\n", 1, "key"),
    "tab": ("a:\n\tb: 1\n", 2, "tab"),
    "unclosed": ("a: 1\nb: [1, 2\n", 3, "expected"),
    "bad indentation": ("a: 1\n  b: 2\n", 2, "indentation"),
    "stray character": ("a: @x\n", 1, "'@'"),
    "null character": ("a: 1\nb: \x00\n", 2, "U+0000"),
    "huge integer": ("a: " + "9" * 5000, 1, "64 bits"),
    "huge hexadecimal": ("a: 0x" + "f" * 5000, 1, "64 bits"),
    "deep": ("a: " + "[" * 500 + "]" * 500, 1, "nested"),
    "absurd escape": ('a: 1\nb: "\\UFFFFFFFF"\n', 2, "escape"),
    "other version": ("%YAML 9.1\n---\na: 1\n", 1, "version"),
    "absurd version": ("%YAML 1." + "9" * 5000 + "\n---\na: 1\n", 1, "directive"),
}


@pytest.mark.parametrize("text, line, words", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_yaml_is_refused_in_one_line(text, line, words):
    message = refusal(parse_yaml, text, "f.yaml")
    assert message.startswith(f"f.yaml:{line}: ") and words in message, message


@given(st.text(alphabet=st.sampled_from("ab:1-[]{},\n '\"#&*!|>%@?<\t\\x0."), max_size=40))
def test_any_text_is_understood_or_refused_in_one_line(text):
    try:
        assert isinstance(parse_yaml(text, "f").data, dict)
    except InputError as error:
        assert str(error).isprintable()


def test_files_that_cannot_be_read(tmp_path):
    missing = tmp_path / "missing.yaml"
    assert refusal(read_yaml, missing) == f"{missing}:1: no such file"
    assert "folder" in refusal(read_yaml, tmp_path)
    assert "no such file" in refusal(read_yaml, tmp_path / "missing.yaml" / "below")
    refusal(read_yaml, "a\0b")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    assert refusal(read_yaml, latin).startswith(f"{latin}:2: byte 0xe9")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (documents.MAX_BYTES + 1))
    assert "more than" in refusal(read_yaml, large)
    os.mkfifo(tmp_path / "pipe")
    refusal(read_yaml, tmp_path / "pipe")
    strange = tmp_path / "line\nbreak.yaml"
    strange.write_text("- 1")
    assert "line\\nbreak.yaml:1: " in refusal(read_yaml, strange)


def test_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "secret.yaml"
    path.write_text("a: 1")

    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)  # root, who runs tests in containers, reads everything
    assert refusal(read_yaml, path) == f"{path}:1: cannot be read: Permission denied"


def test_bom_and_windows_line_ends(tmp_path):
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = read_yaml(path)
    assert document.data == {"a": 1, "b": 2} and document.line(("b",)) == 2
    assert document.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_validate_returns_a_frozen_object():
    experiment = validate(Experiment, parse_yaml(GOOD, "x.yaml"), what="experiment")
    assert experiment.sizes == (784, 300) and experiment.training.optimizer.rate == 1e-3
    with pytest.raises(pydantic.ValidationError):
        experiment.name = "other"


CHANGES = {
    "unknown key": ("  epochs: 3", "  epochs: 3\n  epoch: 3", "x.yaml:4: training.epoch is not a key of the experiment; nearest: epochs"),
    "misspelt required key": ("epochs:", "epoch:", "x.yaml:3: training.epoch is not a key of the experiment; nearest: epochs (and 1 more)"),
    "unknown in union": (
        "    rate: 1e-3",
        "    rate: 1\n    beta: 1",
        "x.yaml:7: training.optimizer.beta is not a key of the experiment; known: kind, rate",
    ),
    "unknown in free key": (
        "    size: 300",
        "    size: 3\n    sise: 3",
        "x.yaml:11: layers.hidden.sise is not a key of the experiment; nearest: size",
    ),
    "missing": ("    rate: 1e-3\n", "", "x.yaml:4: training.optimizer.rate: this key is required and missing"),
    "no tag": ("    kind: sgd\n", "", "x.yaml:4: training.optimizer.kind: this key is required and missing"),
    "wrong tag": ("kind: sgd", "kind: sdg", "x.yaml:5: training.optimizer.kind: found 'sdg'; nearest: sgd"),
    "text for number": ("epochs: 3", "epochs: '3'", "x.yaml:3: training.epochs: found '3'; should be a whole number"),
    "float for integer": ("epochs: 3", "epochs: 3.0", "x.yaml:3: training.epochs: found 3.0; should be a whole number"),
    "boolean for integer": ("epochs: 3", "epochs: true", "x.yaml:3: training.epochs: found True; should be a whole number"),
    "on for boolean": ("epochs: 3", "epochs: 3\n  shuffle: on", "x.yaml:4: training.shuffle: found 'on'; should be true or false"),
    "range": ("epochs: 3", "epochs: 0", "x.yaml:3: training.epochs: found 0; should be greater than or equal to 1"),
    "infinite": ("rate: 1e-3", "rate: .inf", "x.yaml:6: training.optimizer.rate: found inf; should be a finite number"),
    "overflow": ("rate: 1e-3", "rate: 1e999", "x.yaml:6: training.optimizer.rate: found inf; should be a finite number"),
    "not a mapping": ("layers:\n  hidden:\n    size: 300", "layers: 3", "x.yaml:8: layers: found 3; should be a mapping of keys to values"),
    "list item": ("[784, 300]", "[784, x]", "x.yaml:7: sizes.1: found 'x'; should be a whole number"),
    "not a list": ("[784, 300]", "784", "x.yaml:7: sizes: found 784; should be a list"),
    "own message": ("epochs: 3", "epochs: 13", "x.yaml:3: training.epochs: found 13; thirteen is unlucky; take twelve"),
    "own message elsewhere": ("name: first", "name: bad", "x.yaml:3: training.epochs: a bad name has no epochs"),
    "several alternatives": (
        "epochs: 3",
        "epochs: 3\n  connectivity: fitt",
        "x.yaml:4: training.connectivity: found 'fitt'; should be a number or should be 'fit' or 'dense'; nearest: fit",
    ),
    "several": ("epochs: 3", "epochs: x\n  shuffle: 3", "x.yaml:3: training.epochs: found 'x'; should be a whole number (and 1 more)"),
}


@pytest.mark.parametrize("old, new, expected", CHANGES.values(), ids=CHANGES.keys())
def test_validation_errors_say_where_what_and_what_is_expected(old, new, expected):
    assert old in GOOD
    assert refusal(validate, Experiment, parse_yaml(GOOD.replace(old, new), "x.yaml"), what="experiment") == expected


def test_long_values_and_keys_are_shortened():
    message = refusal(validate, Experiment, parse_yaml(GOOD.replace("epochs: 3", f"epochs: {'x' * 5000}"), "x.yaml"), what="experiment")
    assert len(message) < 150
    refusal(validate, Experiment, parse_yaml(GOOD + f"{'k' * 100}: 1\n", "x.yaml"), what="experiment")


def test_validate_data_without_a_file():
    assert refusal(validate_data, Layer, {"size": "x"}, name="layer", what="layer").startswith("layer:1: size: found 'x'")
    assert validate_data(Layer, {"size": 3}, name="layer", what="layer").size == 3
    assert "mapping" in refusal(validate_data, Layer, 3, name="layer", what="layer")


def test_set_key():
    data = {"network": {"layers": [784, 300]}, "empty": None}
    assert set_key(data, "network.layers.1", "200") == ("network", "layers", 1)
    set_key(data, "training.rate", "1e-3")
    set_key(data, "empty.name", "on")
    set_key(data, "sizes", "[1, 2]")
    assert data == {"network": {"layers": [784, 200]}, "empty": {"name": "on"}, "training": {"rate": 1e-3}, "sizes": [1, 2]}


@pytest.mark.parametrize(
    "assignment, words",
    [
        ("training.epochs", "KEY=VALUE"),
        ("=3", "words joined by dots"),
        ("training..epochs=3", "words joined by dots"),
        ("training .epochs=3", "words joined by dots"),
        ("training.epochs=", "no value"),
        ("training.epochs=[1", "expected"),
        ("training.epochs=*x", "aliases"),
        ("training.epochs=!!python/none", "tag"),
        ("training.epochs.more=3", "has no keys"),
        ("sizes.2=3", "index from 0 to 1"),
        ("sizes.x=3", "index from 0 to 1"),
        ("sizes.-1=3", "index from 0 to 1"),
    ],
)
def test_malformed_overrides(assignment, words):
    message = refusal(parse_yaml(GOOD, "x.yaml").override, assignment)
    assert message.startswith("--set") and words in message, message


def test_overrides_are_named_in_validation_errors():
    document = parse_yaml(GOOD, "x.yaml")
    document.override("training.epochs=5")
    assert validate(Experiment, document, what="experiment").training.epochs == 5
    document.override("training.epochs=x=y")
    assert refusal(validate, Experiment, document, what="experiment") == "--set: training.epochs: found 'x=y'; should be a whole number"


scalars = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=12)
words = st.text(min_size=1, max_size=8)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(words, trees, max_size=4))
def test_dumped_yaml_reads_back_equal(data):
    again = parse_yaml(dump_yaml(data), "x").data
    assert again == data and repr(again) == repr(data)  # repr: 1.0 is not 1, and the order of keys stands


@pytest.mark.parametrize(
    "value", ["1e-12", "on", "1:30", "010", "0o7", "2020-01-01", "~", "<<", "null", "", " ", "a: b", "é\n", "=", ".5", "1_0", 5e-324, 1e22, 0.1]
)
def test_dumped_values_keep_their_type(value):
    assert parse_yaml(dump_yaml({"a": value, "b": (value,)}), "x").data == {"a": value, "b": [value]}


def test_dumping_a_shared_object_writes_it_twice():
    shared = [1]
    assert dump_yaml({"a": shared, "b": shared}) == "a:\n- 1\nb:\n- 1\n"


def test_write_atomic_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "result.json"
    write_atomic(path, "one\r\n")
    write_atomic(path, "zwei ä\n")
    assert path.read_bytes() == "zwei ä\n".encode()
    write_atomic(str(path), b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert os.listdir(tmp_path) == ["result.json"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_write_atomic_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_atomic(path, "old")

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert refusal(write_atomic, path, "new") == f"{path}: cannot be written: No space left on device"
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["result.json"]


def test_write_atomic_to_impossible_places(tmp_path):
    (tmp_path / "folder").mkdir()
    refusal(write_atomic, tmp_path / "folder", "x")
    refusal(write_atomic, tmp_path / "missing" / "x", "x")
    refusal(write_atomic, "", "x")
    refusal(write_atomic, "a\0b", "x")
    assert os.listdir(tmp_path) == ["folder"]


def test_bundled_folder_in_a_checkout_and_when_installed(tmp_path, monkeypatch):
    package = tmp_path / "neurosim"
    for folder in ("neurosim/bundled/scenarios", "scenarios"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(documents.files, "__file__", str(package / "documents" / "files.py"))
    assert bundled_folder("scenarios") == package / "bundled" / "scenarios"
    (package / "bundled" / "scenarios").rmdir()
    assert bundled_folder("scenarios") == tmp_path / "scenarios"
    with pytest.raises(NeurosimError, match="hardware_profiles"):
        bundled_folder("hardware_profiles")


def test_find_document_by_name_by_path_and_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "mnist.yaml").write_text("a: 1")
    monkeypatch.setattr(documents.files, "__file__", str(tmp_path / "neurosim" / "documents" / "files.py"))
    assert find_document("mnist", "scenarios", what="scenario") == tmp_path / "scenarios" / "mnist.yaml"
    assert str(find_document("other.yaml", "scenarios", what="scenario")) == "other.yaml"
    assert "nearest: mnist" in refusal(find_document, "mnits", "scenarios", what="scenario")
    refusal(find_document, "a\0", "scenarios", what="scenario")
    refusal(find_document, "", "scenarios", what="scenario")
