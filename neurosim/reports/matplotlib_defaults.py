"""matplotlib as it comes: what a user has chosen for own figures neither stops nor changes those of a report.

Whoever needs matplotlib in this room imports this module first.
"""

import os
from contextlib import contextmanager, suppress


def _import_matplotlib():
    """Import it without the user's backend: that of a Jupyter which is not installed here would stop the import."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend  # for figures of their own
    return matplotlib


_matplotlib = _import_matplotlib()


@contextmanager
def own_defaults():
    """Draw with the defaults of matplotlib until the end of the block, not with the user's ``matplotlibrc``."""
    with _matplotlib.rc_context():
        _matplotlib.rcdefaults()
        yield
