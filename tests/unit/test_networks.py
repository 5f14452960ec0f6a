"""Networks as data: facts of cells, sizes, biases, and walks by length."""

import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest

from neurosim.accounting import Activity
from neurosim.accounting.events import PHASE
from neurosim.accounting.traffic import TrafficCounter
from neurosim.errors import InputError, UnsuitableChipError
from neurosim.hardware import load_profile
from neurosim.networks import MODELS, NeuronModel, Topology, find_model
from neurosim.placement import Workload, place
from neurosim.placement.sections import SECTIONS
from neurosim.scenario import Scenario
from neurosim.scenario.experiment import prepare


def test_importing_networks_loads_no_compiler_and_no_chip():
    code = "import sys, neurosim.networks; print([m for m in ('numba', 'neurosim.hardware', 'neurosim.kernels') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_row_has_its_name_and_a_first_bias_for_each_sum():
    for name, model in MODELS.items():
        assert model.name == name and len(model.first_biases) == model.sums
        assert model.is_recurrent == (model.states > 0) and (model.spikes or model.states <= model.values)
    assert {name for name, model in MODELS.items() if not model.sends_zeros} == {"relu", "softmax", "lif", "alif"}


def test_a_feedforward_network_may_mix_cells_and_have_biases():
    smooth = NeuronModel("smooth")
    network = Topology.feedforward([5, 4, 3, 2], cell=("relu", smooth), bias=True)
    assert [p.cell for p in network.populations] == [None, "relu", "smooth", "softmax"]
    assert network.populations[2].model is smooth
    assert network.bias_start == (0, 0, 4, 7, 9)
    assert network.pairs == ((0, 1), (1, 2), (2, 3)) and network.neurons_and_sums == ((5, 1), (4, 1), (3, 1), (2, 1))
    assert Topology.feedforward([5, 4, 2]).bias_start == (0, 0, 0, 0)


def test_sums_of_an_lstm():
    network = Topology.recurrent("lstm", 3, (4, 2), 2, 5)
    assert network.neurons_and_sums == ((3, 1), (4, 4), (2, 4), (2, 1))
    assert network.bias_start == (0, 0, 16, 24, 26)
    assert network.pairs == ((0, 1), (1, 1), (1, 2), (2, 2), (2, 3))
    assert find_model("lstm").first_biases == (0, 1, 0, 0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Topology.feedforward([3, 2, 2], "rellu"), "cell: found 'rellu'; nearest: relu"),
        (lambda: Topology.feedforward([3, 2, 2], "lstm"), "cell: found lstm, which keeps a state"),
        (lambda: Topology.feedforward([3, 2, 2], ("relu", "relu")), "cell: found 2; expected one, or one per hidden layer, 1"),
        (lambda: Topology.recurrent("gru", 3, (2,), 2, 4), "cell: found 'gru'; known: "),
    ],
)
def test_unknown_cells_are_refused(make, message):
    with pytest.raises(InputError) as error:
        make()
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("readout, window", [("last", None), ("last", 3), ("last", 1), ("mean", None), ("mean", 3), ("mean", 1)])
def test_walks_of_samples_are_those_of_their_lengths(readout, window):
    network = Topology.recurrent("rnn", 3, (4, 2), 2, 7, window, readout)
    table = network.walks_by_length
    assert table.shape == (8, 3, 5) and table.dtype == np.int64 and not table[0].any() and not table.flags.writeable
    lengths = [1, 7, 7, 3, 2]
    assert (network.count_walks(lengths) == table[lengths].sum(axis=0)).all() and network.count_walks([]).tolist() == [[0] * 5] * 3


def test_walks_by_hand():
    forward, backward, gradient = Topology.recurrent("lstm", 3, (4,), 2, 5, window=2).walks_by_length[5].tolist()
    assert (forward, backward, gradient) == ([5, 4, 1], [0, 1, 1], [2, 2, 1])
    assert Topology.feedforward([3, 2, 2]).walks_by_length.tolist() == [[[0, 0]] * 3, [[1, 1], [0, 1], [1, 1]]]


def test_biases_of_a_perceptron_take_memory_and_traffic_on_every_family():
    """One per sum: value, accumulator and one number of the optimizer; the chip reads each once per pass, whoever adds up the products."""
    for name in ("spinnaker2_santos", "brainscales2", "loihi1"):
        profile, formats = load_profile(name), load_profile(name).formats
        state, read = [], []
        for bias in (False, True):
            topology = Topology.feedforward((6, 4, 2), bias=bias)
            placement = place(profile, Workload(topology, (10, 5), optimizer="momentum"), 1)
            counter, n = TrafficCounter(placement), 7
            activity = idle(placement, n)
            counter._forward("forward", activity)
            state.append(placement.cores[0].sections["neuron_state"])
            read.append(int(counter.bits[0, PHASE["forward"], SECTIONS.index("neuron_state"), 0]))
        assert state[1] - state[0] == (6 * formats.activation_bits.value + 7) // 8 + 2 * ((6 * formats.gradient_bits.value + 7) // 8)
        assert read[1] - read[0] == n * 6 * formats.activation_bits.value


def idle(placement, n):
    """Activity of `n` samples of zeros."""
    topology, n_segments, n_cores = placement.workload.topology, len(placement.segments), placement.n_cores
    lengths = [1] * n
    return Activity(
        segment=defaultdict(lambda: np.zeros(n_segments, np.int64)),
        nonzero=np.zeros(sum(n_pre for n_pre, _ in topology.shapes), np.int64),
        sent=np.zeros((len(topology.projections), n_cores), np.int64),
        received=np.zeros((len(topology.projections), n_cores), np.int64),
        pairs=np.zeros((0, 0), np.int64),
        sent_back=np.zeros(n_cores, np.int64),
        received_back=np.zeros(n_cores, np.int64),
        pairs_back=np.zeros((0, 0), np.int64),
        passes=np.stack(topology.count_passes(lengths)),
        walks=topology.count_walks(lengths),
        n_samples=n,
    )


@pytest.mark.parametrize(
    ("network", "key"), [({"activation": "tanh"}, "activation"), ({"activation": ["leaky_relu"]}, "activation"), ({"bias": True}, "bias")]
)
@pytest.mark.parametrize("profile", ["odin", "truenorth", "dynap_se2"])
def test_circuits_without_a_processor_only_rectify(network, key, profile):
    layers = {"layers": [64, 30, 10], "connectivity": 0.1}
    plain = Scenario(name="circuits", dataset="digits", network=layers, hardware={"profile": profile, "learning": "host"})
    prepare(plain)
    with pytest.raises(UnsuitableChipError, match=f"network.{key}: found .*no processor"):
        prepare(plain.with_(network=network))
    prepare(plain.with_(network=network, hardware={"profile": "brainscales2", "learning": "host"}))
