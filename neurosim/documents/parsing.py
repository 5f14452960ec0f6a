"""Strict YAML: one mapping, YAML 1.2 core scalars, the line of every key."""

import errno
import hashlib
import re
from dataclasses import dataclass, field

import yaml

from neurosim.documents.files import read_bytes
from neurosim.documents.wording import input_error, join_keys, short
from neurosim.errors import os_trouble

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
    overridden : dict of tuple to str
        Key paths set by `override` or `put`, and where from: errors there name that place instead of a line.
    is_text : bool
        False for what a script says, which has no lines.
    """

    data: dict
    path: str
    text: str
    lines: dict = field(default_factory=dict)
    overridden: dict = field(default_factory=dict)
    is_text: bool = True

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
        """``path:line`` of a key, or the place that an override came from, such as ``--set``."""
        for n in range(1, len(key_path) + 1):
            if tuple(key_path[:n]) in self.overridden:
                return self.overridden[tuple(key_path[:n])]
        if tuple(key_path) not in self.lines:  # a level that an override brought along
            for path, place in self.overridden.items():
                if key_path and path[: len(key_path)] == tuple(key_path):
                    return place
        return f"{self.path}:{self.line(key_path)}" if self.is_text else self.path

    def override(self, assignment):
        """Apply one ``training.epochs=3`` to `data` (see `set_key`)."""
        dotted, equals, value_text = assignment.partition("=")
        if not equals:
            raise input_error("--set", f"found {short(assignment)}; expected KEY=VALUE, such as training.epochs=3")
        self.overridden[set_key(self.data, dotted, value_text)] = "--set"

    def put(self, dotted, value, where):
        """Set a nested key to plain data that stands elsewhere: at `where`, such as ``sweep.yaml:7``."""
        self.overridden[put_key(self.data, dotted, value, where)] = where


class _Loader(yaml.SafeLoader):
    """Composes nodes only; `_plain` turns them into data. No anchors, aliases or tags, YAML 1.2 core scalars."""

    yaml_implicit_resolvers = {}
    depth = 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not allowed; write the value out", problem_mark=event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem=f"the tag {short(event.tag)} is not allowed", problem_mark=event.start_mark)
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
    try:
        content = read_bytes(path, MAX_BYTES)
    except FileNotFoundError:
        raise input_error(f"{path}:1", "no such file") from None
    except IsADirectoryError:
        raise input_error(f"{path}:1", "a folder, not a YAML file") from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise input_error(f"{path}:1", f"more than {MAX_BYTES} bytes; not a scenario or profile") from None
        raise os_trouble(error, f"{path}:1", "cannot be read") from None
    except ValueError as error:  # a null character in the path
        raise input_error(f"{path}:1", f"cannot be read: {error}") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise input_error(f"{path}:{line}", f"byte 0x{content[error.start]:02x} is not UTF-8 text") from None
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
        raise input_error(f"{name}:{node.start_mark.line + 1 if node else 1}", f"found {found}; expected a mapping of keys to values")
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
        raise input_error(f"{name}:{mark.line + 1 if mark else 1}", problem) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise input_error(f"{name}:{line}", f"character U+{ord(text[error.position]):04X} is not allowed in YAML") from None
    except (ValueError, OverflowError):  # PyYAML lets chr() and int() fail on absurd escapes and versions
        line = loader.line + 1 if loader else 1
        raise input_error(f"{name}:{line}", "an escape or directive that is not YAML") from None
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
            found = short(key_node.value) if isinstance(key_node, yaml.ScalarNode) else f"a {key_node.id}"
            raise input_error(f"{name}:{line}", f"found {found} as a key; expected a text key")
        key = key_node.value
        if key == "<<" and key_node.style is None:
            raise input_error(f"{name}:{line}", "merge keys (<<) are not allowed; write the keys out")
        if key in data:
            raise input_error(f"{name}:{line}", f"{join_keys((*key_path, key))} stands twice, first in line {lines[(*key_path, key)]}")
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
            raise input_error(f"{name}:{node.start_mark.line + 1}", f"the integer {short(text)} does not fit 64 bits")
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
    label = f"--set {join_keys((dotted,))}"
    if not value_text.strip():
        raise input_error(label, "found no value; expected KEY=VALUE (write null for nothing)")
    node = _compose(value_text, label)
    return put_key(data, dotted, None if node is None else _plain(node, label, (), {}), label)


def put_key(data, dotted, value, label):
    """`set_key` for a value that is plain data already; `label` begins its errors."""
    parts = dotted.split(".")
    if not all(part and part == part.strip() for part in parts):
        raise input_error(label, f"found the key {short(dotted)}; expected words joined by dots, such as training.epochs")
    level, key_path = data, ()
    for depth, part in enumerate(parts):
        rest = ".".join(parts[depth:])
        if isinstance(level, dict) and depth < len(parts) - 1 and rest in level:  # a key of free text, with dots of its own
            level[rest] = value
            return (*key_path, rest)
        if isinstance(level, list):
            if not re.fullmatch(r"[0-9]{1,9}", part) or int(part) >= len(level):
                expected = f"an index from 0 to {len(level) - 1}" if level else "another key, since the list is empty"
                raise input_error(label, f"{join_keys(key_path)} is a list; found {short(part)}; expected {expected}")
            part = int(part)
        elif not isinstance(level, dict):
            raise input_error(label, f"{join_keys(key_path)} is {short(level)}, which has no keys")
        key_path += (part,)
        if depth == len(parts) - 1:
            level[part] = value
        else:
            if isinstance(level, dict) and level.get(part) is None:
                level[part] = {}
            level = level[part]
    return key_path


def dump_yaml(data):
    """YAML text in the given key order that `parse_yaml` reads back equal, floats to the last bit."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)
