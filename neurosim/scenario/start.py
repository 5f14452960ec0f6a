"""What a run starts from, where that is not a first draw: the connections, weights and optimizer of a finished run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurosim.documents.archive import DamagedArchiveError, read_archive
from neurosim.errors import InputError
from neurosim.interchange import looks_like_network
from neurosim.results import read_record

#: Parts of a scenario in which a run and what it starts from must agree: they decide slots and where these lie.
_SAME = ("network", "hardware")
#: Parts of a checkpoint that are taken over.
_PARTS = ("slots", "network", "rule")


@dataclass(frozen=True)
class Start:
    """Arrays to begin with.

    Attributes
    ----------
    slots, network, rule : dict of array
        As `SynapseStore.state`, the state of a network and `Trainer.rule_state` are.
    n_steps : int
        Steps that these weights have made: random draws and the count of the optimizer go on from there.
    sha256 : str
        Over all arrays; it enters the identity of the run.
    place : str
        What errors name.
    """

    slots: dict
    network: dict
    rule: dict
    n_steps: int
    sha256: str
    place: str

    def give(self, trainer):
        """Put a new trainer on these arrays.

        Raises
        ------
        InputError
            They belong to another network, placement or optimizer.
        """
        own_states = {"slots": trainer.store.state(), "network": trainer.network.state(), "rule": trainer.rule_state}
        for what, own in own_states.items():
            given = getattr(self, what)
            for name in own.keys() | given.keys():
                if name not in own or name not in given or own[name].shape != given[name].shape or own[name].dtype != given[name].dtype:
                    raise InputError(
                        f"start_from: found {_shape(given, name)} for {what}.{name} in {self.place}; expected {_shape(own, name)}; "
                        "network, hardware, optimizer and rule must be those of the run that it starts from"
                    )
        trainer.store.restore(self.slots)
        for what in ("network", "rule"):
            for name, array in own_states[what].items():
                array[...] = getattr(self, what)[name]
        if lines := trainer.store.violations():
            raise InputError(f"start_from: {self.place} does not fit this scenario: {lines[0]}")


def _shape(arrays, name):
    return f"shape {arrays[name].shape} of {arrays[name].dtype}" if name in arrays else "nothing"


def find_start(experiment):
    """The `Start` of a scenario, or None where it begins with a first draw or with the network of a file (`scenario.start_given`).

    Raises
    ------
    InputError
        No finished run in that folder, or one of another network, chip or seed.
    """
    path = experiment.scenario.start_from
    return None if path is None or looks_like_network(path) else _of_run(experiment, Path(path).expanduser())


def _of_run(experiment, folder):
    scenario, record = experiment.scenario, read_record(folder)
    own = scenario.model_dump(mode="json", exclude_none=True)
    for part in _SAME:
        for key in own[part].keys() | record.scenario[part].keys():
            a, b = (part_.get(key) for part_ in (record.scenario[part], own[part]))
            if a != b and key != "on_violation":
                raise InputError(f"start_from: {part}.{key} is {a} in {folder} and {b} here; expected the same: connections stay where they are")
    if record.profile.sha256 != experiment.profile.sha256:
        raise InputError(f"start_from: {folder} ran on another profile, {record.profile.name}; expected the same chip")
    if record.seed != scenario.seed and scenario.rewiring.rule_class.signs == "constant":
        raise InputError(
            f"start_from: {folder} has seed {record.seed}, which decides the signs of rule {scenario.rewiring.rule}; found {scenario.seed} here"
        )
    place = folder / "checkpoint.npz"
    try:
        arrays, content = read_archive(place)
    except FileNotFoundError:
        raise InputError(f"start_from: {place}: no such file; give the folder of a finished run") from None
    except DamagedArchiveError as error:
        raise InputError(f"start_from: {place}: {error}; run it again") from None
    kept = {part: {name.removeprefix(f"{part}."): a for name, a in arrays.items() if name.startswith(f"{part}.")} for part in _PARTS}
    values = content["values"]
    return Start(
        **kept,
        n_steps=values["step"] + values.get("first_step", 0),
        sha256=_digest({f"{part}.{name}": array for part, found in kept.items() for name, array in found.items()}),
        place=str(place),
    )


def _digest(arrays):
    hasher = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        hasher.update(f"{name} {array.dtype.str} {array.shape}\n".encode() + array.tobytes())
    return hasher.hexdigest()
