"""Runs of networks with maps: threads, interruption, exact numbers of connections, weights out, and what is refused."""

import json

import numba
import numpy as np
import pytest

from neurosim.errors import InputError, UnsuitableChipError
from neurosim.results.network import read_network
from neurosim.scenario import Scenario
from neurosim.scenario.callbacks import Callback
from neurosim.scenario.experiment import prepare
from neurosim.scenario.runner import run_scenario
from neurosim.scenario.trainer import make_trainer, set_threads
from neurosim.scenario.weights import network_of, read_run_network

LAYERS = [
    {"conv": 6, "kernel": 3, "padding": "same"},
    {"pool": "max", "window": 2},
    {"conv": 8, "kernel": 3, "padding": 1},
    {"pool": "average", "window": 3, "stride": 2, "padding": 1},
    "flatten",
    20,
    10,
]
NETWORK = {"input_shape": [1, 8, 8], "layers": LAYERS, "bias": True, "connectivity": [1.0, 0.3, 0.4, 1.0]}


def make_scenario(network=NETWORK, rule=None, **parts):
    data = {
        "name": "maps",
        "dataset": {"name": "digits", "limit": 300},
        "network": network,
        "hardware": {"profile": "spinnaker2", "cores": 3},
        "training": {"epochs": 2, "batch_size": 50, "learning_rate": 0.1, "optimizer": "momentum"},
        "rewiring": rule or {"rule": "deep_r", "matrices": [1, 2], "l1": [0, 1e-3, 1e-3, 0], "noise_std": 1e-4},
    }
    return Scenario(**{**data, **parts})


#: Long enough to learn something.
LONGER = {"dataset": {"name": "digits"}, "training": {"epochs": 5, "batch_size": 20, "learning_rate": 0.1, "optimizer": "momentum"}}


def run_trainer(scenario, n_threads=1):
    set_threads(n_threads)
    trainer, _ = make_trainer(prepare(scenario))
    trainer.run()
    return trainer


def state_of(trainer):
    return {name: array.copy() for name, array in [*trainer.store.state().items(), *trainer.network.state().items()]}


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")
def test_any_number_of_threads_gives_the_same_bits():
    one, two = (run_trainer(make_scenario(), n) for n in (1, 2))
    set_threads(1)
    for name, array in state_of(one).items():
        np.testing.assert_array_equal(array, state_of(two)[name], err_msg=name)
    np.testing.assert_array_equal(one.store.tally.by_segment, two.store.tally.by_segment)
    assert one.history[-1].train_loss == two.history[-1].train_loss


@pytest.mark.parametrize("rule", [None, {"rule": "set", "matrices": [1, 2], "period": 3}, {"rule": "rigl", "period": 4}, {"rule": "static"}])
def test_as_many_connections_as_promised_at_every_moment(rule):
    scenario = make_scenario(rule=rule)
    trainer = run_trainer(scenario)
    n_active = prepare(scenario).placement.workload.n_active
    assert [len(trainer.store.connections(m)[0]) for m in range(4)] == list(n_active)
    assert {record.n_active_least for record in trainer.history} <= {sum(n_active), None}
    assert trainer.store.violations() == []
    is_moved = trainer.store.tally.by_segment[:, 6] > 0
    matrices = np.array([segment.matrix for segment in trainer.store.plan.segments])
    if rule is None or rule["rule"] == "set":
        assert is_moved[np.isin(matrices, [1, 2])].any() and not is_moved[np.isin(matrices, [0, 3])].any()


def test_dense_layers_learn_their_signs_beside_sparse_ones():
    scenario = make_scenario(**LONGER)
    trainer, first = run_trainer(scenario), make_trainer(prepare(scenario))[0]
    signs = [np.signbit(t.store.dense(0)[t.store.connections(0)[:2]]) for t in (trainer, first)]
    assert trainer.store.dense(0).all() and first.store.dense(0).all()
    assert (signs[0] != signs[1]).any()


