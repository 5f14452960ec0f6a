"""Spiking networks trained from scenarios, one step at a time: every budget holds after every step, and threads change no bit."""

from collections import Counter

import numba
import numpy as np
import pytest
from test_recurrent_limits import make_trainer, positions

NETWORK = {"type": "alif", "units": 14, "connectivity": (0.3, 0.2, 0.5), "adaptive": 0.5, "beta": 0.5, "v_th": 0.3}
_LIF = {"type": "lif", "adaptive": None, "beta": None}  # whose traces are of neurons alone
TRAINING = {"epochs": 3, "batch_size": 8, "optimizer": "adam", "learning_rate": 0.02}


def make(recordings, rule="deep_r", scope="core", method="eprop", batch_size=8, **network):
    rewiring = {"noise_std": 0.05, "l1": 1e-3} if rule == "deep_r" else {"rule": rule, "period": 3}
    return make_trainer(
        recordings, network=NETWORK | network, training=TRAINING | {"method": method, "batch_size": batch_size}, rewiring={**rewiring, "scope": scope}
    )


@pytest.mark.parametrize(
    "rule, scope, method", [("deep_r", "core", "eprop"), ("deep_r", "network", "bptt"), ("set", "layer", "eprop"), ("rigl", "core", "bptt")]
)
def test_the_promised_number_is_active_after_every_step_and_nobody_projects_to_itself(rule, scope, method, recordings):
    trainer = make(recordings, rule, scope, method)
    store, plan = trainer.store, trainer.store.plan
    promised = [sum(s.n_active for s in plan.segments if s.matrix == m) for m in range(3)]
    before, moved, is_done, n_steps = positions(store), Counter(), False, 0
    while not is_done:
        is_done = trainer.run(should_stop=lambda: True)
        now, n_steps = positions(store), n_steps + 1
        have = Counter(matrix for matrix, _, _ in now)
        assert sum(have.values()) == sum(promised) if scope == "network" else [have[m] for m in range(3)] == promised
        assert not any(matrix == 1 and pre == post for matrix, pre, post in now)
        moved.update(matrix for matrix, _, _ in now - before)
        before = now
    assert n_steps >= 36 and store.violations() == []
    assert min(moved[m] for m in range(3)) > 0, "a matrix that never rewires proves nothing"


def test_proposals_fill_all_positions_but_those_of_neurons_to_themselves(recordings):
    """Dense but for one: whatever arrives goes to what is left, by rank draws if need be, and never onto the diagonal."""
    n = 14 * 13
    trainer = make(recordings, connectivity=(0.3, (n - 1) / n, 0.5))
    store = trainer.store
    while not trainer.run(should_stop=lambda: True):
        found = {(pre, post) for matrix, pre, post in positions(store) if matrix == 1}
        assert len(found) == n - 1 and all(pre != post for pre, post in found)


@pytest.mark.parametrize("batch_size", [1, 40, 100])
@pytest.mark.parametrize("method", ["bptt", "eprop", "ottt"])
def test_threads_change_no_bit(method, batch_size, recordings):
    before, found = numba.get_num_threads(), []
    try:
        for n_threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(n_threads)
            layers = {"units": [14, 11], "connectivity": (0.3, 0.2, 0.4, 0.2, 0.5), "readout": "every"} | _LIF if method == "ottt" else {}
            trainer = make(recordings, method=method, batch_size=batch_size, **layers)
            assert trainer.run()
            arrays, values = trainer.state()
            found.append(({name: np.array(array).tobytes() for name, array in arrays.items()}, [epoch["train_loss"] for epoch in values["history"]]))
    finally:
        numba.set_num_threads(before)
    assert found[0] == found[1]
    assert trainer.store.tally.nonzero.sum() > 0
