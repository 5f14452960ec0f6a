"""One line of the result: a figure, the bar it is held to, and what it was made from."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Settings:
    """How long to measure. `is_quick` is a smoke test: small sizes, and no figure to quote."""

    repetitions: int
    is_quick: bool
    data_dir: str


@dataclass
class Row:
    """A measured figure.

    Attributes
    ----------
    key : str
        Stable name, by which the guard finds the same row in the baseline.
    number : str
        Row of the issue's table.
    figure : float
        What is compared with `bar`; `unit` ``x`` is peer / ours, where more is better.
    bar : float or None
        None for a row that only informs.
    at_least : bool
        Whether the bar is a lower limit; otherwise the figure shall not exceed it.
    ours, peer : float or None
        Medians behind the figure, in `measured_in`.
    figure_range : (float, float) or None
        Smallest and largest figure of one round.
    medians : dict of float
        All contestants of the round, slower forms of a peer included.
    """

    key: str
    number: str
    case: str
    figure: float
    unit: str = "x"
    bar: float | None = None
    at_least: bool = True
    ours: float | None = None
    peer: float | None = None
    peer_name: str = ""
    measured_in: str = "s"
    figure_range: tuple | None = None
    n_repetitions: int = 0
    notes: list = field(default_factory=list)
    medians: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)

    @property
    def is_met(self):
        """Whether the bar is met; None without a bar."""
        if self.bar is None:
            return None
        return self.figure >= self.bar if self.at_least else self.figure <= self.bar

    def as_dict(self):
        """Ready for JSON."""
        return asdict(self) | {"is_met": self.is_met}


def ratio_row(comparison, key, number, case, ours, peers, **more):
    """Row of peer / ours, against the fastest of `peers` (names of contestants).

    Parameters
    ----------
    comparison : benchmarks.peers.timing.Comparison
    ours : str
    peers : sequence of str
        Forms and thread counts of one program; the one with the least median counts.
    """
    peer = min(peers, key=comparison.medians.get)
    quotients = [b / a for a, b in zip(comparison.seconds[ours], comparison.seconds[peer])]
    return Row(
        key=key,
        number=number,
        case=case,
        figure=comparison.medians[peer] / comparison.medians[ours],
        ours=comparison.medians[ours],
        peer=comparison.medians[peer],
        peer_name=peer,
        figure_range=(min(quotients), max(quotients)),
        n_repetitions=len(quotients),
        medians={name: comparison.medians[name] for name in (ours, *peers)},
        **more,
    )


def quotient(comparison, name, base):
    """Median over the rounds of `name` / `base`, and its smallest and largest value.

    For small differences: both contestants of a round met the same state of the machine.
    """
    values = [a / b for a, b in zip(comparison.seconds[name], comparison.seconds[base])]
    return median(values), (min(values), max(values))


RESULTS = Path(__file__).parent / "results"
