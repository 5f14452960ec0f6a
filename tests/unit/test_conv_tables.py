"""Chips of convolution cores: entries of tables, which layer lies on which core, and what is refused."""

import dataclasses
import itertools

import numpy as np
import pytest

from neurosim.accounting import KINDS, PHASES
from neurosim.errors import InputError, UnsuitableChipError
from neurosim.hardware import load_profile
from neurosim.networks import Convolution, Convolve, Pool, Topology
from neurosim.placement import Workload, judge, place
from neurosim.placement.families.conv_tables import core_entries, layer_entries
from neurosim.placement.sections import SECTIONS
from neurosim.scenario import Scenario, load_scenario, prepare
from neurosim.scenario.record import settle
from neurosim.scenario.trainer import make_trainer

SPECK = "speck"


def convolutional(*layers, input_shape=(2, 32, 32), bias=False):
    """Layers as (maps, kernel, stride, padding), ("average", window) or a number."""
    made = [
        layer if isinstance(layer, int) else Pool("average", layer[1], layer[1]) if layer[0] == "average"
        else Convolve(layer[0], Convolution(*layer[1:]))
        for layer in layers
    ]  # fmt: skip
    return Topology.convolutional(input_shape, made, bias=bias)


def placed(topology, n_cores=None, connectivity=1.0):
    n_active = tuple(max(1, round(n * connectivity)) for n in topology.n_positions)
    return place(load_profile(SPECK), Workload(topology, n_active, host_learns=True), n_cores)


def largest(placement, name):
    return max(usage.used for usage in placement.usages if usage.name == name)


def test_entries_of_layers_by_hand():
    """Worked out with the formulas of the library: three layers whose sizes are no powers of two, and a dense one behind pooling."""
    topology = convolutional((20, 5, 1, 0), ("average", 2), (32, 5, 1, 2), 10, input_shape=(3, 28, 28), bias=True)
    assert layer_entries(topology).tolist() == [
        [3 * 32 * 32, 20 * 32 * 32, 20],  # 25 elements and 20 maps take 32 each, 24 places 32
        [20 * 32 * 32, 32 * 16 * 16, 32],  # 12 places take 16
        [32 * 256 * 16, 10, 10],  # kernels of 12 x 12 elements
    ]


def test_tables_of_cores_are_in_the_order_of_the_chip():
    assert (core_entries(load_profile(SPECK), 9)[:, :2] // 1024).tolist() == [
        [16, 64], [16, 64], [16, 64], [32, 32], [32, 32], [64, 16], [64, 16], [16, 16], [16, 16],
    ]  # fmt: skip


def test_fewer_connections_save_nothing():
    topology = convolutional((32, 3, 1, 1), (64, 3, 2, 1), 10)
    dense, sparse = placed(topology, 9), placed(topology, 9, 0.01)
    assert all((dense.local[name] == sparse.local[name]).all() for name in dense.local)
    assert (dense.stored_bytes == sparse.stored_bytes).all() and dense.stored_bytes.sum() > 0
    assert "a removed synapse frees nothing" in judge(sparse).storage[0]


