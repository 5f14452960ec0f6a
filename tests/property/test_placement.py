"""Placement against a slow, obvious model written neuron by neuron."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from neurosim.hardware import load_profile
from neurosim.placement import MERGE_ENTRIES, Workload, judge, largest_fit, place, smallest_cores, synapse_counts
from neurosim.placement.search import most_unrolled, scale_counts
from neurosim.networks import Topology

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


def few_cores(name, n_cores, **storage):
    """A chip with few cores and other numbers of its storage, so that every number of cores can be tried."""
    profile = load_profile(name)
    changed = {key: getattr(profile.storage, key).model_copy(update={"value": n}) for key, n in storage.items()}
    cores = profile.cores.model_copy(update={"value": n_cores})
    return profile.model_copy(update={"cores": cores, "chips": (), "storage": profile.storage.model_copy(update=changed)})


def with_targets(profile, n):
    """The same chip with so many targets of a neuron."""
    stated = profile.limits.targets_per_neuron
    stated = stated.model_copy(update={"max": stated.max.model_copy(update={"value": n})})
    return profile.model_copy(update={"limits": profile.limits.model_copy(update={"targets_per_neuron": stated})})


SEARCHED = (
    with_targets(few_cores("truenorth", 20, rows=24, columns=16), 3),
    with_targets(few_cores("truenorth", 20, rows=12, columns=16), 6),
    few_cores("truenorth", 20, rows=24, columns=16),
    few_cores("loihi1", 12, synapse_bits=64 * 40),
    few_cores("spinnaker2_santos", 9, local_bytes=900, code_bytes=100),
    few_cores("spinnaker1", 9, local_bytes=900, shared_bytes=1500, code_bytes=100),
    few_cores("dynap_se2", 9, words_per_neuron=8),
)


@given(st.sampled_from(SEARCHED), workloads(largest=24))
@example(SEARCHED[0], Workload((24, 12, 12), (26, 8)))  # three targets, and three cores that every draw fits, after two that some do
@settings(max_examples=120, deadline=None)
def test_the_smallest_number_of_cores_is_found_as_by_trying_all(profile, workload):
    """Everything in local memory before spilling, and what every draw fits before what some do."""
    workload = replace(workload, code_bytes=None, host_learns=profile.storage.local_bytes is None)
    counts = range(1, profile.cores.value + 1)
    overflow = getattr(profile.storage, "overflow", "refuse")
    found = None
    for action in dict.fromkeys(("refuse", overflow)):
        chip = profile
        if profile.storage.family == "address_space":
            chip = profile.model_copy(update={"storage": profile.storage.model_copy(update={"overflow": action})})
        for holds in ("is_guaranteed", "fits"):
            tried = (n for n in counts if all(getattr(usage, holds) for usage in place(chip, workload, n).usages))
            found = next(tried, None) if found is None else found
    assert smallest_cores(profile, workload) == found
    event("no number of cores" if found is None else f"{min(found, 3)} cores or more")


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


@st.composite
def recurrent_workloads(draw):
    n_steps = draw(st.integers(1, 7))
    topology = Topology.recurrent(
        draw(st.sampled_from(["lstm", "rnn"])),
        draw(st.integers(1, 9)),
        draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)),
        draw(st.integers(1, 6)),
        n_steps,
        draw(st.one_of(st.none(), st.integers(1, n_steps))),
        draw(st.sampled_from(["last", "mean"])),
    )
    return Workload(
        topology,
        synapse_counts(topology, draw(st.sampled_from([0.1, 0.5, 1.0]))),
        batch_size=draw(st.sampled_from([1, 5])),
        optimizer=draw(st.sampled_from(["sgd", "momentum", "adam"])),
        rewires=draw(st.booleans()),
    )


def slow_states(workload, placement, core):
    """`unrolled_state` and `neuron_state` of a core in numbers of 4 B, from a list of everything that it keeps."""
    topology, steps, once = workload.topology, [], []
    outputs, length = len(topology.populations) - 1, topology.n_steps
    reached = range(length - topology.kept_steps, length)
    reads = topology.projections[-1].pre
    for i, homes in enumerate(placement.homes):
        for neuron in (n for n, home in enumerate(homes.tolist()) if home == core):
            model = topology.populations[i].model
            once += [("error", i, neuron, k) for k in range(model.errors)]
            if i == outputs:
                once += [("logit", neuron)]
            else:
                steps += [("value", i, neuron, t, k) for t in reached for k in range(model.values)]
                steps += [("before", i, neuron, k) for k in range(model.states) if reached[0] > 0]
            if topology.readout == "mean" and i == reads:
                once += [("mean", neuron), ("error of the mean", neuron)]
            for gate in range(model.sums * topology.populations[i].has_bias):
                once += [("bias", i, neuron, gate, k) for k in range(2 + workload.state_words)]
    for m, projection in enumerate(topology.projections):
        if not any(s.matrix == m and s.core == core for s in placement.segments) or projection.pre == 0:
            continue
        windows = {t: (length - 1 - t) // topology.window for t in range(length)}
        for neuron in (n for n, home in enumerate(placement.homes[projection.pre].tolist()) if home != core):
            if projection.post == outputs:
                (once if topology.readout == "mean" else steps).append(("copy", m, neuron))
                once += [("partial", m, neuron)]
            elif projection.is_recurrent:
                steps += [("copy", m, neuron, t - 1) for t in reached if t > 0]
                once += [("partial", m, neuron)] * any(t - 1 in reached and windows[t] == windows[t - 1] for t in reached if t > 0)
            else:
                steps += [("copy", m, neuron, t) for t in reached]
                once += [("partial", m, neuron)]
    if core in placement.homes[-1]:
        once += [("logit", n) for n, home in enumerate(placement.homes[-1].tolist()) if home != core]
    return (len(steps), len(once)) if length > 1 else (0, len(steps) + len(once))


@given(recurrent_workloads(), st.integers(1, 5))
def test_states_through_time_equal_a_list_of_everything_kept(workload, n_cores):
    placement = place(PROFILES["spinnaker2_santos"], workload, n_cores)
    for core in placement.cores:
        found = [core.sections.get(name, 0) for name in ("unrolled_state", "neuron_state")]
        assert found == [4 * n for n in slow_states(workload, placement, core.id)]
        assert core.n_bytes == sum(core.sections.values())
        has_inputs = any(s.matrix == 0 and s.core == core.id for s in placement.segments)
        kept = workload.topology.sizes[0] * workload.topology.kept_steps
        assert core.sections.get("input_buffer", 0) == has_inputs * kept * 4


@given(recurrent_workloads(), st.integers(1, 5))
def test_segments_of_recurrent_networks_partition_whole_neurons(workload, n_cores):
    placement = place(PROFILES["spinnaker2_santos"], workload, n_cores)
    topology = workload.topology
    for m, (projection, (n_pre, n_post)) in enumerate(zip(topology.projections, topology.shapes, strict=True)):
        segments = [s for s in placement.segments if s.matrix == m]
        assert [p for s in segments for p in range(s.post_start, s.post_stop)] == list(range(n_post))
        assert sum(s.n_active for s in segments) == workload.n_active[m] and {s.n_pre for s in segments} == {n_pre}
        sums, homes = topology.populations[projection.post].model.sums, placement.homes[projection.post]
        assert all(homes[post // sums] == s.core for s in segments for post in range(s.post_start, s.post_stop))


@given(recurrent_workloads(), st.integers(1, 5))
def test_a_wider_window_never_takes_less(workload, n_cores):
    topology = workload.topology
    sizes = [
        [c.n_bytes for c in place(PROFILES["spinnaker2_santos"], replace(workload, topology=replace(topology, window=n)), n_cores).cores]
        for n in range(1, topology.n_steps + 1)
    ]
    for narrow, wide in zip(sizes, sizes[1:]):
        assert all(a <= b for a, b in zip(narrow, wide, strict=True))
        if topology.readout == "last":
            assert sum(narrow) < sum(wide)


@given(recurrent_workloads(), st.integers(1, 3), st.integers(0, 3_000))
@settings(max_examples=60, deadline=None)
def test_the_most_steps_are_the_most_of_all(workload, n_cores, extra):
    bare = max(c.n_bytes for c in place(PROFILES["spinnaker2_santos"], replace(workload, topology=of_steps(workload, 1)), n_cores).cores)
    profile = with_memory(PROFILES["spinnaker2_santos"], bare - 100 + extra)
    found = most_unrolled(profile, workload, n_cores, most=40)
    fits = [place(profile, replace(workload, topology=of_steps(workload, n)), n_cores).fits for n in range(1, 41)]
    assert fits == [True] * found + [False] * (40 - found)


def of_steps(workload, n):
    """Topology with a window of n steps, or samples of n steps where they have fewer."""
    return replace(workload.topology, n_steps=max(workload.topology.n_steps, n), window=n)
