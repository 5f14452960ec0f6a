"""soft DEEP R without a loss, through its rule, its dormant parameters and the store, against the exact law of one connection."""

import json

import numpy as np
import pytest

from neurosim.kernels.drift import walk_soft
from neurosim.validation import laws
from neurosim.validation.soft import SoftPlan, validate_soft

THETA_MIN = -0.4  # p = 0.2, alpha = 0.1, T = 0.01
#: From the facts: predicted with clamping, and simulated by another program.
PREDICTED = {0.1: (0.1901, 0.1910), 0.03: (0.1945, 0.1942)}


def test_laws_against_the_facts():
    assert laws.soft_limit_law(0.1, 0.01, THETA_MIN) == pytest.approx((0.2, 0.1))
    for eta, (predicted, simulated) in PREDICTED.items():
        assert laws.soft_step_correction(0.1, 0.01, eta, THETA_MIN) == pytest.approx(predicted, abs=5e-5)
        # The quoted run states no error.
        assert laws.soft_finite_step_law(0.1, 0.01, eta, THETA_MIN)[0] == pytest.approx(simulated, abs=1e-3)


def test_the_finite_step_law_has_the_limit(monkeypatch):
    """Small steps give the limit and its first correction; twice the nodes give the same."""
    exact = laws.soft_finite_step_law(0.1, 0.01, 3e-3, THETA_MIN)
    assert exact[0] == pytest.approx(laws.soft_step_correction(0.1, 0.01, 3e-3, THETA_MIN), abs=5e-5)
    coarse = laws.soft_finite_step_law(0.1, 0.01, 0.03, THETA_MIN)
    monkeypatch.setattr(laws, "_NODES_A_SIGMA", 8)
    assert laws.soft_finite_step_law(0.1, 0.01, 0.03, THETA_MIN) == pytest.approx(coarse, rel=1e-7)


@pytest.mark.parametrize("case", [(0.2, 0.1, 0.01, 0.1), (0.2, 0.1, 0.01, 0.03), (0.5, 1.0, 0.5, 1e-2), (0.8, 0.5, 0.1, 0.1)])
def test_activation_and_mean(case):
    result = validate_soft(SoftPlan(*case))
    assert result["verdict"] == "inside", result
    assert result["active"]["standard_error"] < 0.003


def test_command(main_cli):
    done = main_cli("validate", "soft_deep_r", "--step-size", "0.1", "--json")
    assert done.code == 0
    active = json.loads(done.out)["active"]
    assert active["corrected"] == pytest.approx(0.1901, abs=5e-5) and abs(active["simulated"] - 0.1910) < 0.004
    table = main_cli("validate", "soft_deep_r", "--step-size", "0.1")
    assert table.code == 0 and f"{active['simulated']:.4f}" in table.out and "verdict: inside" in table.out
    short = main_cli("validate", "soft_deep_r", "--steps", 1)
    assert short.code == 4 and "not resolved" in short.out


def test_a_wrong_step_fails(main_cli, monkeypatch):
    """Noise 10 % too weak for active and dormant alike; a floor that lies too deep."""

    def weak(*a):
        walk_soft(*a[:6], a[6]._replace(noise_std=np.float32(0.9) * a[6].noise_std), *a[7:])

    def deep(*a):
        walk_soft(*a[:5], np.float32(1.1) * a[5], *a[6:])

    assert [validate_soft(SoftPlan(), kernel=kernel)["verdict"] for kernel in (weak, deep)] == ["outside"] * 2
    monkeypatch.setattr(validate_soft, "__kwdefaults__", {"kernel": deep})
    done = main_cli("validate", "soft_deep_r")
    assert done.code == 4 and "verdict: outside" in done.out
