"""What a file of another format says beside its network: where it comes from, cores of neurons, labels of classes, as text by key."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import printable
from neurosim.results.network import TrainedNetwork


def metadata_of(network: TrainedNetwork) -> dict[str, str]:
    """What a file says about where the network comes from, as text by key: ``neurosim.origin``, ``.homes``, ``.classes`` as JSON."""
    found = {"neurosim.origin": json.dumps(network.origin)}
    if network.homes:
        cores = {network.populations[p]: _runs(home) for p, home in network.homes.items()}
        found["neurosim.homes"] = json.dumps(cores)  # pairs (core, neurons that lie on it), in the order of the neurons
    if network.classes is not None:
        found["neurosim.classes"] = json.dumps(np.asarray(network.classes).tolist())
    return found


def _runs(home):
    starts = np.flatnonzero(np.diff(home, prepend=-1))
    return [[int(home[a]), int(b - a)] for a, b in zip(starts, [*starts[1:], len(home)], strict=True)]


def with_metadata(network, told, path, producer):
    """What our own export wrote beside the graph; what is damaged is left out, since nothing depends on it."""
    found: dict[str, Any] = {"origin": {"file": Path(path).name, "producer": printable(producer) or "unknown"}}
    try:
        if "neurosim.origin" in told:
            found["origin"] = dict(json.loads(told["neurosim.origin"]))
        if "neurosim.classes" in told:
            classes = np.array(json.loads(told["neurosim.classes"]))
            found |= {"classes": classes} if len(classes) == network.n_classes else {}
        if "neurosim.homes" in told:
            cores = {
                name: np.concatenate([np.full(n, core, np.int32) for core, n in runs]) for name, runs in json.loads(told["neurosim.homes"]).items()
            }
            sizes = dict(zip(network.populations, network.sizes, strict=True))
            if all(len(home) == sizes.get(name) for name, home in cores.items()):
                found["homes"] = {network.populations.index(name): home for name, home in cores.items()}
    except (ValueError, TypeError, KeyError):
        pass
    return replace(network, **found)
