"""Words of errors: values and keys of bounded length, one line each."""

import reprlib

from neurosim.errors import InputError, printable

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 40


def short(value):
    return _REPR.repr(value)


def join_keys(key_path):
    """Key path as words joined by dots, each of bounded length."""
    return ".".join(part if len(part) <= 60 else part[:57] + "..." for part in map(str, key_path))


def input_error(where, message):
    """One printable line, whatever a file name or key contains."""
    return InputError(printable(f"{where}: {message}"))
