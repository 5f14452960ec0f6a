"""Reads the JSON file of a record, checked against its schema."""

import json
import math
from contextlib import contextmanager
from pathlib import Path

import pydantic

from neurosim.documents import read_bytes
from neurosim.errors import InputError, is_debugging, os_trouble

#: No record that this program writes is larger; it takes about ten times as much memory.
MOST_BYTES = 256 * 1024 * 1024


def read_json_record(path, model, versions, what, written_by):
    """Read and validate a record.

    Parameters
    ----------
    path : pathlib.Path
    model : type of pydantic.BaseModel
    versions : sequence of str
        Schemas that are understood, the one that is written first.
    what, written_by : str
        ``result`` and ``run``, or the like: for the error texts.

    Returns
    -------
    model

    Raises
    ------
    InputError
        Missing, damaged, or of another schema version: one line.
    """
    again = f"run the {'scenario' if written_by == 'run' else written_by} again"
    try:
        data = parse_json(read_bytes(path, MOST_BYTES))
    except FileNotFoundError:
        if not path.is_absolute() and (Path("runs") / path).exists():
            raise InputError(f"{path}: no such {what}; there is one in {Path('runs') / path}") from None
        raise InputError(f"{path}: no such {what}; give a folder that `neurosim {written_by}` wrote") from None
    except OSError as error:
        raise os_trouble(error, path, f"not a readable {what}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable {what} ({error})") from None
    version = data.get("schema") if isinstance(data, dict) else None
    if version not in versions:
        raise InputError(f"{path}: schema is {version!r}, this neurosim reads {versions[0]!r}; {again}")
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; {again}") from None


def parse_json(content):
    """Data of a JSON file whose numbers can be shown and written again: finite, and whole ones of 64 bits.

    Raises
    ------
    ValueError, RecursionError
    """
    return json.loads(content.decode("utf-8"), parse_float=_float, parse_int=_int, parse_constant=_float)


@contextmanager
def consistent(*paths):
    """Give one line for a record that its schema allows and that contradicts itself, such as cores without any.

    Nothing that a run or a sweep writes does; what was edited, or damaged in a way that is still JSON, may. Work that shows
    records which were read goes inside. With ``--debug`` the contradiction itself is raised.

    Parameters
    ----------
    *paths : path-like
        Where the records came from, for the error.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if is_debugging():
            raise
        where = ", ".join(map(str, paths))
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{where}: contradicts itself, as no finished work does ({cause}); run it again, or see neurosim --debug") from None


def _float(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def _int(text):
    # 19 digits already exceed 64 bits; longer ones would also meet Python's own limit on digits.
    if len(text) > 20 or abs(int(text)) >= 2**64:
        raise ValueError(f"the integer {text[:20]} does not fit 64 bits")
    return int(text)
