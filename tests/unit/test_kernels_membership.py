"""The membership table alone: every entry is a whole position, wherever it lies, and clusters stay short."""

import numpy as np
import pytest
from kernel_calls import call_of

from neurosim.kernels.membership import DISTANCE_BITS, REST_BITS, _scatter, is_taken, rebuild_table, table_bits
from neurosim.synapses import SynapseStore, layered_plan

scatter = call_of(_scatter)


def distances(store):
    """How far each entry lies from its home."""
    table = store.slots.table
    return table[table >= 0] & ((1 << DISTANCE_BITS) - 1)


@pytest.mark.parametrize("n_bits", [1, 2, 3, 7, 12, 15])
def test_scatter_is_a_bijection(n_bits):
    values = [int(scatter(position, np.uint64(n_bits))) for position in range(1 << n_bits)]
    assert sorted(values) == list(range(1 << n_bits))


@pytest.mark.parametrize("n_bits", [27, 34, 47])
def test_scatter_is_one_to_one_on_many_numbers(n_bits):
    rng = np.random.default_rng(n_bits)
    numbers = np.unique(np.concatenate([np.arange(30_000), rng.integers(1 << n_bits, size=30_000)]))
    values = {int(scatter(int(number), np.uint64(n_bits))) for number in numbers}
    assert len(values) == numbers.size and max(values) < 1 << n_bits


def test_table_holds_three_halves_of_the_slots_and_the_whole_position():
    assert table_bits(0, 0) == table_bits(5, 25) == 3
    assert table_bits(6, 36) == 4
    for n_slots, n_positions in ((1000, 10**4), (10**6, 10**8), (10, 10**10), (10**7, 2 * 10**10)):
        n_bits = table_bits(n_slots, n_positions)
        assert 1 << n_bits >= 1.5 * n_slots
        assert n_positions <= 1 << (n_bits + REST_BITS)


@pytest.mark.parametrize("n_pre, n_post, n_active", [(2000, 3000, 40_000), (3, 500_000, 43_000), (500_000, 3, 43_000), (211, 211, 43_000)])
@pytest.mark.parametrize("pattern", ["rows", "columns", "grid", "random"])
def test_clusters_stay_short_whatever_is_taken(n_pre, n_post, n_active, pattern):
    """At 2/3 of the places a random table of 65,536 has no distance above about 150 (exp(-0.072 n) each)."""
    store = SynapseStore.random(layered_plan((n_pre, n_post), (n_active,)), 0)
    n, n_positions, slots = store.n_slots, n_pre * n_post, store.slots
    chosen = {
        "rows": np.arange(n),
        "columns": np.arange(n) % n_pre * n_post + np.arange(n) // n_pre,
        "grid": np.arange(n) * (n_positions // n),
        "random": np.sort(np.random.default_rng(1).choice(n_positions, n, replace=False)),
    }[pattern]
    slots.pre[:], slots.post[:] = chosen // n_post, chosen % n_post
    rebuild_table(slots, store.matrices)
    assert 0.55 < n / slots.table.size < 0.67
    assert distances(store).size == n and distances(store).max() < 300
    assert distances(store).mean() < 3  # 1.0 expected of a random table at this load
    taken = set(chosen.tolist())
    for position in np.random.default_rng(2).integers(n_positions, size=300).tolist() + chosen[:300].tolist():
        assert is_taken(slots, store.matrices, 0, position // n_post, position % n_post) == (position in taken)


def test_few_synapses_among_many_positions():
    """10 synapses among 10^10 positions: the table is larger than they need, so that an entry holds the whole rest."""
    store = SynapseStore.random(layered_plan((100_000, 100_000), (10,)), 3)
    assert store.slots.table.size == 1 << (34 - REST_BITS)
    for i in range(200):
        store.release([i % 10])
        store.fill(i)
        assert store.violations() == []
