"""NIR out and in, PyNN folders and PyTorch modules: what is exact, what is lossy and says so, what is refused."""

import importlib.util
import json
import subprocess
import sys
import warnings
from dataclasses import replace

import h5py
import nir
import numpy as np
import pytest
from networks_given import make_perceptron, make_recurrent, make_spiking

import neurosim as ns
from neurosim.errors import InputError
from neurosim.interchange.nir_in import read_nir
from neurosim.interchange.nir_out import nir_graph
from neurosim.interchange.writing import write_network

SPIKING = {
    "layers": make_spiking(loops=False),
    "loops": make_spiking(),
    "no memory of the read-out": make_spiking(tau_out=0.0, readout="mean"),
    "last": make_spiking(readout="last", v_th=1.5),
}


def spikes(network, n=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random((n, network.n_steps, network.n_inputs)) < 0.2).astype(np.float32)


def without_zeros(matrix):
    weight = matrix.weight.copy()
    weight.eliminate_zeros()
    return weight


@pytest.mark.parametrize("name", SPIKING)
def test_a_spiking_network_comes_back(name, tmp_path):
    network = SPIKING[name]
    write_network(network, "nir", tmp_path / "net.nir", lossy=True)
    back = ns.load_network(tmp_path / "net.nir")
    assert (back.type, back.sizes, back.n_steps, back.readout) == ("lif", network.sizes, network.n_steps, network.readout)
    for a, b in zip(map(without_zeros, network.matrices), back.matrices, strict=True):
        assert np.array_equal(a.indices, b.weight.indices) and np.array_equal(a.indptr, b.weight.indptr)
        assert np.allclose(a.data, b.weight.data, rtol=1e-6, atol=0)
    assert np.isclose(back.spiking.alpha, network.spiking.alpha) and np.isclose(back.spiking.kappa, network.spiking.kappa)
    assert back.spiking.v_th == network.spiking.v_th
    assert "approximates" not in back.origin  # it was written here, and says how its neurons reset
    x = spikes(network)
    assert network.logits(x).std() > 0
    assert (back.logits(x).argmax(axis=1) == network.logits(x).argmax(axis=1)).mean() > 0.9  # rounding may move a spike
    for chip in ("loihi1", "brainscales2"):
        assert ns.check(back, profile=chip).n_cores == ns.check(ns.load_network(tmp_path / "net.nir", steps=7), profile=chip).n_cores


def test_files_of_other_tools_need_a_number_of_steps_and_are_not_evaluated(tmp_path):
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([6])), "w": nir.Affine(rng.normal(size=(4, 6)), np.zeros(4)), "if": nir.IF(np.full(4, 2.0), np.linspace(1, 2, 4)),
        "v": nir.Linear(rng.normal(size=(3, 4))), "out": nir.Output(np.array([3])),
    }  # fmt: skip
    nir.write(tmp_path / "net.nir", nir.NIRGraph(nodes, [("in", "w"), ("w", "if"), ("if", "v"), ("v", "out")]))
    with pytest.raises(InputError, match="--steps"):
        ns.load_network(tmp_path / "net.nir")
    network = ns.load_network(tmp_path / "net.nir", steps=16)
    assert network.sizes == (6, 4, 3) and network.spiking.alpha == pytest.approx(1.0)
    # Thresholds of single neurons are in their weights.
    assert np.allclose(network.matrices[0].weight.toarray() * np.linspace(1, 2, 4) / 2.0, nodes["w"].weight.T, rtol=1e-6)
    assert ns.check(network, profile="loihi1")
    with pytest.raises(InputError, match="NIR resets"):
        ns.evaluate(network, "digits", profile="loihi1")


