"""`network.signs: pre`: all connections of a pre neuron share a constant sign, and a row of a crossbar serves them."""

import numpy as np
import pytest

from neurosim.errors import InputError
from neurosim.scenario import Scenario
from neurosim.scenario.experiment import prepare
from neurosim.scenario.trainer import make_trainer

BASE = {
    "name": "signs",
    "dataset": "digits",
    "network": {"layers": [64, 20, 10], "connectivity": 0.5, "signs": "pre"},
    "hardware": {"profile": "odin"},
}
HOST = {"profile": "odin", "learning": "host", "weight_format": "int4", "master": "float32", "override": {"storage.rows": 64}}


def test_weights_keep_the_sign_of_their_pre_neuron():
    scenario = Scenario(**BASE | {"hardware": "spinnaker2_santos"}, training={"epochs": 3, "batch_size": 10, "learning_rate": 0.5})
    trainer, _ = make_trainer(prepare(scenario))
    trainer.run()
    store = trainer.store
    assert store.violations() == []
    signs = np.where(np.signbit(store.slots.weight), -1, 1)
    used = store.slots.active.astype(bool)
    for matrix, (first, last) in enumerate(zip(store.matrices.slot_start[:-1], store.matrices.slot_start[1:], strict=True)):
        here = np.flatnonzero(used[first:last]) + first
        of_pre = {pre: set(signs[here][store.slots.pre[here] == pre]) for pre in np.unique(store.slots.pre[here])}
        assert all(len(found) == 1 for found in of_pre.values())
        assert {-1, 1} == set.union(*of_pre.values()), matrix


def test_a_weight_takes_one_row_of_a_crossbar():
    shared = Scenario(**BASE | {"hardware": HOST})
    each = Scenario(**BASE | {"hardware": HOST, "network": BASE["network"] | {"signs": "each"}})
    assert prepare(shared).verdict.fits
    broken = {use.name for use in prepare(each).verdict.violations}
    assert "in_axons_per_core" in broken


@pytest.mark.parametrize("rewiring", [{"rule": "set"}, {"rule": "dense"}, {"rule": "deep_r", "matrices": [0]}])
def test_signs_that_would_be_learned_are_refused(rewiring):
    with pytest.raises(InputError, match="network.signs"):
        Scenario(**BASE, rewiring=rewiring)
