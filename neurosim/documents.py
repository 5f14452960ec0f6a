"""Strict YAML in, validated objects out, atomic files to disk.

A document is refused as a whole or understood as a whole. Every refusal is one `InputError` line that starts with
``file:line:`` and names the key.
"""

import hashlib
import os
import re
import reprlib
import typing
from dataclasses import dataclass, field
from pathlib import Path

import pydantic
import yaml

from neurosim.errors import InputError, NeurosimError, nearest

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 40

_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
_CORE_SCHEMA = [  # tag, pattern, characters the text may start with; the first match wins
    ("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", _BOOL, list("tTfF")),
    ("tag:yaml.org,2002:int", _INT, list("-+0123456789")),
    ("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789")),
]


class Strict(pydantic.BaseModel):
    """Base of every schema: unknown keys, "4" for 4, infinities and later changes are refused.

    An int is accepted where a float is declared. YAML has only lists: declare a tuple field as
    ``Annotated[tuple[T, ...], as_tuple]``.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


as_tuple = pydantic.BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


class WrongKey(ValueError):
    """Raised by a validator that knows which key below its own position is wrong.

    Parameters
    ----------
    keys : iterable of str or int
        Path from the validated object to the wrong key; it decides the line in the error.
    message : str
        What is wrong and what is expected.
    """

    def __init__(self, keys, message):
        super().__init__(message)
        self.keys = tuple(keys)


@dataclass
class Document:
    """A parsed mapping that remembers where each key stands.

    Attributes
    ----------
    data : dict
        Plain dicts, lists, str, int, float, bool, None.
    path : str
        Name shown in errors.
    text : str
        The text as read.
    lines : dict of tuple to int
        1-based line of each key path.
    overridden : set of tuple
        Key paths set by `override`; errors there name ``--set`` instead of a line.
    """

    data: dict
    path: str
    text: str
    lines: dict = field(default_factory=dict)
    overridden: set = field(default_factory=set)

    @property
    def sha256(self):
        """Hex digest of the file's bytes, before any override."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def line(self, key_path):
        """1-based line of a key, or of its nearest parent that has one."""
        key_path = tuple(key_path)
        while key_path and key_path not in self.lines:
            key_path = key_path[:-1]
        return self.lines.get(key_path, 1)

    def where(self, key_path):
        """``path:line`` of a key, or ``--set`` when an override put it there."""
        for n in range(1, len(key_path) + 1):
            if tuple(key_path[:n]) in self.overridden:
                return "--set"
        return f"{self.path}:{self.line(key_path)}"

    def override(self, assignment):
        """Apply one ``training.epochs=3`` to `data` (see `set_key`)."""
        dotted, equals, value_text = assignment.partition("=")
        if not equals:
            raise _input_error("--set", f"found {_short(assignment)}; expected KEY=VALUE, such as training.epochs=3")
        self.overridden.add(set_key(self.data, dotted, value_text))


