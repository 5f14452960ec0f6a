"""Where cores lie, and what packets between them meet on their way."""

import numpy as np
import pytest

from neurosim.accounting.routes import count_hops
from neurosim.hardware import load_profile
from neurosim.hardware.structure import Mesh, Network
from neurosim.placement.geometry import locate_cores


def with_grid(profile, width, height, cores_per_tile):
    count = profile.cores
    mesh = {key: count.model_copy(update={"value": n}) for key, n in zip(Mesh.model_fields, (width, height, cores_per_tile), strict=True)}
    return profile.model_copy(update={"network": Network(mesh=Mesh(**mesh))})


def test_tiles_lie_column_by_column():
    place = locate_cores(load_profile("loihi1"), 128)
    assert [(int(place.x[c]), int(place.y[c])) for c in (0, 3, 4, 15, 16, 127)] == [(0, 0), (0, 0), (0, 1), (0, 3), (1, 0), (7, 3)]
    assert np.unique(np.stack([place.x, place.y]), axis=1).shape[1] == 32 and np.bincount(place.tile).tolist() == [4] * 32
    assert not place.chip.any() and place.tells_packets_apart and not locate_cores(load_profile("loihi1"), 1).tells_packets_apart


def test_cores_of_a_board_fill_its_chips():
    profile = load_profile("spinn5_board")
    place = locate_cores(profile, profile.cores.value)
    sizes = [kind.n_cores // kind.chips.value for kind in profile.chips for _ in range(kind.chips.value)]
    assert np.bincount(place.chip).tolist() == sizes and len(sizes) == 48 and place.x is None
    assert not locate_cores(profile, sizes[0]).tells_packets_apart and locate_cores(profile, sizes[0] + 1).tells_packets_apart
    assert locate_cores(profile, profile.cores.value + 5).chip[-1] == 47, "a run that reports too many cores has a place for them"


def test_worked_by_hand():
    """Neurons of core 1 get 4 packets, one of core 2 gets 2, from core 0; cores at (id // 2, id % 2): 4 hops north, 2 east."""
    place = locate_cores(with_grid(load_profile("spinnaker2_santos"), 2, 2, 1), 4)
    packets = np.zeros((4, 4), np.int64)
    packets[0, 1], packets[0, 2] = 4, 2
    found = count_hops(place, packets)
    assert {kind: counts.tolist() for kind, counts in found.items()} == {
        "packet_local": [0] * 4, "packet_offchip": [0] * 4, "hop_north_south": [4, 0, 0, 0], "hop_east_west": [2, 0, 0, 0],
    }  # fmt: skip
    back = count_hops(place, packets.T)
    assert back["hop_north_south"].tolist() == [0, 4, 0, 0] and back["hop_east_west"].tolist() == [0, 0, 2, 0]


@pytest.mark.parametrize("n_cores", [2, 40])
def test_without_a_grid_only_tiles_and_chips_differ(n_cores):
    """SpiNNaker 2: four cores share a router, and how routers lie is not published."""
    found = count_hops(locate_cores(load_profile("spinnaker2"), n_cores), np.ones((n_cores, n_cores), np.int64))
    assert set(found) == {"packet_local", "packet_offchip"} and found["packet_local"].tolist() == [min(n_cores, 4)] * n_cores
