"""The loops of spiking networks, compiled for this computer, against the network in float64: what is priced by its cycles computes what it says."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from neurosim.networks import Spiking
from reference_spiking import Twin

PROGRAM = Path(__file__).resolve().parents[2] / "program"
N_INPUTS, N_UNITS, N_CLASSES, N_STEPS = 6, 40, 3, 25


@pytest.fixture(scope="module")
def loops(tmp_path_factory):
    """The functions of spiking.c: call with numbers and arrays; floats are float32."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("loops")
    (folder / "all.c").write_text(f'#include "{PROGRAM / "spiking.c"}"\nvolatile uint32_t router_key, generator_register;\n', encoding="utf-8")
    # Half floats have another name here, and no loop of them is called.
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-D__fp16=float", f"-I{PROGRAM}", "-o", folder / "loops.so", folder / "all.c"], check=True)
    library = ctypes.CDLL(str(folder / "loops.so"))

    def call(name, *arguments):
        kinds = {int: ctypes.c_uint32, float: ctypes.c_float}
        made = [a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else kinds[type(a)](a) for a in arguments]
        getattr(library, name)(*made)

    return call


def network(cell, **more):
    """One layer without recurrent synapses, in float64, and a sample of values and a class."""
    rng = np.random.default_rng(3)
    numbers = {"adaptive": 0.5, "beta": 0.4, "tau_a": 30.0} if cell == "alif" else {}
    spiking = Spiking(tau_m=6.0, tau_out=5.0, v_th=0.6, readout="every", method="eprop", **numbers, **more)
    twin = Twin(spiking, [rng.normal(0, 0.6, (N_INPUTS, N_UNITS))], [None], rng.normal(0, 1, (N_UNITS, N_CLASSES)), np.zeros(N_CLASSES))
    x = (rng.random((N_STEPS, N_INPUTS)) < 0.4).astype(float)
    return twin, x, 1


def bits_of(flags):
    """Words of spikes."""
    words = np.zeros(-(-len(flags) // 32) + 1, np.uint32)
    for k in np.flatnonzero(flags):
        words[k // 32] |= np.uint32(1 << (k % 32))
    return words


def f32(array):
    return np.ascontiguousarray(array, np.float32)


@pytest.mark.parametrize("cell", ["lif", "alif"])
@pytest.mark.parametrize("refractory", [0, 2])
@pytest.mark.parametrize("phase", ["forward", "evaluate"])
def test_neurons_step_by_step(cell, refractory, phase, loops):
    twin, x, _ = network(cell, refractory=refractory)
    z, psi, _ = twin.forward(x)
    assert z[0].sum() > 100
    s, beta = twin.spiking, f32(twin.beta[0])
    v, a, spikes, found, wait = (
        f32(np.zeros(N_UNITS)),
        f32(np.zeros(N_UNITS)),
        bits_of(np.zeros(N_UNITS)),
        f32(np.zeros(N_UNITS)),
        np.zeros(N_UNITS, np.uint16),
    )
    for t in range(N_STEPS):
        sums = f32(x[t] @ twin.inputs[0])
        learning = [found, s.gamma / s.v_th, s.slope] if phase == "forward" else []
        adapting = [a, beta, s.rho] if cell == "alif" else []
        loops(f"{cell}_{phase}", N_UNITS, sums, v, spikes, s.alpha, s.v_th, 1 / s.v_th, *learning, *adapting)
        if refractory:
            loops("refractory", N_UNITS, wait, spikes, found, refractory)
        np.testing.assert_array_equal(spikes, bits_of(z[0][t]))
        if phase == "forward":
            np.testing.assert_allclose(found, psi[0][t], atol=1e-5)


@pytest.mark.parametrize("cell", ["lif", "alif"])
def test_errors_go_back(cell, loops):
    twin, x, label = network(cell)
    _, psi, y = twin.forward(x)
    _, e = twin.loss(y, label)
    s, beta = twin.spiking, f32(twin.beta[0])
    _, (want, *_) = twin.back_through_time(x, label)
    lam, dv, da, total = f32(np.zeros(N_CLASSES)), f32(np.zeros(N_UNITS)), f32(np.zeros(N_UNITS)), np.zeros((N_INPUTS, N_UNITS), np.float32)
    pre, post = (a.ravel().astype(np.uint16) for a in np.meshgrid(np.arange(N_INPUTS), np.arange(N_UNITS), indexing="ij"))
    for t in range(N_STEPS - 1, -1, -1):
        loops("readout_step", N_CLASSES, f32(e[t]), lam, s.kappa)
        dz = f32(np.zeros(N_UNITS))
        for c in range(N_CLASSES):
            loops("feed_back", N_UNITS, f32(twin.output[:, c]), float(lam[c]), dz)
        adapting = [da, beta] if cell == "alif" else []
        loops(f"{cell}_backward", N_UNITS, f32(psi[0][t]), dz, dv, *adapting, s.alpha, *([s.rho] if cell == "alif" else []))
        loops("gradient_spikes", pre.size, pre, post, bits_of(x[t]), dv, total)
    np.testing.assert_allclose(total, want[0], atol=1e-5)


@pytest.mark.parametrize("cell", ["lif", "alif"])
@pytest.mark.parametrize("own", ["", "_own"])
@pytest.mark.parametrize("method, kind", [("eprop", "filter"), ("eprop_factorised", "factor"), ("eprop", "sum")])
def test_traces_give_the_gradient(cell, own, method, kind, loops):
    """As e-prop simulates them; `sum` with the one signal of a mean, known at the end."""
    twin, x, label = network(cell)
    object.__setattr__(twin.spiking, "method", method)
    if kind == "sum":
        object.__setattr__(twin.spiking, "readout", "mean")
    _, psi, y = twin.forward(x)
    _, e = twin.loss(y, label)
    _, (want, *_) = twin.online(x, label)
    s, beta, n = twin.spiking, f32(twin.beta[0]), N_INPUTS * N_UNITS
    pre, post = (a.ravel().astype(np.uint16) for a in np.meshgrid(np.arange(N_INPUTS), np.arange(N_UNITS), indexing="ij"))
    trace, mine, eps, kept, g = f32(np.zeros(N_INPUTS)), *(f32(np.zeros(n)) for _ in range(4))
    signal = f32(twin.output @ e[-1])
    for t in range(N_STEPS):
        loops("trace_step", N_INPUTS, bits_of(x[t]), trace, s.alpha)
        now = signal if kind == "sum" else f32(twin.output @ e[t])
        left = float(sum(s.kappa**k for k in range(N_STEPS - t)))  # what the leak of the read-out will leave of it
        loops(f"eligible_{kind}_{cell}{own}", n, pre, post, f32(psi[0][t]), now, trace, bits_of(x[t]), mine, eps, kept, g, f32(np.zeros(n)), beta, s.alpha, s.rho, s.kappa, left)  # fmt: skip
    if kind == "sum":
        loops("eligible_end", n, post, signal, kept, g)
        assert not kept.any()
    np.testing.assert_allclose(g.reshape(N_INPUTS, N_UNITS), want[0], atol=1e-5)
