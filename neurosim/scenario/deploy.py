"""A given network on a chip, for inference alone: its scenario is the chip's part of one."""

from dataclasses import asdict, dataclass
from pathlib import Path

from neurosim.documents import Document, Strict, validate
from neurosim.errors import InputError, UnsuitableChipError
from neurosim.interchange import read_any
from neurosim.placement import Positions, Workload, judge, place
from neurosim.placement.families import family_of
from neurosim.placement.limits import has_sign_apart, widest_weight
from neurosim.results.metrics import fullest_of, limits_of
from neurosim.results.network import TrainedNetwork
from neurosim.scenario.experiment import refuse_unless_shared, refuse_unless_spikes_say, refuse_unless_stores
from neurosim.scenario.folder import RESULT
from neurosim.scenario.formats import MOST_THETA_BITS
from neurosim.scenario.load import profile_of
from neurosim.scenario.schema import Hardware
from neurosim.scenario.schema_network import DatasetChoice
from neurosim.scenario.survey import summarize_short

#: Keys of the chip's part that say how it learns.
_OF_LEARNING = ("learning", "headroom", "master", "rounding", "program", "trace_cutoff", "placement")


@dataclass(frozen=True)
class Deployment:
    """A network with its chip, its placement and the verdict on it.

    Attributes
    ----------
    network : TrainedNetwork
    hardware : Hardware
        Its `weight_format` is the one that weights are stored in.
    profile : HardwareProfile
    placement : Placement
    verdict : Verdict
    """

    network: TrainedNetwork
    hardware: Hardware
    profile: object
    placement: object
    verdict: object

    def to_dict(self):
        """The verdict as plain data, with where packets go when each neuron sends one value."""
        rows = self.placement.workload.positions.on(self.placement.layout)
        return {
            **self.verdict.to_dict(),
            "weight_format": self.hardware.weight_format,
            "routes": rows.routes(self.placement.geometry),
        }


class _Chip(Strict):
    """The part of a scenario that a given network needs."""

    hardware: Hardware


class _Data(Strict):
    """The other part."""

    dataset: DatasetChoice


def read_hardware(profile, overrides=()):
    """The chip's part of a scenario, from the name of a chip and assignments.

    Parameters
    ----------
    profile : str
        Name or path.
    overrides : iterable of str, or mapping
        Such as ``hardware.cores=4``, or values by key.

    Returns
    -------
    Hardware

    Raises
    ------
    InputError
        A key that is not one of the chip, or says how it learns.
    """
    document = Document(data={"hardware": {"profile": str(profile)}}, path="--set", text="", is_text=False)
    given = overrides.items() if hasattr(overrides, "items") else [(each, None) for each in overrides]
    for key, value in given:
        name = key.partition("=")[0]
        if not name.startswith("hardware.") or name.split(".")[1] in _OF_LEARNING:
            raise InputError(f"{name}: not a key of a given network, which does not learn; those of the chip are, such as hardware.cores")
        if value is None:
            document.override(key)
        else:
            document.put(key, value, "overrides")
    return validate(_Chip, document, what="chip").hardware


def read_dataset_choice(name, overrides=()):
    """What a data set is asked for with: its name, and assignments such as ``dataset.limit=1000``: `DatasetChoice`.

    Raises
    ------
    InputError
    """
    document = Document(data={"dataset": {"name": str(name)}}, path="--set", text="", is_text=False)
    for each in overrides:
        document.override(each)
    return validate(_Data, document, what="data").dataset


def read_trained(path, n_steps=None):
    """A network from a file of any known format, or from the folder of a finished run.

    Raises
    ------
    InputError
    """
    path = Path(path)
    if path.is_dir() or path.name == RESULT:
        from neurosim.scenario.weights import read_run_network

        return read_run_network(path)
    return read_any(path, n_steps)