def test_a_network_without_hidden_neurons_is_exact(tmp_path):
    network = make_perceptron(sizes=(12, 4), cells=(), biases=(1,), scale=0.5)
    write_network(network, "nir", tmp_path / "net.nir")
    back = ns.load_network(tmp_path / "net.nir")
    x = np.random.default_rng(0).normal(size=(5, 12))
    assert np.allclose(back.logits(x), network.logits(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "what", "line"),
    [
        (make_perceptron(), "nir", r"hidden 1 has cells tanh.*--format onnx"),
        (make_recurrent(), "nir", r"lstm 1 has cells lstm.*--format onnx"),
        (make_perceptron(sizes=(12, 4), cells=(), biases=()), "pynn", "no neuron of this network spikes"),
        (make_spiking(), "nir", r"loses its threshold.*--lossy"),
        (make_spiking(), "pynn", r"loses its threshold.*--lossy"),
        (make_spiking(adaptive=0.5, beta=0.2), "nir", "threshold adapts"),
        (make_spiking(refractory=2), "nir", "rest 2 steps"),
        (make_spiking(), "onnx", "no operator of ONNX spikes"),
        (replace(make_spiking(), mean=np.zeros(30), spread=np.ones(30)), "nir", "standardized"),
    ],
)
def test_what_a_format_cannot_say_is_refused_and_another_named(network, what, line, tmp_path):
    with pytest.raises(InputError, match=line) as caught:
        write_network(network, what, tmp_path / "out.nir")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def graph_of(tmp_path, nodes, edges):
    nir.write(tmp_path / "g.nir", nir.NIRGraph(nodes, edges, type_check=False))
    return tmp_path / "g.nir"


def test_graphs_that_are_refused(tmp_path):
    ones, weights = np.ones(4), nir.Linear(np.ones((4, 6)))
    ends = {"in": nir.Input(np.array([6])), "out": nir.Output(np.array([4]))}
    lif = nir.LIF(tau=ones, r=ones, v_leak=0 * ones, v_threshold=ones)
    chain = [("in", "w"), ("w", "n"), ("n", "out")]
    cases = [
        ({"w": nir.Conv2d((8, 8), np.ones((1, 1, 3, 3)), 1, 0, 1, 1, np.ones(1)), "n": lif}, chain, r"node w \(Conv2d\)"),
        ({"w": weights, "n": nir.CubaLIF(ones, ones, ones, 0 * ones, ones)}, chain, r"node n \(CubaLIF\)"),
        ({"w": weights, "n": nir.Delay(ones)}, chain, r"node n \(Delay\)"),
        ({"w": weights, "n": lif}, chain, r"node n \(LIF\): spiking outputs"),
        ({"w": lif, "n": weights}, chain, r"node w \(LIF\): a neuron without weights"),
        ({"w": weights, "n": nir.Linear(np.ones((4, 4)))}, chain, r"node n \(Linear\): two weights without"),
        ({"w": weights, "n": nir.Linear(np.ones((4, 6)))}, [("in", "w"), ("in", "n"), ("w", "out"), ("n", "out")], "node in .*no branches"),
    ]
    for nodes, edges, line in cases:
        with pytest.raises(InputError, match=line):
            read_nir(graph_of(tmp_path, ends | nodes, edges), 8)
    leaky = nir.LIF(tau=ones, r=ones, v_leak=ones, v_threshold=ones)
    deep = [("in", "w"), ("w", "n"), ("n", "v"), ("v", "out")]
    for node, line in (
        (leaky, "v_leak is not 0"),
        (nir.LIF(ones * 1e-6, ones, 0 * ones, ones), "shorter than a step"),
        (nir.LIF(ones, ones, 0 * ones, 0 * ones), "threshold that is not above 0"),
    ):
        with pytest.raises(InputError, match=line):
            read_nir(graph_of(tmp_path, ends | {"w": weights, "n": node, "v": nir.Linear(np.ones((4, 4)))}, deep), 8)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(3)
    with pytest.raises(InputError, match=r"other\.h5: not a NIR file"):
        ns.load_network(tmp_path / "other.h5")