def test_a_place_is_found_exactly_where_one_exists():
    """Against every order of four layers on the cores, over random small networks: some fit in one order only, some in none."""
    rng, found = np.random.default_rng(0), {True: 0, False: 0}
    for _ in range(60):
        n = [int(2 ** rng.integers(2, 8)) for _ in range(3)]
        kernels = [int(rng.choice([1, 3, 5])) for _ in range(3)]
        topology = convolutional(*((m, k, 1, k // 2) for m, k in zip(n, kernels, strict=True)), 4, input_shape=(2, 16, 16))
        needs, rooms = layer_entries(topology), core_entries(load_profile(SPECK), 9)
        fits = (needs[:, None] <= rooms[None]).all(axis=2)
        wanted = any(all(fits[layer, c] for layer, c in enumerate(order)) for order in itertools.permutations(range(9), 4))
        names = {usage.name for usage in judge(placed(topology, 9)).violations}
        assert bool(names & {"kernel_entries", "neuron_entries", "bias_entries", "layers_per_core"}) != wanted
        found[wanted] += 1
    assert min(found.values()) > 5


def test_a_layer_has_a_core_of_its_own():
    topology = convolutional((8, 3, 1, 1), (8, 3, 1, 1), ("average", 4), 10)
    own = np.array(placed(topology).workload.own)
    assert (own.astype(bool).sum(axis=1) == 1).all() and (own.astype(bool).sum(axis=0) <= 1).all()
    two = judge(placed(topology, 2))
    assert not two.fits and two.worst.name == "layers_per_core" and two.worst.used == 2
    deep = judge(placed(convolutional(*[(4, 1, 1, 0)] * 9, ("average", 4), 10)))  # ten layers
    assert not deep.fits and "layers_per_core" in {usage.name for usage in deep.violations}


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        (((4, 17, 1, 8), 10), "kernel_side"),
        (((4, 3, 3, 1), 10), "other_stride"),
        (((4, 1, 1, 0), ("average", 8), 10), "other_pooling"),
        (((4, 1, 1, 0), 2000, 10), "maps"),
        (((4, 15, 4, 8), 10), "padding"),
    ],
)
def test_walls_of_shape_are_named(layers, name):
    violations = judge(placed(convolutional(*layers), 9)).violations
    assert name in {usage.name for usage in violations}
    assert all("sinabs" in usage.source for usage in violations if usage.name == name)


def test_max_pooling_is_refused_and_averages_are_not():
    base = convolutional((8, 3, 1, 1), ("average", 2), 10)
    assert judge(placed(base)).fits
    maps = dataclasses.replace(base.populations[1].maps, pool=Pool("max", 2, 2))
    other = dataclasses.replace(base, populations=(base.populations[0], dataclasses.replace(base.populations[1], maps=maps), *base.populations[2:]))
    assert [usage.name for usage in judge(placed(other)).violations] == ["other_pooling"]


def test_output_maps_beyond_64_places_and_inputs_beyond_128():
    violations = {usage.name for usage in judge(placed(convolutional((1, 3, 1, 1), 4, input_shape=(1, 130, 130)), 9)).violations}
    assert {"output_side", "input_side"} <= violations


TUTORIAL = [
    {"conv": 64, "kernel": 5, "padding": 2}, {"pool": "max", "window": 3, "stride": 2, "padding": 1}, {"conv": 64, "kernel": 5, "padding": 2},
    {"pool": "max", "window": 3, "stride": 2, "padding": 1}, 384, 192, 10,
]  # fmt: skip


def scenario(profile=SPECK, layers=TUTORIAL, data="cifar10", shape=(3, 24, 24), **hardware):
    return Scenario(
        name="maps",
        dataset={"name": data, **({"augment": {"crop": 24}} if data == "cifar10" else {})},
        network={"input_shape": shape, "layers": layers, "bias": True, "connectivity": 0.05},
        hardware={"profile": profile, **hardware},
        rewiring={"rule": "static"},
    )


def test_the_cifar_network_is_refused_in_one_line_with_its_wall():
    with pytest.raises(UnsuitableChipError) as error:
        prepare(scenario())
    text = str(error.value)
    assert "\n" not in text and "speck does not learn" in text and "inference only" in text
    assert "(hidden 3): kernel_entries needs 2,097,152 of 65,536 entries" in text
    verdict = prepare(scenario(learning="host")).verdict
    assert verdict.hints[0] == "conv 2 fits no core, whatever is connected: at most 32 maps of it would, not 64"
    assert verdict.hints[1] == "hidden 3 fits no core, whatever is connected: at most 16 neurons of it would, not 384"
    uses = {
        usage.where.split("(")[1].rstrip(")"): usage.used
        for usage in verdict.placement.usages
        if usage.name == "kernel_entries" and "(" in usage.where
    }
    assert uses["conv 2"] == 131_072 and uses["conv 1"] == 3 * 32 * 64
    assert {"kernel_entries", "other_pooling"} <= {usage.name for usage in verdict.violations}
    with pytest.raises(UnsuitableChipError, match=r"kernel_entries needs 524,288 of 65,536 entries"):
        prepare(load_scenario("cifar10_conv_spinnaker2", ["hardware.profile=speck"]))


def test_a_small_network_fits_and_is_not_run():
    small = [{"conv": 12, "kernel": 3, "padding": "same"}, {"pool": "average", "window": 2}, 10]
    experiment = prepare(scenario(layers=small, data="digits", shape=(1, 8, 8), learning="host"))
    assert experiment.verdict.fits and experiment.placement.n_cores == 2
    assert largest(experiment.placement, "kernel_entries") == max(1 * 16 * 16, 12 * 16 * 16)
    with pytest.raises(InputError, match="what its cores .* do for a sample is not modelled") as error:
        make_trainer(experiment)
    assert "\n" not in str(error.value)


def test_a_network_without_maps_runs_with_a_host_that_learns():
    """Every connection of a value that is not zero reads its entry of 8 bits and moves a state of 16."""
    overrides = ["hardware.profile=speck", "hardware.learning=host", "hardware.cores=auto", "training.epochs=1", "dataset.limit=60"]
    experiment = prepare(load_scenario("digits_santos", overrides))
    trainer, _ = make_trainer(experiment)
    assert trainer.run()
    ledger = settle(experiment, trainer)
    ops = ledger.events[:, PHASES.index("forward"), KINDS.index("synaptic_op")]
    traffic = ledger.traffic[:, PHASES.index("forward")]
    assert (ops > 0).all() and (traffic[:, SECTIONS.index("kernel_memory"), 0] == ops).all()
    states, neurons = traffic[:, SECTIONS.index("neuron_state"), 1], ledger.events[:, PHASES.index("forward"), KINDS.index("neuron_update")]
    assert (states >= 2 * (ops + neurons)).all()


def test_arrangements_are_refused():
    with pytest.raises(InputError, match=r"hardware.placement: found balanced, but on speck each layer has a core of its own"):
        prepare(load_scenario("digits_santos", ["hardware.profile=speck", "hardware.learning=host", "hardware.placement=balanced"]))


def test_cores_of_tables_are_those_of_the_chip(tmp_path):
    text = load_profile(SPECK).text
    path = tmp_path / "speck.yaml"
    path.write_text(text.replace("cores: {value: 9,", "cores: {value: 10,", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"storage.tables: found 9 cores in all; expected those of the chip, 10"):
        load_profile(path)
