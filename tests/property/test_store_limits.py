"""Any limits of cores, thousands of random exchanges: used <= limit at every step, and counters equal a recount.

The recount here reads `pre` and `post` alone and packs the lists block by block; nothing of the package counts for it.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st
from test_store_properties import plans

from neurosim.kernels.layout import Resource, SegmentEvent
from neurosim.synapses import CorePlan, SynapseStore
from neurosim.synapses.violations import used_by_core


RESOURCES = ("in_axons", "out_axons", "words", "routing_entries", "targets")


@st.composite
def limited_plans(draw):
    """A plan of `test_store_properties` with limits on axons, packed words, routes, or several, tight and loose ones."""
    plan = draw(plans())
    limits = {}
    for name in draw(st.lists(st.sampled_from(RESOURCES), min_size=1, unique=True)):
        limits[name] = tuple(draw(st.integers(0, 20)) for _ in range(plan.n_cores))
    if "words" in limits:
        limits["synapse_bits"] = tuple(draw(st.integers(1, 70)) for _ in range(plan.n_cores))
        limits |= {"header_bits": draw(st.integers(0, 20)), "block_synapses": draw(st.integers(1, 5)), "word_bits": draw(st.integers(8, 64))}
    if "routing_entries" in limits:
        limits["chip"] = tuple(sorted(draw(st.integers(0, plan.n_cores - 1)) for _ in range(plan.n_cores)))
    if "targets" in limits:
        limits["targets"] = (draw(st.integers(0, 3)),) * plan.n_cores
        limits["target_place"] = tuple(draw(st.integers(0, plan.n_cores - 1)) for _ in range(plan.n_cores))
    return replace(plan, limits=CorePlan(**limits))


def count_anew(store):
    """(in-axons, out-axons, words, routing entries by chip, most targets): int64 (5, C), from the slots alone."""
    plan, limits = store.plan, store.plan.limits
    used = np.zeros((5, plan.n_cores), np.int64)
    entries, targets = set(), set()
    for g, segment in enumerate(plan.segments):
        here = slice(store.segments.slot_start[g], store.segments.slot_start[g + 1])
        pre, count = np.unique(store.slots.pre[here][store.slots.active[here] == 1], return_counts=True)
        for p, n in zip(pre.tolist(), count.tolist(), strict=True):
            home = plan.home[plan.matrices[segment.matrix].pre_neuron + p]
            used[0, segment.core] += 1
            if home not in (-1, segment.core):
                used[1, home] += 1
            while limits.word_bits and n > 0:
                bits = min(n, limits.block_synapses) * limits.synapse_bits[segment.core] + limits.header_bits
                used[2, segment.core] += -(-bits // limits.word_bits)
                n -= limits.block_synapses
            if home not in (-1, segment.core) and limits.routing_entries is not None:
                entries |= {(limits.chip[core], segment.matrix, p) for core in (home, segment.core)}
            if home != -1 and limits.targets is not None:
                targets.add((home, segment.matrix, p, limits.target_place[segment.core]))
    for chip, *_ in entries:
        used[3, chip] += 1
    for (home, *_), n in Counter(target[:3] for target in targets).items():
        used[4, home] = max(used[4, home], n)
    return used


def check(store):
    used = count_anew(store)
    for row, name in zip(used, RESOURCES, strict=True):
        limit = getattr(store.plan.limits, name)
        if limit is not None:
            assert used_by_core(store)[Resource[name.upper()]].tolist() == row.tolist()
            peak = store.tally.peak[Resource[name.upper()]]
            assert (row <= peak).all() and (peak <= limit).all()
    assert store.violations() == []


@given(limited_plans(), st.integers(0, 2**32), st.lists(st.floats(0, 1), max_size=12))
@settings(max_examples=80, deadline=None)
def test_limits_hold_after_every_exchange(plan, seed, shares):
    store = SynapseStore.random(plan, seed)
    check(store)
    rng = np.random.default_rng(seed)
    for i, share in enumerate(shares):
        active = np.flatnonzero(store.slots.active)
        store.release(rng.choice(active, int(share * active.size), replace=False))
        check(store)
        n_active, missing = store.n_active, store.fill(i)
        assert store.n_active == sum(plan.n_wanted) - missing >= n_active
        event("a limit left slots dormant" if missing else "every slot found a position")
        check(store)
    state, peak = {name: array.copy() for name, array in store.state().items()}, store.tally.peak.copy()
    other = SynapseStore(plan, seed)
    other.restore(state)
    other.tally.peak[:] = peak
    check(other)


@given(limited_plans(), st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_limits_hold_over_thousands_of_exchanges(plan, seed):
    store = SynapseStore.random(plan, seed)
    rng = np.random.default_rng(seed)
    for i in range(400):
        active = np.flatnonzero(store.slots.active)
        store.release(rng.choice(active, min(active.size, 1 + i % 8), replace=False))
        store.fill(i)
        used = count_anew(store)
        for row, name, have in zip(used, RESOURCES, used_by_core(store), strict=True):
            assert getattr(plan.limits, name) is None or row.tolist() == have.tolist()
    check(store)
    n = int(store.tally.by_segment[:, [SegmentEvent.ACCEPTED, SegmentEvent.EXACT]].sum())
    event("more than a thousand arrivals" if n > 1000 else "a store that holds little")
