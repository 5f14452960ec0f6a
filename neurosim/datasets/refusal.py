"""One form for every complaint about a data file: where, what was found, what was expected, what to do."""

from neurosim.errors import InputError


def refuse(place, found, expected, advice):
    """Make (not raise) the error that refuses a data file.

    Parameters
    ----------
    place : str or Path
        The file, or the file and the array in it.
    found, expected, advice : str
        What stands there, what should, and what the user can do about it.

    Returns
    -------
    InputError
        Its message is one line, whatever the arguments contain.
    """
    return InputError(one_line(f"{place}: found {found}; expected {expected}; {advice}"))


def one_line(text):
    """`text` as one line; paths and other libraries' messages may contain line breaks."""
    return " ".join(part.strip() for part in str(text).splitlines() if part.strip())


def describe(error):
    """One-line description of a foreign exception: its type and its text."""
    text = one_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