class _Loader(yaml.SafeLoader):
    """Composes nodes only; `_plain` turns them into data. No anchors, aliases or tags, YAML 1.2 core scalars."""

    yaml_implicit_resolvers = {}
    depth = 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not allowed; write the value out", problem_mark=event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem=f"the tag {_short(event.tag)} is not allowed", problem_mark=event.start_mark)
        if self.depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would take for something else, and never writes aliases."""

    def ignore_aliases(self, data):
        return True


def _represent_text(dumper, text):
    # PyYAML folds these line separators into a space unless they are escaped, which only double quotes do.
    style = '"' if set(text) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
for _tag, _pattern, _first in _CORE_SCHEMA:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


def read_yaml(path):
    """Read one strict YAML mapping from a file.

    Raises
    ------
    InputError
        When the file cannot be read, is not UTF-8, or is refused by `parse_yaml`.
    """
    path = Path(path)
    try:
        if not path.is_file():  # before opening: a pipe or a device would block or never end
            raise _input_error(f"{path}:1", "a folder, not a YAML file" if path.is_dir() else "no such file")
        if path.stat().st_size > MAX_BYTES:
            raise _input_error(f"{path}:1", f"more than {MAX_BYTES} bytes; not a scenario or profile")
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise _input_error(f"{path}:1", f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _input_error(f"{path}:{line}", f"byte 0x{content[error.start]:02x} is not UTF-8 text") from None
    return parse_yaml(text, str(path))


def parse_yaml(text, name):
    """Parse one strict YAML mapping.

    Parameters
    ----------
    text : str
    name : str
        Shown in errors and kept as `Document.path`.

    Raises
    ------
    InputError
        For syntax errors, tags, anchors, aliases, merge keys, duplicate or non-text keys, several documents, or
        a document that is not a mapping.
    """
    node = _compose(text, name)
    if not isinstance(node, yaml.MappingNode):
        found = "an empty document" if node is None else f"a {node.id}"
        raise _input_error(f"{name}:{node.start_mark.line + 1 if node else 1}", f"found {found}; expected a mapping of keys to values")
    lines = {}
    data = _plain(node, name, (), lines)
    return Document(data=data, path=name, text=text, lines=lines)


def _compose(text, name):
    """Node tree of the single document in `text`, or None when it is empty."""
    loader = None
    try:
        loader = _Loader(text)  # checks the characters, so it may already refuse
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "not YAML"
        if "another document" in problem:
            problem = "a second document starts here; expected one"
        elif "\\t" in problem:
            problem = "found a tab; indent with spaces"
        elif "mapping values" in problem:
            problem = "found a ': ' that does not belong here; check the indentation, or quote the text"
        raise _input_error(f"{name}:{mark.line + 1 if mark else 1}", problem) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _input_error(f"{name}:{line}", f"character U+{ord(text[error.position]):04X} is not allowed in YAML") from None
    except (ValueError, OverflowError):  # PyYAML lets chr() and int() fail on absurd escapes and versions
        line = loader.line + 1 if loader else 1
        raise _input_error(f"{name}:{line}", "an escape or directive that is not YAML") from None
    finally:
        if loader is not None:
            loader.dispose()


def _plain(node, name, key_path, lines):
    """Data of a node; fills `lines` with the line of every key path below it."""
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, name)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[(*key_path, index)] = item.start_mark.line + 1
            items.append(_plain(item, name, (*key_path, index), lines))
        return items
    data = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
            found = _short(key_node.value) if isinstance(key_node, yaml.ScalarNode) else f"a {key_node.id}"
            raise _input_error(f"{name}:{line}", f"found {found} as a key; expected a text key")
        key = key_node.value
        if key == "<<" and key_node.style is None:
            raise _input_error(f"{name}:{line}", "merge keys (<<) are not allowed; write the keys out")
        if key in data:
            raise _input_error(f"{name}:{line}", f"{_dotted((*key_path, key))} stands twice, first in line {lines[(*key_path, key)]}")
        lines[(*key_path, key)] = line
        data[key] = _plain(value_node, name, (*key_path, key), lines)
    return data


def _scalar(node, name):
    """Value of a scalar by the YAML 1.2 core rules: 010 is ten, 0o10 is eight."""
    kind, text = node.tag.rpartition(":")[2], node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        digits, base = (text[2:], {"0o": 8, "0x": 16}[text[:2]]) if text[:2] in ("0o", "0x") else (text, 10)
        # 19 digits already exceed 64 bits; longer ones would also meet Python's own limit on digits.
        value = int(digits, base) if len(digits.lstrip("+-0")) <= 22 else 2**64
        if abs(value) >= 2**63:
            raise _input_error(f"{name}:{node.start_mark.line + 1}", f"the integer {_short(text)} does not fit 64 bits")
        return value
    if kind == "float":
        return float(text.replace(".", "", 1) if text.lower().lstrip("+-") in (".inf", ".nan") else text)
    return text


def set_key(data, dotted, value_text):
    """Set a nested key from the command line, in place.

    Parameters
    ----------
    data : dict
        Changed in place. Missing levels become mappings; whether they make sense is left to validation.
    dotted : str
        ``training.epochs``, or ``network.layers.1`` for the second item of a list.
    value_text : str
        Parsed by the same rules as a file: ``3``, ``1e-3``, ``fit``, ``[200, 100]``.

    Returns
    -------
    tuple
        The key path.

    Raises
    ------
    InputError
        When the key or value cannot be used.
    """
    label = f"--set {_dotted((dotted,))}"
    parts = dotted.split(".")
    if not all(part and part == part.strip() for part in parts):
        raise _input_error(label, f"found the key {_short(dotted)}; expected words joined by dots, such as training.epochs")
    if not value_text.strip():
        raise _input_error(label, "found no value; expected KEY=VALUE (write null for nothing)")
    node = _compose(value_text, label)
    value = None if node is None else _plain(node, label, (), {})
    level, key_path = data, ()
    for depth, part in enumerate(parts):
        if isinstance(level, list):
            if not re.fullmatch(r"[0-9]{1,9}", part) or int(part) >= len(level):
                expected = f"an index from 0 to {len(level) - 1}" if level else "another key, since the list is empty"
                raise _input_error(label, f"{_dotted(key_path)} is a list; found {_short(part)}; expected {expected}")
            part = int(part)
        elif not isinstance(level, dict):
            raise _input_error(label, f"{_dotted(key_path)} is {_short(level)}, which has no keys")
        key_path += (part,)
        if depth == len(parts) - 1:
            level[part] = value
        else:
            if isinstance(level, dict) and level.get(part) is None:
                level[part] = {}
            level = level[part]
    return key_path


def validate(model_class, document, *, what):
    """Turn a document into a frozen object.

    Parameters
    ----------
    model_class : type
        Subclass of `Strict`.
    document : Document
    what : str
        What the document is, for messages: ``"scenario"``.

    Raises
    ------
    InputError
        One line for the first error: place, key, value found, what is expected, nearest known word.
    """
    try:
        return model_class.model_validate(document.data)
    except pydantic.ValidationError as error:
        # Unknown keys first: a missing key is most often a misspelt one.
        details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    messages = {}  # the members of a union each report at the same key: one problem, several expectations
    for detail in details:
        messages.setdefault(_document_path(detail, document.data), []).append(detail)
    key_path, first = next(iter(messages.items()))
    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    raise _input_error(document.where(key_path), _explain(key_path, first, model_class, what) + more)


def validate_data(model_class, data, *, name, what):
    """`validate` for data that did not come from a file; `name` stands where the path would."""
    return validate(model_class, Document(data=data, path=name, text=""), what=what)


def _document_path(detail, data):
    """Key path in the document of a pydantic error, whose `loc` also holds names of union members."""
    key_path, level = (), data
    for part in detail["loc"]:
        inside = isinstance(level, dict) and part in level or isinstance(level, list) and isinstance(part, int) and part < len(level)
        if inside:
            key_path, level = (*key_path, part), level[part]
    if detail["type"] == "missing":
        key_path += (detail["loc"][-1],)
    if detail["type"].startswith("union_tag"):
        key_path += (detail["ctx"]["discriminator"].strip("'"),)
    return key_path + tuple(getattr(detail.get("ctx", {}).get("error"), "keys", ()))


_QUOTED = re.compile(r"'([^']*)'")  # how pydantic lists the choices
_SHOULD = {
    "model_type": "should be a mapping of keys to values",
    "model_attributes_type": "should be a mapping of keys to values",
    "dict_type": "should be a mapping of keys to values",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "string_type": "should be text",
    "bool_type": "should be true or false",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "finite_number": "should be a finite number",
}


def _explain(key_path, details, model_class, what):
    """Text after ``file:line:`` for the errors at one key."""
    key, kind = _dotted(key_path) or what, details[0]["type"]
    if kind in ("missing", "union_tag_not_found"):
        return f"{key}: this key is required and missing"
    if kind == "extra_forbidden":
        return f"{key} is not a key of the {what}; {nearest(key_path[-1], _known_keys(model_class, details[0]['loc']))}"
    value = details[0]["input"]
    if kind == "union_tag_invalid":
        context = details[0]["ctx"]
        return f"{key}: found {_short(context['tag'])}; {nearest(context['tag'], _QUOTED.findall(context['expected_tags']))}"
    found = "" if isinstance(value, (dict, list)) and kind == "value_error" else f"found {_short(value)}; "
    if kind == "value_error":
        error = details[0]["ctx"]["error"]
        return f"{key}: {'' if getattr(error, 'keys', ()) else found}{error}"
    kinds = {detail["type"] for detail in details}
    should, words = [], []
    for detail in details:
        if detail["type"] == "int_type" and kinds & {"float_type", "finite_number"}:
            continue  # int | float: "a number" says both
        should.append(_SHOULD.get(detail["type"], re.sub(r"^(Input|String) should", "should", detail["msg"])))
        if detail["type"] in ("literal_error", "enum"):
            words += _QUOTED.findall(detail["ctx"]["expected"])
    hint = nearest(value, words) if isinstance(value, str) and len(words) > 1 else ""
    hint = f"; {hint}" if hint.startswith("nearest") else ""  # the known words stand in `should` already
    return f"{key}: {found}{' or '.join(dict.fromkeys(should))}{hint}"


def _known_keys(model_class, loc):
    """Keys of the model in which the last part of a pydantic `loc` was not known."""
    models = [model_class]
    for part in loc[:-1]:
        below = [m for model in models if part in model.model_fields for m in _models_in(model.model_fields[part].annotation)]
        tagged = [m for m in models if part == m.__name__ or any(part in typing.get_args(f.annotation) for f in m.model_fields.values())]
        models = below or tagged or models  # neither: an index or a free key, whose models are already here
    return {key for model in models for key in model.model_fields}


def _models_in(annotation):
    """Models inside an annotation such as ``dict[str, A | B] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def dump_yaml(data):
    """YAML text in the given key order that `parse_yaml` reads back equal, floats to the last bit."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)


def write_atomic(path, content):
    """Write a file so that a reader, or a power cut, sees the old or the new one and never half of it.

    Parameters
    ----------
    path : str or Path
        Its folder must exist.
    content : str or bytes
        Text is written as UTF-8 without changing line ends.

    Raises
    ------
    InputError
        When the file cannot be written there; no temporary file is left.
    """
    path = Path(path)
    content = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.parent / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        # os.open and not mkstemp: the file keeps the permissions that the user's umask gives.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise _input_error(str(path), f"cannot be written: {getattr(error, 'strerror', None) or error}") from None


def bundled_folder(kind):
    """Folder of the YAML files that come with the package.

    Parameters
    ----------
    kind : {"hardware_profiles", "scenarios"}

    Raises
    ------
    NeurosimError
        When the installation lacks them.
    """
    package = Path(__file__).resolve().parent
    folders = [package / "bundled" / kind, package.parent / kind]  # installed; checkout
    for folder in folders:
        if folder.is_dir():
            return folder
    raise NeurosimError(f"the bundled {kind} are missing: no folder {folders[0]} or {folders[1]}; reinstall neurosim")


def bundled_names(kind):
    """Sorted names (file stems) of the bundled YAML files."""
    return sorted(path.stem for path in bundled_folder(kind).glob("*.yaml"))


def find_document(name_or_path, kind, *, what):
    """Path of a bundled document by its name, else of a file by its path.

    Raises
    ------
    InputError
        When it is neither; an unknown name gets the nearest bundled one.
    """
    text = str(name_or_path)
    names = bundled_names(kind)
    if text in names:
        return bundled_folder(kind) / f"{text}.yaml"
    path = Path(text)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 or os.path.isfile(path):
        return path
    raise _input_error(_short(text), f"no such {what}; {nearest(text, names)}; or give the path of a YAML file")


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 40


def _short(value):
    return _REPR.repr(value)


def _dotted(key_path):
    """Key path as words joined by dots, each of bounded length."""
    return ".".join(part if len(part) <= 60 else part[:57] + "..." for part in map(str, key_path))


def _input_error(where, message):
    """One printable line, whatever a file name or key contains."""
    line = f"{where}: {message}"
    return InputError("".join(c if c.isprintable() else repr(c)[1:-1] for c in line))
