"""Placement against a slow, obvious model written neuron by neuron."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neurosim.hardware import load_profile
from neurosim.placement import MERGE_ENTRIES, Workload, judge, largest_fit, place, smallest_cores
from neurosim.placement.search import scale_counts

PROFILES = {name: load_profile(name) for name in ("spinnaker2_santos", "brainscales2")}


def with_memory(profile, n_bytes):
    """The profile with that many bytes per core."""
    storage = profile.storage
    return profile.model_copy(
        update={"storage": storage.model_copy(update={"local_bytes": storage.local_bytes.model_copy(update={"value": n_bytes})})}
    )


@st.composite
def workloads(draw, largest=40):
    layers = tuple(draw(st.lists(st.integers(1, largest), min_size=2, max_size=4)))
    return Workload(
        layers,
        tuple(draw(st.integers(1, a * b)) for a, b in zip(layers, layers[1:], strict=False)),
        batch_size=draw(st.sampled_from([1, 2, 10])),
        execution=draw(st.sampled_from(["scan", "event_driven"])),
        headroom=draw(st.sampled_from([0.0, 0.1, 0.5, 3.0])),
        code_bytes=draw(st.sampled_from([None, 0, 100])),
        rewires=draw(st.booleans()),
    )


def up(n, bits):
    return -(-n * bits // 8)


def slow_bytes(profile, workload, placement, core):
    """Bytes of a core, from the homes of single neurons."""
    f, w = profile.formats, profile.synapse_word
    has_words = profile.storage.family == "address_space"
    layers, home = workload.topology.sizes, placement.home
    of_layer = [home[sum(layers[:i]) : sum(layers[: i + 1])] for i in range(len(layers))]
    own = sum(h == core for h in home)
    total = profile.storage.code_bytes.value if workload.code_bytes is None else workload.code_bytes
    total += up(own, f.activation_bits.value) + up(own, f.error_bits.value)
    mine = [s for s in placement.segments if s.core == core]
    event_driven = workload.execution == "event_driven" and has_words
    for s in mine:
        if has_words:
            total += up(s.n_slots, w.pre_index_bits.value + w.post_index_bits.value)
            total += up(s.n_slots, w.weight_bits.value) + up(s.n_slots, w.sign_bits.value)
        if event_driven:
            total += up(s.n_pre + 1, f.row_pointer_bits.value)
        if workload.batch_size > 1:
            total += up(s.n_slots, f.gradient_bits.value)
        remote = sum(h not in (core, -1) for h in of_layer[s.matrix])
        total += up(remote, f.activation_bits.value) + up(remote, f.error_bits.value)
        if s.matrix == 0:
            total += up(layers[0], f.input_bits.value)
        if s.matrix == len(layers) - 2:
            total += up(layers[-1], f.input_bits.value)
            total += up(sum(h != core for h in of_layer[-1]), f.activation_bits.value)
    if mine and workload.rewires:
        total += up(1, f.random_state_bits.value)
        if event_driven:
            total += up(MERGE_ENTRIES, w.pre_index_bits.value + w.post_index_bits.value)
    return total


@given(workloads(), st.sampled_from(sorted(PROFILES)), st.integers(1, 9))
def test_segments_partition_the_network(workload, name, n_cores):
    placement = place(PROFILES[name], workload, n_cores)
    assert [(s.matrix, s.core) for s in placement.segments] == sorted({(s.matrix, s.core) for s in placement.segments})
    offset = workload.topology.sizes[0]
    for i, (n_pre, n_post) in enumerate(zip(workload.topology.sizes, workload.topology.sizes[1:], strict=False)):
        segments = [s for s in placement.segments if s.matrix == i]
        assert sum(s.n_active for s in segments) == workload.n_active[i]
        assert [p for s in segments for p in range(s.post_start, s.post_stop)] == list(range(n_post))
        for s in segments:
            quota = Fraction(workload.n_active[i] * s.n_post, n_post)
            assert abs(s.n_active - quota) < 1
            assert s.n_positions == n_pre * s.n_post
            assert s.n_slots == min(s.n_positions, s.n_active + round(workload.headroom * s.n_active))
            assert set(placement.home[offset + s.post_start : offset + s.post_stop]) == {s.core}
        offset += n_post
    assert sum(c.n_neurons for c in placement.cores) == sum(workload.topology.sizes[1:])
    assert sum(c.n_slots for c in placement.cores) == sum(s.n_slots for s in placement.segments)


@given(workloads(), st.sampled_from(sorted(PROFILES)), st.integers(1, 9))
def test_bytes_equal_those_of_the_slow_model(workload, name, n_cores):
    placement = place(PROFILES[name], workload, n_cores)
    memory = {u.core: u.used for u in placement.usages if u.name == "local_memory"}
    for core in placement.cores:
        assert core.n_bytes == memory[core.id] == slow_bytes(PROFILES[name], workload, placement, core.id)
        assert all(core.sections.values())


@given(workloads(), st.sampled_from(sorted(PROFILES)), st.integers(1, 6), st.integers(200, 20_000))
@settings(max_examples=60, deadline=None)
def test_a_verdict_sorts_every_usage_and_its_remedies_fit(workload, name, n_cores, n_bytes):
    profile = with_memory(PROFILES[name], n_bytes)
    placement = place(profile, workload, n_cores)
    verdict = judge(placement)
    assert all(u.used > u.limit for u in verdict.violations) and all(u.used <= u.limit for u in verdict.headroom)
    assert sorted(map(repr, verdict.violations + verdict.headroom)) == sorted(map(repr, placement.usages))
    assert verdict.fits == placement.fits == (not verdict.violations)
    assert {s.core for s in verdict.section_over} == {c.id for c in placement.cores if c.n_bytes > n_bytes}
    assert bool(verdict.hints) == (not verdict.fits)
    assert all(place(profile, r.workload, r.n_cores).fits for r in verdict.remedies if r.workload is not None)
    fewest = next((n for n in range(1, profile.cores.value + 1) if place(profile, workload, n).fits), None)
    assert smallest_cores(profile, workload) == fewest


@given(workloads(largest=7), st.sampled_from(sorted(PROFILES)), st.integers(1, 4), st.integers(1, 1_000))
@settings(max_examples=60, deadline=None)
def test_largest_fit_is_the_largest_of_all_totals(workload, name, n_cores, extra):
    # Room for everything but the synapses of a core, and for some of those.
    smallest = replace(workload, n_active=(1,) * len(workload.n_active), code_bytes=0)
    bare = max(c.n_bytes for c in place(PROFILES[name], smallest, n_cores).cores)
    profile = with_memory(PROFILES[name], bare + extra)
    workload = replace(workload, code_bytes=0)
    expected = None
    for total in range(len(workload.n_active), sum(workload.n_positions) + 1):
        counts = scale_counts(workload.n_active, workload.n_positions, total)
        if place(profile, replace(workload, n_active=counts), n_cores).fits:
            expected = counts
    assert largest_fit(profile, workload, n_cores) == expected


@given(workloads(), st.data())
def test_scaled_counts_keep_the_sum_and_never_fall(workload, data):
    weights, positions = workload.n_active, workload.n_positions
    low, high = len(weights), sum(positions)
    total = data.draw(st.integers(low, high))
    counts = scale_counts(weights, positions, total)
    assert sum(counts) == total and all(1 <= k <= p for k, p in zip(counts, positions, strict=True))
    assert scale_counts(weights, positions, sum(weights)) == weights
    assume(total < high)
    after = scale_counts(weights, positions, total + 1)
    assert sorted(b - a for a, b in zip(counts, after, strict=True)) == [0] * (len(weights) - 1) + [1]
