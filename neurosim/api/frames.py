"""Rows as pandas tables; pandas is an optional part of the installation."""

from neurosim.errors import InputError


def make_frame(rows, index=None):
    """A DataFrame of dicts.

    Parameters
    ----------
    rows : iterable of dict
    index : str, optional
        Column that names the rows.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    InputError
        pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise InputError("tables need pandas, which is not installed: pip install pandas, or pip install 'neurosim[pandas]'") from None
    frame = pandas.DataFrame(list(rows))
    return frame.set_index(index) if index and len(frame) else frame