def test_large_dense_weights_are_refused():
    from scipy import sparse

    wide = ns.load_network([sparse.coo_array((np.ones(1), ([0], [0])), shape=(200_000, 4_000))])
    with pytest.raises(InputError, match="GiB.*--format onnx or npz"):
        nir_graph(wide)


def test_a_pynn_folder_holds_every_connection(tmp_path):
    network = make_spiking()
    write_network(network, "pynn", tmp_path / "pynn", lossy=True)
    compile((tmp_path / "pynn" / "network.py").read_text(), "network.py", "exec")
    # What a spike of 1 nA adds within a step: current and membrane in fine steps over its millisecond.
    n_found, added, dt = 0, 0.0, 1e-5
    for step in range(int(1 / dt)):
        added += dt * (np.exp(-step * dt / 0.1) - added / network.spiking.tau_m)
    for matrix in network.matrices[:-1]:
        names = [network.populations[p].replace(" ", "") for p in (matrix.pre, matrix.post)]
        dense = np.zeros(matrix.weight.shape)
        for receptor in ("excitatory", "inhibitory"):
            path = tmp_path / "pynn" / f"{names[0]}_to_{names[1]}_{receptor}.txt"
            assert path.read_text().startswith("# columns")
            for i, j, weight, delay in np.loadtxt(path, ndmin=2):
                assert delay == 1.0 and (weight > 0) == (receptor == "excitatory")
                dense[int(i), int(j)] = weight * added
                n_found += 1
        assert np.allclose(dense, matrix.weight.toarray(), rtol=1e-3)
    assert n_found == sum(without_zeros(m).nnz for m in network.matrices[:-1])
    assert np.array_equal(np.load(tmp_path / "pynn" / "readout.npy"), network.matrices[-1].weight.toarray())
    assert "neurosim.origin" in json.loads((tmp_path / "pynn" / "about.json").read_text())


@pytest.mark.parametrize("backend", ["mock", "brian2"])
def test_a_backend_of_pynn_runs_the_folder(backend, tmp_path):
    pytest.importorskip("pyNN", reason="PyNN is no requirement: pip install 'neurosim[pynn]'")
    if backend != "mock":
        pytest.importorskip(backend, reason=f"{backend} is a simulator that PyNN may use, for development, not for CI")
    network = make_spiking(loops=False, units=(12, 8), n_inputs=20, n_steps=60)
    write_network(network, "pynn", tmp_path / "pynn", lossy=True)
    x = spikes(network, 1, seed=3)
    times = [[float(t) for t in np.flatnonzero(x[0, :, i])] for i in range(network.n_inputs)]
    (tmp_path / "pynn" / "spikes.json").write_text(json.dumps(times))
    start = "import brian2; brian2.prefs.codegen.target = 'numpy'; " if backend == "brian2" else ""  # nothing is compiled
    script = f"{start}import sys, runpy, json; sys.argv = ['network.py', {backend!r}]; found = runpy.run_path('network.py'); "
    script += "print(json.dumps(list(found['run']())))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path / "pynn", capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    scores = np.array(json.loads(done.stdout.splitlines()[-1]))
    assert scores.shape == (network.n_classes,) and np.isfinite(scores).all()
    if backend != "mock":  # which makes spikes up
        want = reset_to_zero(network, x)[0]
        assert scores.argmax() == want.argmax() and np.abs(scores - want).max() <= 0.02 * np.abs(want).max()


def reset_to_zero(network, x):
    """Sums of the outputs of the same weights with neurons that are reset, as NIR and PyNN have them."""
    f32, spiking, hidden = np.float32, network.spiking, network.matrices[:-1]
    v = [np.zeros((len(x), m.weight.shape[1]), f32) for m in hidden]
    total = 0
    for t in range(x.shape[1]):
        z = x[:, t]
        for i, matrix in enumerate(hidden):
            v[i] = f32(spiking.alpha) * v[i] + z @ matrix.weight
            z = (v[i] > f32(spiking.v_th)).astype(f32)
            v[i] *= 1 - z
        total = total + z @ network.matrices[-1].weight + network.biases[len(hidden) + 1]
    return total


