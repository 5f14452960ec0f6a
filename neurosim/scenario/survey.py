"""One network on many chips: does it fit, on how many cores, and how large could it be?"""

from dataclasses import asdict, dataclass

from neurosim.documents import WrongKey
from neurosim.errors import DoesNotFitError, InputError, UnsuitableChipError
from neurosim.hardware import load_profile
from neurosim.results.metrics import fullest_of, limits_of
from neurosim.scenario.experiment import most_synapses, prepare, refuse_unless_suitable

#: Keys of a scenario's hardware that hold for its own chip alone, and what they are on others.
OF_A_CHIP = {"cores": "auto", "code_bytes": None, "price_set": None, "corner": None, "override": {}}


@dataclass(frozen=True)
class ChipRow:
    """What one chip makes of a network.

    Attributes
    ----------
    profile, title : str
    state : {'fits', 'does not fit', 'cannot run'}
    learning : {'chip', 'host'}, optional
        Who learns; the host where the chip does not.
    n_cores, n_chip_cores : int, optional
        Cores used, those of the chip.
    fullest : dict, optional
        Name, used, limit and unit of the limit with the largest use, chosen ones apart.
    n_bytes : int, optional
        All that the fullest core keeps, B: local memory, cells, lists and words.
    largest : int, optional
        Most synapses that the chip holds, in equal fractions of all matrices; 0 where it holds none.
    largest_connectivity : float, optional
        The same as a fraction of the possible connections.
    reason : str, optional
        Why it cannot run, or does not fit.
    """

    profile: str
    title: str
    state: str
    learning: str | None = None
    n_cores: int | None = None
    n_chip_cores: int | None = None
    fullest: dict | None = None
    n_bytes: int | None = None
    largest: int | None = None
    largest_connectivity: float | None = None
    reason: str | None = None

    def to_dict(self):
        """Plain data for JSON."""
        return asdict(self)


def survey(scenario, profiles, kept=()):
    """Place a network on several chips. Nothing is trained, and no remedies are searched for.

    A scenario's own chip keeps all keys. On others those of `OF_A_CHIP` are left out: such a chip takes the fewest cores that fit. Where a
    chip does not learn, the host does.

    Parameters
    ----------
    scenario : Scenario
    profiles : iterable of str
        Names or paths.
    kept : iterable of str
        Keys of `OF_A_CHIP` that hold for all chips all the same.

    Returns
    -------
    list of ChipRow

    Raises
    ------
    InputError
        A profile that cannot be read, or a scenario that no chip could run.
    """
    shape = scenario.dataset.shape()
    return [_row(scenario, name, shape, set(kept)) for name in profiles]


def _row(scenario, name, shape, kept):
    profile = load_profile(name)
    hardware = {} if name == scenario.hardware.profile else {k: v for k, v in OF_A_CHIP.items() if k not in kept}
    about = {"profile": profile.name, "title": profile.title, "n_chip_cores": profile.cores.value}
    chosen = scenario.with_(hardware={**hardware, "profile": str(name)})
    try:
        try:
            refuse_unless_suitable(chosen, profile)
        except UnsuitableChipError as error:
            chosen = _with_host(chosen, profile, error)
        experiment = prepare(chosen, shape, with_remedies=False)
    except (UnsuitableChipError, WrongKey) as error:
        return ChipRow(**about, state="cannot run", reason=str(error))
    except DoesNotFitError as error:
        return ChipRow(**about, state="does not fit", learning=chosen.hardware.learning, largest=0, largest_connectivity=0.0, reason=str(error))
    except InputError as error:
        if not hardware:  # of the scenario itself
            raise
        return ChipRow(**about, state="cannot run", reason=str(error))
    placement, verdict = experiment.placement, experiment.verdict
    use = fullest_of(limits_of(verdict.to_dict()))
    counts = placement.workload.n_active if scenario.network.connectivity == "fit" else most_synapses(chosen, experiment.profile, shape)
    largest = sum(counts or (0,))
    return ChipRow(
        **{**about, "n_chip_cores": experiment.profile.cores.value},
        state="fits" if verdict.fits else "does not fit",
        learning=chosen.hardware.learning,
        n_cores=placement.n_cores,
        fullest=None if use is None else {"name": use.name, "used": use.used, "limit": use.limit, "unit": use.unit},
        n_bytes=int(placement.stored_bytes.max()),
        largest=largest,
        largest_connectivity=largest / sum(placement.workload.n_positions),
        reason=None if verdict.fits else summarize_short(verdict),
    )


def _with_host(scenario, profile, error):
    """The scenario with the host learning, where the chip then suits; else the error that it met without."""
    try:
        scenario = scenario.with_(hardware={"learning": "host"})
        refuse_unless_suitable(scenario, profile)
    except InputError:
        raise error from None
    return scenario


def summarize_short(verdict):
    """The limit that is exceeded most, in a few words."""
    worst = verdict.worst
    need = worst.used if worst.least is None else worst.least
    return f"{worst.name} {need:,d} of {worst.limit:,d} {worst.unit} ({worst.where})"
