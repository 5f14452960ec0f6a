"""Does it fit? Answered without training, numba or matplotlib."""

from html import escape
from typing import Any

from neurosim.api.choosing import chosen
from neurosim.api.networks import deployed, is_network
from neurosim.api.frames import make_frame
from neurosim.errors import DoesNotFitError, InputError, UnsuitableChipError
from neurosim.results.metrics import limits_of
from neurosim.results.sweep import LimitUse
from neurosim.scenario.experiment import prepare


class Verdict:
    """Whether a network fits a chip: true when it does.

    Parameters
    ----------
    facts : dict
        As result.json holds it; empty for a chip that cannot run the network at all.
    reason : str, optional
        Why the chip cannot run it at all.

    Examples
    --------
    >>> verdict = check("digits_santos")
    >>> bool(verdict), verdict.profile, verdict.n_cores
    (True, 'spinnaker2_santos', 1)
    """

    def __init__(self, facts: dict[str, Any], reason: str | None = None):
        self.facts = facts
        self.reason = reason

    def __bool__(self) -> bool:
        return self.fits

    def __repr__(self) -> str:
        return f"<Verdict: {self.summary}>"

    @property
    def fits(self) -> bool:
        return bool(self.facts.get("fits"))

    @property
    def profile(self) -> str | None:
        """Name of the chip."""
        return self.facts.get("profile")

    @property
    def n_cores(self) -> int | None:
        return self.facts.get("n_cores")

    @property
    def hints(self) -> list[str]:
        """What would help, one sentence each."""
        return list(self.facts.get("hints", ()))

    @property
    def limits(self) -> list[LimitUse]:
        """Every limit of the chip at its fullest place, fullest first."""
        return limits_of(self.facts) if self.facts else []

    @property
    def worst(self) -> LimitUse | None:
        """The limit that is exceeded by the largest factor; None when it fits."""
        return self.limits[0] if self.facts.get("violations") else None

    @property
    def utilization(self):
        """Use and limit of every resource at every place: DataFrame, one row each, fullest first."""
        uses = [*self.facts.get("violations", ()), *self.facts.get("headroom", ())]
        rows = [
            {key: use[key] for key in ("name", "where", "core", "used", "limit", "unit", "source")}
            | {"share": use["used"] / max(1, use["limit"]), "fits": use["fits"]}
            for use in uses
        ]
        return make_frame(sorted(rows, key=lambda row: -row["share"]))

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        if not self.facts:
            return f"cannot run: {self.reason}"
        head = f"{'fits' if self.fits else 'does not fit'} {self.profile} on {self.n_cores} core{'s' * (self.n_cores != 1)}"
        limits = self.limits
        if not limits:
            return f"{head}, which states no limits"
        use = limits[0]
        return f"{head}; {'fullest' if self.fits else 'worst'}: {use.name} {use.used:,d} of {use.limit:,d} {use.unit} ({use.where})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as ``neurosim check --json`` prints it."""
        return self.facts

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(use.name)}</td><td>{escape(use.where)}</td><td>{use.used:,d}</td><td>{use.limit:,d}</td>"
            f"<td>{escape(use.unit)}</td><td>{100 * use.used / max(1, use.limit):.1f} %</td></tr>"
            for use in self.limits
        )
        head = "".join(f"<th>{name}</th>" for name in ("limit", "tightest at", "used", "allowed", "unit", "share"))
        hints = "".join(f"<li>{escape(hint)}</li>" for hint in self.hints)
        return f"<p><b>{escape(self.summary)}</b></p><table><tr>{head}</tr>{rows}</table>" + (f"<ul>{hints}</ul>" if hints else "")


def check(scenario, *, profile=None, steps=None, hardware=None) -> Verdict:
    """Say whether a scenario, or a given network, fits a chip, without training.

    Of a network every count is that of its own connections: rows, axons, words, routing entries, targets and hops.

    Parameters
    ----------
    scenario : Scenario, TrainedNetwork, str, path-like, or what `network_of` takes
        A scenario: an object, the name of a bundled one or the path of a file. A network: an object, the path of an .onnx, .npz or .nir
        file, or the folder of a finished run.
    profile : str, path-like or HardwareProfile, optional
        Another chip than that of the scenario; of a network, the chip.
    steps : int, optional
        Of a network file: steps of a sample, where it leaves them open.
    hardware : dict, optional
        Of a network: keys of a scenario's ``hardware``, such as ``{"cores": 4}``.

    Returns
    -------
    Verdict
        False, with its `reason`, also for a chip that cannot run such a network at all.

    Raises
    ------
    InputError
        A scenario or profile that cannot be used as given.
    """
    try:
        if is_network(scenario):
            return Verdict(deployed(scenario, profile, steps, hardware).to_dict())
        if steps is not None or hardware is not None:
            raise InputError("check: found steps or hardware with a scenario, which says these itself; use Scenario.with_")
        return Verdict(prepare(chosen(scenario, profile)).verdict.to_dict())
    except UnsuitableChipError as error:
        return Verdict({}, str(error))
    except DoesNotFitError as error:
        return Verdict(error.verdict.to_dict(), str(error))
