"""Libraries of formats: loaded when they are needed, asked for by name when they are not there."""

import importlib
from typing import Any

from neurosim.errors import InputError


def need(name: str, extra: str, what: str) -> Any:
    """A library that the package does not install by itself.

    Parameters
    ----------
    name : str
        Of the module.
    extra : str
        Extra of this package that brings it.
    what : str
        What it is needed for, such as ``net.onnx``.

    Raises
    ------
    InputError
        It is not installed, or does not load.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = f"is not installed (pip install 'neurosim[{extra}]')" if isinstance(error, ModuleNotFoundError) else f"does not load: {error}"
        raise InputError(f"{what}: needs the Python package {name}, which {missing}") from None
