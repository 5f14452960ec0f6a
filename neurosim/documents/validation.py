"""From a document to a frozen, validated object; every refusal is one line that names file, line and key."""

import re
import typing

import pydantic

from neurosim.documents.parsing import Document
from neurosim.documents.wording import input_error, join_keys, short
from neurosim.errors import InputErrors, nearest


class Strict(pydantic.BaseModel):
    """Base of every schema: unknown keys, "4" for 4, infinities and later changes are refused.

    An int is accepted where a float is declared. YAML has only lists: declare a tuple field as
    ``Annotated[tuple[T, ...], as_tuple]``.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _OneLine(type(Strict)):
    """Lets a call of a schema answer like a file that says the same: with one line."""

    def __call__(cls, **data):
        return validate(cls, Document(data=data, path=cls.__name__, text="", is_text=False), what=cls.__name__.lower())


class Called(Strict, metaclass=_OneLine):
    """Base of schemas that scripts call, ``Scenario(name=..., ...)``; what is wrong is an `InputError` and no pydantic one."""


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
        #: Further ones, found by the same validator.
        self.more = ()

    @staticmethod
    def raise_all(found):
        """Raise the first of some, with the others as its `more`; nothing where there are none."""
        if found:
            flat = [one for error in found for one in (error, *error.more)]
            flat[0].more = tuple(flat[1:])
            raise flat[0]


def collect_wrong(*checks):
    """Call every check, and raise all that they find to be wrong at once.

    Raises
    ------
    WrongKey
        The first, with the others as its `more`.
    """
    found = []
    for check in checks:
        try:
            check()
        except WrongKey as error:
            found.append(error)
    WrongKey.raise_all(found)


def validate(model_class, document, *, what, context=None, every=False):
    """Turn a document into a frozen object.

    Parameters
    ----------
    model_class : type
        Subclass of `Strict`.
    document : Document
    what : str
        What the document is, for messages: ``"scenario"``.
    context : dict, optional
        What validators may ask for.
    every : bool
        Whether all errors are told, one line each, and not only the first.

    Raises
    ------
    InputError
        One line for the first error: place, key, value found, what is expected, nearest known word.
    """
    try:
        return model_class.model_validate(document.data, context=context)
    except pydantic.ValidationError as error:
        problems = _problems(error, document.data)
    lines = [(key_path, _explain(key_path, details, model_class, what)) for key_path, details in problems]
    for key_path, details in problems:
        error = details[0].get("ctx", {}).get("error")
        base = key_path[: len(key_path) - len(getattr(error, "keys", ()))]
        lines += [((*base, *one.keys), f"{join_keys((*base, *one.keys))}: {one}") for one in getattr(error, "more", ())]
    if every:
        raise InputErrors([str(input_error(document.where(key_path), text)) for key_path, text in lines])
    (key_path, text), more = lines[0], f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    raise input_error(document.where(key_path), text + more)


def check_part(model_class, data, *, what):
    """Validate a part of a document inside a validator of the whole, by a schema that the part itself names.

    Parameters
    ----------
    model_class : type
        Subclass of `Strict`.
    data : dict
    what : str
        What the part is, for messages about unknown keys: ``"rule set"``.

    Raises
    ------
    WrongKey
        The first problem, at its key.
    """
    try:
        return model_class.model_validate(data)
    except pydantic.ValidationError as error:
        problems = _problems(error, data)
    found = []
    for key_path, details in problems:
        text = _problem(details)
        if details[0]["type"] == "extra_forbidden":
            text = f"{what} does not use it; {nearest(key_path[-1], _known_keys(model_class, details[0]['loc']))}"
        found.append(WrongKey(key_path, text))
    WrongKey.raise_all(found)


def _problems(error, data):
    """Problems of a pydantic error, worst first: key path and details of each."""
    # Unknown keys first: a missing key is most often a misspelt one.
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    messages = {}  # the members of a union each report at the same key: one problem, several expectations
    for detail in details:
        messages.setdefault(_document_path(detail, data), []).append(detail)
    # Where one member of a union finds its problem inside a list, the list is right, and that it is no number does not matter.
    outer = [path for path in messages if any(len(path) < len(other) and path == other[: len(path)] for other in messages)]
    messages = {path: found for path, found in messages.items() if path not in outer}
    return list(messages.items())


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
    key, kind = join_keys(key_path) or what, details[0]["type"]
    if kind in ("missing", "union_tag_not_found"):
        return f"{key}: this key is required and missing"
    if kind == "extra_forbidden":
        return f"{key} is not a key of the {what}; {nearest(key_path[-1], _known_keys(model_class, details[0]['loc']))}"
    return f"{key}: {_problem(details)}"


def _problem(details):
    """What was found at a key and what is expected there."""
    kind, value = details[0]["type"], details[0]["input"]
    if kind == "missing":
        return "this key is required and missing"
    if kind == "union_tag_invalid":
        context = details[0]["ctx"]
        return f"found {short(context['tag'])}; {nearest(context['tag'], _QUOTED.findall(context['expected_tags']))}"
    found = "" if isinstance(value, (dict, list)) and kind == "value_error" else f"found {short(value)}; "
    if kind == "value_error":
        error = details[0]["ctx"]["error"]
        return f"{'' if getattr(error, 'keys', ()) else found}{error}"
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
    return f"{found}{' or '.join(dict.fromkeys(should))}{hint}"


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
