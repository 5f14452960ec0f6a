"""Reads the JSON file of a record, checked against its schema."""

import json

import pydantic

from neurosim.errors import InputError


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
        if path.exists() and not path.is_file():  # before opening: a pipe or a device would block or never end
            raise InputError(f"{path}: not a readable {what} (no regular file)")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such {what}; give a folder that `neurosim {written_by}` wrote") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable {what} ({error})") from None
    version = data.get("schema") if isinstance(data, dict) else None
    if version not in versions:
        raise InputError(f"{path}: schema is {version!r}, this neurosim reads {versions[0]!r}; {again}")
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; {again}") from None