def test_an_interrupted_run_goes_on_bit_by_bit(tmp_path):
    scenario = make_scenario()
    whole, _ = run_scenario(scenario, out=tmp_path / "whole", n_threads=1)

    class Stop(Exception):
        pass

    class Breaker(Callback):
        def on_epoch_end(self, run, epoch):
            raise Stop

    with pytest.raises(Stop):
        run_scenario(scenario, out=tmp_path / "broken", n_threads=1, callbacks=[Breaker()])
    resumed, _ = run_scenario(scenario, out=tmp_path / "broken", resume=True, n_threads=1)
    assert resumed.accuracy == whole.accuracy and resumed.events == whole.events and resumed.traffic_bytes == whole.traffic_bytes
    a, b = (read_run_network(tmp_path / name) for name in ("whole", "broken"))
    for one, other in zip(a.matrices, b.matrices, strict=True):
        np.testing.assert_array_equal(one.weight.toarray(), other.weight.toarray())


def test_onnxruntime_predicts_as_the_run_did(tmp_path, main_cli):
    onnxruntime = pytest.importorskip("onnxruntime")
    scenario = make_scenario(**LONGER)
    record, folder = run_scenario(scenario, out=tmp_path / "run", n_threads=1)
    assert main_cli("export", folder, "--format", "onnx", "--out", "net.onnx").code == 0
    data = scenario.dataset.load()
    x = data.x_test.reshape(-1, 1, 8, 8).astype(np.float32)
    (logits,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"input": x})
    want = read_run_network(folder).logits(data.x_test)
    assert np.abs(logits - want).max() <= 1e-5 * np.abs(want).max()
    assert (logits.argmax(axis=1) == data.y_test).mean() == pytest.approx(record.accuracy.test, abs=1.5 / len(data.y_test))


def test_weights_leave_and_predict_as_the_run_did(tmp_path):
    scenario = make_scenario(**LONGER)
    record, _ = run_scenario(scenario, out=tmp_path / "run", n_threads=1)
    network = read_run_network(tmp_path / "run")
    data = scenario.dataset.load()
    logits = network.logits(data.x_test)
    accuracy = (logits.argmax(axis=1) == data.y_test).mean()
    assert accuracy == pytest.approx(record.accuracy.test, abs=1.5 / len(data.y_test))
    assert record.accuracy.test > 0.4
    network.to_npz(tmp_path / "network.npz")
    again = read_network(tmp_path / "network.npz")
    assert again.maps == json.loads(json.dumps(network.maps)) and again.n_features == 64
    np.testing.assert_array_equal(again.logits(data.x_test[:9]), network.logits(data.x_test[:9]))
    experiment = prepare(scenario)
    trainer = run_trainer(scenario)
    np.testing.assert_array_equal(network_of(experiment, trainer).logits(data.x_test[:9]), logits[:9])
    assert [len(home) for home in network.homes.values()] == [6, 8, 20, 10]


BAD = {
    "kernel": ([{"conv": 4, "kernel": 9}, 10], "layer 1, conv: found a window of 9 x 9 on maps of 8 x 8"),
    "second": ([{"conv": 4, "kernel": 5}, {"conv": 4, "kernel": 5}, 10], "layer 2, conv: found a window of 5 x 5 on maps of 4 x 4"),
    "pool": ([{"conv": 4, "kernel": 3}, {"pool": "max", "window": 7}, 10], "layer 2, pool: found a window of 7 x 7 on maps of 6 x 6"),
    "pool padding": (
        [{"conv": 4, "kernel": 3}, {"pool": "max", "window": 2, "padding": 2}, 10],
        "layer 2, pool: found padding 2 around windows of 2",
    ),
    "conv padding": ([{"conv": 4, "kernel": 3, "padding": 3}, 10], "layer 1, conv: found padding 3 around windows of 3"),
    "pool first": ([{"pool": "max", "window": 2}, 10], "layer 1: found pooling behind inputs"),
    "two pools": ([{"conv": 4, "kernel": 3}, {"pool": "max", "window": 2}, {"pool": "max", "window": 2}, 10], "layer 3: found pooling behind conv 1"),
    "conv behind dense": ([{"conv": 4, "kernel": 3}, 20, {"conv": 4, "kernel": 3}, 10], "layer 3: found a convolution behind a dense layer"),
    "no outputs": ([{"conv": 4, "kernel": 3}], "the last one has maps"),
    "no convolution": ([20, 10], "found no convolution"),
    "even same": ([{"conv": 4, "kernel": 4, "padding": "same"}, 10], "found same with a kernel of even size"),
    "unknown key": ([{"conv": 4, "kernel": 3, "strides": 2}, 10], "strides"),
    "no kernel": ([{"conv": 4}, 10], "kernel"),
    "neither": ([{"kernel": 3}, 10], "expected conv or pool among them"),
    "unknown pool": ([{"conv": 4, "kernel": 3}, {"pool": "mean", "window": 2}, 10], "mean"),
    "unknown word": ([{"conv": 4, "kernel": 3}, "flaten", 10], "flaten"),
    "outputs": ([{"conv": 4, "kernel": 3}, 11], "the last layer has 11 neurons, data set digits has 10 classes"),
}


