"""Build a store, train two steps, print the peak memory: run by `cases_memory`, one process a size."""

import json
import sys

from benchmarks.networks import Steps, make_trainer, random_data, sparse_layers
from neurosim.training import Schedule


def main(n_active, n_hidden, batch_size):
    """Compile on a tiny network, then do the same work in the wanted size."""
    _train(1000, 64, batch_size)
    trainer = _train(n_active, n_hidden, batch_size)
    store, network = trainer.store, trainer.network
    print(
        json.dumps(
            {
                "peak_bytes": _peak_bytes(),
                "store_bytes": sum(getattr(a, "nbytes", 0) for group in (store.slots, store.tally, store.matrices) for a in group),
                "tile_bytes": sum(tiles.nbytes for tiles in network._tiles),
                "n_active": store.n_active,
            }
        )
    )


def _train(n_active, n_hidden, batch_size):
    layers, counts = sparse_layers(n_hidden, n_active)
    trainer = make_trainer(layers, counts, random_data(n_hidden, 2 * batch_size), batch_size, schedule=Schedule("constant", 0.01))
    Steps(trainer, 2)()
    return trainer


def _peak_bytes():
    # Not `ru_maxrss`: a child starts with the peak of the process that started it.
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
