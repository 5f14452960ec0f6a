"""Modelled time of a chip from its events: latencies by kind of neuron, and what is said where nothing is published."""

import math

import numpy as np
import pytest

from neurosim.accounting.events import KIND, KINDS, PHASE, PHASES, Firing
from neurosim.accounting.pricing import model_time
from neurosim.hardware import load_profile


def test_quiet_neurons_and_spikes_take_their_own_time():
    counts = np.zeros((1, len(PHASES), len(KINDS)), np.int64)
    forward = PHASE["forward"]
    counts[0, forward, KIND["neuron_update"]] = 100
    quiet, spikes = (np.zeros((1, len(PHASES)), np.int64) for _ in range(2))
    quiet[0, forward], spikes[0, forward] = 70, 20
    for set_, seconds in (("davies2018_sim", 30 * 8.4e-9 + 70 * 5.3e-9), ("sanafe2025_fit", 100 * 9.7e-9 + 20 * 30e-9)):
        modelled = model_time(load_profile("loihi1").choose(set_), counts, 1, 0, Firing(spikes, quiet))
        assert math.isclose(modelled.training_s, seconds, rel_tol=1e-12)


@pytest.mark.parametrize("name", ["loihi2", "brainscales1", "cpu_45nm"])
def test_a_chip_without_any_time_names_all_that_takes_time(name):
    counts = np.zeros((1, len(PHASES), len(KINDS)), np.int64)
    for kind in ("synaptic_op", "neuron_update", "host_byte"):
        counts[0, PHASE["forward"], KIND[kind]] = 5
    modelled = model_time(load_profile(name), counts, 1, 0)
    assert modelled.training_s is None and modelled.unmodelled == ("neuron_update", "synaptic_op", "transfer from and to the host")