@pytest.mark.parametrize("name", BAD)
def test_layers_that_do_not_meet_are_refused_in_one_line(name):
    layers, text = BAD[name]
    n = sum(isinstance(layer, int) or "conv" in layer for layer in layers if layer != "flaten")
    with pytest.raises(InputError) as error:
        prepare(make_scenario({"input_shape": [1, 8, 8], "layers": layers, "connectivity": [0.5] * n}, {"rule": "deep_r"}))
    assert text in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"network": {**NETWORK, "input_shape": [3, 8, 8]}}, "found 3 x 8 x 8, 192 values; a sample of data set digits has 64"),
        ({"network": {key: value for key, value in NETWORK.items() if key != "input_shape"}}, "input_shape"),
        ({"network": {**NETWORK, "type": "mlp"}}, "input_shape"),
        ({"network": {**NETWORK, "connectivity": [0.5, 0.5]}}, "found 2 fractions; expected one number or 4"),
        ({"network": {**NETWORK, "activation": ["relu", "tanh"]}}, "found 2; expected one, or one per hidden layer with weights, 3"),
        ({"hardware": {"profile": "spinnaker2", "execution": "event_driven"}}, "an element of a kernel is used at every place"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(changes, text):
    with pytest.raises(InputError) as error:
        prepare(make_scenario(**changes))
    assert text in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("profile", "words"), [("loihi1", "packed_lists"), ("truenorth", "crossbar_binary"), ("brainscales2", "crossbar_multibit")])
def test_chips_without_shared_kernels_are_refused_with_a_reason(profile, words):
    with pytest.raises(UnsuitableChipError) as error:
        prepare(make_scenario(hardware={"profile": profile}))
    assert words in str(error.value) and "found conv" in str(error.value)


def cifar(profile, **hardware):
    """The network of TensorFlow's tutorial at 5 % in all, as DEEP R trains it."""
    pool = {"pool": "max", "window": 3, "stride": 2, "padding": 1}
    network = {
        "input_shape": [3, 24, 24],
        "layers": [{"conv": 64, "kernel": 5, "padding": 2}, pool, {"conv": 64, "kernel": 5, "padding": 2}, pool, 384, 192, 10],
        "bias": True,
        "connectivity": [1.0, 0.1763, 0.01763, 0.1763, 1.0],
    }
    rule = {"rule": "deep_r", "matrices": [1, 2, 3]}
    data = {"name": "cifar10", "augment": {"crop": 24, "flip": True}, "standardize": "image"}
    return make_scenario(network, rule, dataset=data, hardware={"profile": profile, **hardware}, training={"batch_size": 128})


def test_the_cifar_network_fits_spinnaker2_and_not_santos():
    fits = prepare(cifar("spinnaker2"))
    assert fits.verdict.fits and 12 <= fits.placement.n_cores <= 152
    assert sum(fits.placement.workload.n_positions) == 1_067_584 and fits.placement.workload.n_synapses == 53_369
    less = prepare(cifar("spinnaker2", cores=12)).verdict
    assert not less.fits and {over.section for over in less.section_over} == {"feature_maps"}
    santos = prepare(cifar("spinnaker2_santos")).verdict
    assert not santos.fits and "activations, not synapses, are the wall" in santos.hints[0]
    narrower = prepare(cifar("spinnaker2", cores=12, override={"formats.activation_bits": 16, "formats.error_bits": 16}))
    assert narrower.placement.n_bytes.max() < prepare(cifar("spinnaker2", cores=12)).placement.n_bytes.max()