class TestImporters:
    """What other tools make of our files; for development, not for CI."""

    @pytest.fixture(autouse=True)
    def _tools(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.torch = pytest.importorskip("torch", reason="PyTorch is for development, not for CI")
            self.norse = pytest.importorskip("norse", reason="norse is for development, not for CI")
            self.snntorch = pytest.importorskip("snntorch", reason="snnTorch is for development, not for CI")
            yield

    network = make_spiking(loops=False, units=(40, 30), n_inputs=60, n_steps=100, tau_out=0.0)

    def run(self, module, x):
        state, total = None, 0
        with self.torch.no_grad():
            for t in range(x.shape[1]):
                values, state = module(self.torch.tensor(x[:, t]), state)
                total = total + values
        return total.numpy()

    def test_norse_and_snntorch_compute_what_the_file_says(self):
        from snntorch.import_nir import import_from_nir

        x, graph = spikes(self.network, 300), nir_graph(self.network, lossy=True)
        want = reset_to_zero(self.network, x)
        for module in (self.norse.torch.from_nir(graph, dt=1e-4), import_from_nir(graph)):
            have = self.run(module, x)
            assert (have.argmax(axis=1) == want.argmax(axis=1)).mean() >= 0.99
        # What the reset of the format costs an untrained network: why the export asks for --lossy.
        assert 0.5 < (want.argmax(axis=1) == self.network.logits(x).argmax(axis=1)).mean() < 1

    def test_snntorch_computes_the_network_itself_with_its_own_reset(self):
        from snntorch.import_nir import import_from_nir

        x, module = spikes(self.network, 300), import_from_nir(nir_graph(self.network, lossy=True))
        n_replaced = 0
        for parent in list(module.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, self.snntorch.Leaky):
                    same = self.snntorch.Leaky(child.beta, threshold=child.threshold, reset_mechanism="subtract", init_hidden=child.init_hidden)
                    setattr(parent, name, same)
                    n_replaced += 1
        assert n_replaced == 2
        have, want = self.run(module, x) / x.shape[1], self.network.logits(x)
        assert (have.argmax(axis=1) == want.argmax(axis=1)).mean() >= 0.99

    @pytest.mark.parametrize(
        "network",
        [
            make_perceptron(), make_perceptron(mean=np.linspace(-1, 1, 64), spread=np.linspace(0.5, 2, 64)), make_recurrent(), make_recurrent(readout="mean"),
            make_recurrent("rnn", "mean"), make_spiking(), make_spiking(refractory=2, readout="last"),
            make_spiking(adaptive=0.5, beta=0.3, refractory=1, loops=False, tau_out=0.0, readout_steps=7),
        ],
    )  # fmt: skip
    def test_a_torch_module_computes_the_same(self, network, tmp_path):
        write_network(network, "torch", tmp_path / "net.py")
        spec = importlib.util.spec_from_file_location("net", tmp_path / "net.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made, rng = module.load(), np.random.default_rng(1)
        if network.type == "mlp":
            x = rng.integers(0, 17, (9, network.n_inputs)).astype(np.float32)
            want, have = network.logits(x), made(self.torch.tensor(x))
        else:
            x = spikes(network, 9) if network.spiking else rng.normal(size=(9, network.n_steps, network.n_inputs)).astype(np.float32)
            lengths = rng.integers(1, network.n_steps + 1, 9)
            want, have = network.logits(x, lengths), made(self.torch.tensor(x), lengths)
        assert np.abs(have.detach().numpy() - want).max() <= 1e-5 * np.abs(want).max()
        have.sum().backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())
        with pytest.raises(InputError, match="identifier"):
            write_network(network, "torch", tmp_path / "my net.py")