def deploy(network, hardware, with_remedies=True, has_spike_inputs=None):
    """Place a network on a chip and judge it; every count is that of its own connections.

    Parameters
    ----------
    network : TrainedNetwork
    hardware : Hardware
        Without a `weight_format`, weights are as wide as the chip stores them.
    with_remedies : bool
    has_spike_inputs : bool, optional
        Whether inputs are spikes, of one bit each; without it, those of a spiking network are.

    Returns
    -------
    Deployment
        Also when it does not fit: see `verdict`.

    Raises
    ------
    UnsuitableChipError
        The chip computes no such cells, or does not store such weights.
    InputError
    """
    profile = profile_of(hardware)
    has_maps = network.maps is not None
    through_time = network.type != "mlp" and not network.spiking and not has_maps
    if has_maps:
        refuse_unless_shared(profile)
    if through_time and not family_of(profile).is_program:
        raise UnsuitableChipError(
            f"{profile.name}: found a network of type {network.type}, but its neurons are circuits that compute no {network.type.upper()} "
            f"(storage.family {profile.storage.family}); choose a chip whose synapses are words in memory"
        )
    if (through_time or has_maps) and hardware.execution != "scan":
        raise InputError(f"hardware.execution: found {hardware.execution} with a network of type {network.type}; use scan")
    if "weight_format" not in hardware.model_fields_set:
        hardware = hardware.model_copy(update={"weight_format": native_format(profile)})
    refuse_unless_stores(hardware.format, profile)
    if network.type == "mlp" or has_maps:
        refuse_unless_spikes_say(network.cells, bool(network.biases), profile)
    topology, positions = network.topology, positions_of(network)
    ranges, n = hardware.weight_range, len(network.matrices)
    if isinstance(ranges, tuple) and len(ranges) != n:
        raise InputError(f"hardware.weight_range: found {len(ranges)} numbers; expected one number or {n}, one per weight matrix")
    workload = Workload(
        topology=topology,
        n_active=positions.n_active,
        execution=hardware.execution,
        code_bytes=hardware.code_bytes,
        rewires=False,
        host_learns=True,
        theta_bits=hardware.format.theta_bits if hardware.format.is_rounded else None,
        has_float16=hardware.format.name == "float16",
        positions=positions,
        has_spike_inputs=network.spiking is not None if has_spike_inputs is None else has_spike_inputs,
    )
    placement = place(profile, workload, None if hardware.cores == "auto" else hardware.cores)
    return Deployment(network, hardware, profile, placement, judge(placement, with_remedies=with_remedies))


@dataclass(frozen=True)
class DeployRow:
    """What one chip makes of a given network.

    Attributes
    ----------
    profile, title : str
    state : {'fits', 'does not fit', 'cannot run'}
    n_chip_cores : int
    n_cores : int, optional
        Cores used.
    weight_format : str, optional
    fullest : dict, optional
        Name, used, limit and unit of the limit with the largest use; cores and the width of weights, which are chosen, apart.
    routes : dict, optional
        See `SegmentRows.routes`.
    reason : str, optional
        Why it cannot run, or does not fit.
    """

    profile: str
    title: str
    state: str
    n_chip_cores: int
    n_cores: int | None = None
    weight_format: str | None = None
    fullest: dict | None = None
    routes: dict | None = None
    reason: str | None = None

    def to_dict(self):
        """Plain data for JSON."""
        return asdict(self)


def survey_network(network, profiles, overrides=()):
    """Place a given network on several chips; no remedies are searched for.

    Parameters
    ----------
    network : TrainedNetwork
    profiles : iterable of str
        Names or paths.
    overrides : iterable of str
        As for `read_hardware`.

    Returns
    -------
    list of DeployRow

    Raises
    ------
    InputError
        A profile that cannot be read, or a key that is wrong on every chip.
    """
    return [_row(network, name, overrides) for name in profiles]


def _row(network, name, overrides):
    hardware = read_hardware(name, overrides)
    profile = profile_of(hardware)
    about = {"profile": profile.name, "title": profile.title, "n_chip_cores": profile.cores.value}
    try:
        found = deploy(network, hardware, with_remedies=False)
    except UnsuitableChipError as error:
        return DeployRow(**about, state="cannot run", reason=str(error))
    verdict = found.to_dict()
    use = fullest_of(limits_of(verdict))
    return DeployRow(
        **about,
        state="fits" if verdict["fits"] else "does not fit",
        n_cores=verdict["n_cores"],
        weight_format=verdict["weight_format"],
        fullest=None if use is None else {"name": use.name, "used": use.used, "limit": use.limit, "unit": use.unit},
        routes=verdict["routes"],
        reason=None if verdict["fits"] else summarize_short(found.verdict),
    )


def positions_of(network):
    """`Positions` of the connections of a network."""
    found = [matrix.weight.tocoo() for matrix in network.matrices]
    return Positions(tuple(w.row.astype("int64") for w in found), tuple(w.col.astype("int64") for w in found))


def native_format(profile):
    """Name of the weight format that is as wide as the chip stores weights: intN, or float32 where that is wider than float32 resolves."""
    bits = widest_weight(profile)[0] - (not has_sign_apart(profile))
    if profile.synapse_word.weight_bits.allowed:
        bits = max(profile.synapse_word.weight_bits.allowed) - (not has_sign_apart(profile))
    return "float32" if not 1 <= bits <= MOST_THETA_BITS else f"int{bits + 1}"
