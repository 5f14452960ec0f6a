"""SynapseStore: a fixed number of synapses in coordinate form, re-used during training."""

import numpy as np

from neurosim.kernels.exchange import fill_scope, release_one, sign_of
from neurosim.kernels.growth import place_first
from neurosim.kernels.initial import occupy_positions
from neurosim.kernels.layout import N_SEGMENT_EVENTS, NO_LIMIT, Binding, Matrices, Resource, SegmentEvent, Segments, Slots, Tally
from neurosim.kernels.membership import EMPTY, rebuild_table, table_bits
from neurosim.kernels.merge import merge_all
from neurosim.kernels.order import sort_slots
from neurosim.random import Stream, mix64, stream_key
from neurosim.synapses.initial import draw_connections
from neurosim.synapses.plan import StorePlan
from neurosim.synapses.recount import recount
from neurosim.synapses.violations import find_violations, used_by_core


class SynapseStore:
    """All synapses of a network, in slots of fixed capacity.

    A slot holds `pre` and `post` (int32), a signed weight (float32) and an active flag. The strength
    theta of Bellec et al. 2018 is ``abs(weight)`` and its constant sign is the sign bit, which is kept
    for a zero weight too; the sign of a position is a hash of (seed, matrix, pre, post). With
    ``plan.signs == 'free'`` the hash decides the first sign only, and the weight learns its own.

    The slots of one matrix on one core are contiguous (a *segment*). No array has n_pre * n_post
    elements, and nothing is allocated when synapses are exchanged.

    Parameters
    ----------
    plan : StorePlan
        Matrices, segments, scopes and limits.
    seed : int
        Seed of signs, initial positions and initial strengths.

    Attributes
    ----------
    slots, segments, matrices, tally
        The arrays, as the named tuples of `neurosim.kernels.layout`.
    n_unplaced, unplaced_by
        Planned connections that found no place at the start, and how many of them each limit bound: int, dict of names to int.

    Notes
    -----
    Canonical form: no position twice, indices in range, every slot inside its core's post neurons,
    fan-in within its limit, counters equal to a recount, signs as hashed. `violations` lists every
    breach and is empty after every public method.
    """

    def __init__(self, plan: StorePlan, seed: int):
        self.plan = plan
        self.seed = int(seed)
        self.matrices = _matrix_arrays(plan, seed)
        self.segments = _segment_arrays(plan)
        self.slots = _empty_slots(plan, self.segments, self.matrices)
        self.tally = new_tally(plan)
        self.n_unplaced, self.unplaced_by = 0, {}

    @classmethod
    def random(cls, plan, seed):
        """Store with uniformly drawn connections and theta = abs(N(0, 1)) / sqrt(n_pre).

        Source: the authors' initial values (Bellec et al. 2018, public scripts): n_pre is the full
        fan-in of the layer. Where fan-in limits leave no room, fewer
        synapses than planned are active, and `n_unplaced` says how many.
        """
        store = cls(plan, seed)
        draw_connections(store)
        return store

    @classmethod
    def of(cls, plan, connections, seed=0):
        """Store with given connections, as another network or an earlier run left them.

        Parameters
        ----------
        plan : StorePlan
        connections : sequence of (pre, post, weight)
            Of each matrix: int arrays and a float array of one length.
        seed : int
            Of what is drawn later.

        Raises
        ------
        ValueError
            Of another number of matrices, twice the same position, one that no core holds, more than a core has slots for, a weight
            that is not finite or that its format cannot hold, a limit that is broken, or, where the signs of positions are constant, another sign.
        """
        store = cls(plan, seed)
        if len(connections) != len(plan.matrices):
            raise ValueError(f"connections of {len(connections)} matrices; expected {len(plan.matrices)}")
        arrays = [tuple(np.asarray(a) for a in triple) for triple in connections]
        for m, (pre, post, weight) in enumerate(arrays):
            matrix = plan.matrices[m]
            if not pre.shape == post.shape == weight.shape == (pre.size,):
                raise ValueError(f"matrix {m}: pre, post and weight of shapes {pre.shape}, {post.shape}, {weight.shape}; expected one length")
            if wrong := [a.dtype for a in (pre, post) if a.size and a.dtype.kind not in "iu"]:
                raise ValueError(f"matrix {m}: neurons of type {wrong[0]}; expected whole numbers")
            if pre.size and not (0 <= pre.min() and pre.max() < matrix.n_pre and 0 <= post.min() and post.max() < matrix.n_post):
                raise ValueError(f"matrix {m}: a connection outside of {matrix.n_pre} x {matrix.n_post}")
            if matrix.skips_self and (pre == post).any():
                raise ValueError(f"matrix {m}: a connection of neuron {pre[pre == post][0]} to itself, which is no position")
        for g, segment in enumerate(plan.segments):
            pre, post, weight = arrays[segment.matrix]
            is_here = (post >= segment.post_start) & (post < segment.post_stop)
            pre, post = pre[is_here].astype(np.int64), post[is_here].astype(np.int64)
            with np.errstate(over="ignore"):  # a weight that is not finite is refused below
                weight = weight[is_here].astype(np.float32)
            start, stop = store.segments.slot_start[g : g + 2]
            if pre.size > stop - start:
                raise ValueError(f"matrix {segment.matrix}, core {segment.core}: {pre.size} connections for {stop - start} slots")
            positions = pre * (segment.post_stop - segment.post_start) + post - segment.post_start
            order = np.argsort(positions, kind="stable")
            if (np.diff(positions[order]) == 0).any():
                raise ValueError(f"matrix {segment.matrix}: a position is given twice")
            occupy_positions(store.slots, store.segments, store.matrices, store.tally, g, positions[order])
            table = np.full(positions.max(initial=-1) + 1, np.float32(0))
            table[positions] = weight
            used = np.flatnonzero(store.slots.active[start:stop]) + start
            here = store.slots.pre[used].astype(np.int64) * (segment.post_stop - segment.post_start)
            store.slots.weight[used] = table[here + store.slots.post[used] - segment.post_start]
        if store.slots.master.size:
            store.slots.master[:] = store.slots.weight
        store.tally.by_segment[:] = 0
        store.slots.disorder[:] = 0
        if found := store.violations():
            raise ValueError(found[0])
        return store

    @property
    def n_slots(self):
        """Number of slots, free ones included."""
        return self.slots.pre.size

    @property
    def n_active(self):
        """Number of active synapses."""
        return int(self.n_slots - self.slots.n_free.sum())

    @property
    def n_active_by_segment(self):
        """Active synapses of each segment: int64, shape (G,)."""
        return np.diff(self.segments.slot_start) - self.slots.n_free[:, 0]

    @property
    def theta(self):
        """Strengths: float32 copy, shape (S,), 0 for free slots."""
        return np.abs(self.slots.weight)

    def connections(self, matrix):
        """Active synapses of one matrix: (pre, post, weight) copies in slot order."""
        rows = slice(self.matrices.slot_start[matrix], self.matrices.slot_start[matrix + 1])
        active = self.slots.active[rows] == 1
        return tuple(a[rows][active] for a in (self.slots.pre, self.slots.post, self.slots.weight))

    def dense(self, matrix):
        """One weight matrix as a dense array, for tests and small pictures: float32 (n_pre, n_post)."""
        out = np.zeros((self.plan.matrices[matrix].n_pre, self.plan.matrices[matrix].n_post), np.float32)
        pre, post, weight = self.connections(matrix)
        out[pre, post] = weight
        return out

    def release(self, slot_indices):
        """Free the given slots; raises ValueError for a slot that is not active."""
        for slot in slot_indices:
            if self.slots.active[slot] != 1:
                raise ValueError(f"slot {slot} is not active")
            segment = int(np.searchsorted(self.segments.slot_start, slot, side="right")) - 1
            release_one(self.slots, self.segments, self.matrices, self.tally, segment, int(slot))

    def fill(self, key, theta=0.0):
        """Re-use free slots until every scope has its promised number; returns how many stayed free.

        Parameters
        ----------
        key : int
            Unsigned 64-bit key of the proposals: equal keys give equal draws.
        theta : float
            Strength of the arrivals.
        """
        unfilled = 0
        for scope, wanted in enumerate(self.segments.n_wanted):
            unfilled += fill_scope(self.slots, self.segments, self.matrices, self.tally, scope, wanted, np.uint64(key), np.float32(theta), True)
        return int(unfilled)

    def place(self, segment, positions, n_wanted, theta=0.0):
        """Re-use free slots of one segment for the first feasible of the given positions; returns how many.

        Parameters
        ----------
        segment : int
        positions : int64 array, shape (n,)
            ``(post - first post of the segment) * n_pre + pre``, best first.
        n_wanted : int
            Most arrivals.
        theta : float
            Strength of the arrivals.
        """
        return int(place_first(self.slots, self.segments, self.matrices, self.tally, segment, positions, n_wanted, np.float32(theta)))

    def smallest(self, segment, n):
        """The `n` active slots of one segment with the smallest ``abs(weight)``: int64, ascending by it.

        Of equals, the one with the lower post and then pre neuron comes first: the order of slots does not matter.
        The search is booked for the account.
        """
        start, stop = self.segments.slot_start[segment], self.segments.slot_start[segment + 1]
        active = start + np.flatnonzero(self.slots.active[start:stop])
        order = np.lexsort((self.slots.pre[active], self.slots.post[active], np.abs(self.slots.weight[active])))
        self.count(segment, SegmentEvent.SEARCHES, 1)
        self.count(segment, SegmentEvent.RANKED, active.size)
        return active[order[:n]]

    def count(self, segment, event, n):
        """Book `n` events of one segment; `event` is a `SegmentEvent`."""
        self.tally.by_segment[segment, event] += n

    def sort(self):
        """Sort the slots of each segment by strip of pre neurons, then by post neuron; gradients must be zero."""
        sort_slots(self.slots, self.segments, self.matrices)

    def merge(self):
        """As `sort`, and faster where all slots but few arrivals lie in order."""
        merge_all(self.slots, self.segments, self.matrices)

    def sign(self, matrix, pre, post):
        """Constant sign of a position: -1.0 or 1.0."""
        return float(sign_of(self.matrices, matrix, pre, post))

    def violations(self):
        """Every breach of the canonical form, one line each; empty when all is well."""
        return find_violations(self)

    @property
    def unfilled_by(self):
        """(rewiring, slot) pairs that found no position, by the limits that bound: dict of names to int, zeros left out."""
        return {binding.name.lower(): int(n) for binding, n in zip(Binding, self.tally.unfilled_by) if n}

    def rows_used(self, core):
        """What the chip limits of a core's rows: dict of names to (used, most at any moment, limit).

        Routing entries are those of the core's chip; targets are the most that one neuron of the core has.
        """
        used, limits = used_by_core(self), self.plan.limits
        found = {}
        for resource in Resource:
            name, limit = resource.name.lower(), getattr(limits, resource.name.lower())
            if limit is not None:
                place = int(self.segments.chip[core]) if resource == Resource.ROUTING_ENTRIES else core
                found[name] = (int(used[resource][place]), int(self.tally.peak[resource, place]), limit[place])
        return found

    def state(self):
        """What a checkpoint needs: dict of arrays (copies are not made)."""
        names = ("pre", "post", "weight", "active", "master", "moments", "free_slot", "n_free", "disorder", "is_stray")
        state = {name: getattr(self.slots, name) for name in names}
        return state | {"n_free": state["n_free"][:, 0]}

    def restore(self, state):
        """Take over the arrays of `state` and recompute everything that follows from them."""
        own = self.state()
        for name, values in state.items():
            own[name][...] = values
        self.slots.gradient[:] = 0
        recount(self)
        rebuild_table(self.slots, self.matrices)
        for resource, used in zip(Resource, used_by_core(self), strict=True):
            np.maximum(self.tally.peak[resource], used, out=self.tally.peak[resource])


def new_tally(plan):
    """Tally of zeros for a plan."""
    n_neurons, n_cores, n_matrices = plan.n_neurons, plan.n_cores, len(plan.matrices)
    pairs = (n_cores, n_cores) if plan.counts_pairs else (0, 0)
    return Tally(
        by_segment=np.zeros((len(plan.segments), N_SEGMENT_EVENTS), np.int64),
        by_neuron=np.zeros(n_neurons, np.int64),
        replayed=np.zeros(n_neurons if plan.counts_replays else 0, np.int64),
        recent=np.zeros(n_neurons, np.uint16),
        n_recent=np.zeros(1, np.int64),
        sent=np.zeros((n_matrices, n_cores), np.int64),
        received=np.zeros((n_matrices, n_cores), np.int64),
        pairs=np.zeros(pairs, np.int64),
        sent_back=np.zeros(n_cores, np.int64),
        received_back=np.zeros(n_cores, np.int64),
        pairs_back=np.zeros(pairs, np.int64),
        n_destinations=np.zeros(n_neurons, np.int32),
        live=np.zeros((0, n_neurons), np.uint16),
        wrong=np.zeros((0, n_neurons), np.uint16),
        live_lines=np.zeros((0, 8), np.uint64),
        wrong_lines=np.zeros((0, 8), np.uint64),
        n_open=np.zeros(1, np.int64),
        exchanged=np.zeros((0, 4), np.int32),
        n_exchanged=np.zeros(1, np.int64),
        home=np.asarray(plan.home, np.int64),
        nonzero=np.zeros(n_neurons, np.int64),
        peak=np.zeros((len(Resource), n_cores), np.int64),
        unfilled_by=np.zeros(len(Binding), np.int64),
        saturated=np.zeros(n_matrices, np.int64),
    )


def _matrix_arrays(plan, seed):
    fan_in_start = np.cumsum([0] + [m.n_post for m in plan.matrices])[:-1]
    n_positions = [m.n_pre * m.n_post for m in plan.matrices]
    slots_of = [sum(s.n_slots for s in plan.segments if s.matrix == i) for i in range(len(plan.matrices))]
    place_bits = [table_bits(*sizes) for sizes in zip(slots_of, n_positions, strict=True)]
    position_bits = [max(bits, (n - 1).bit_length()) for bits, n in zip(place_bits, n_positions, strict=True)]
    key = stream_key(seed, Stream.SIGN)
    return Matrices(
        n_pre=np.array([m.n_pre for m in plan.matrices], np.int64),
        n_post=np.array([m.n_post for m in plan.matrices], np.int64),
        slot_start=np.cumsum([0] + slots_of).astype(np.int64),
        table_start=np.cumsum([0] + [1 << bits for bits in place_bits]).astype(np.int64),
        position_bits=np.array(position_bits, np.int64),
        rest_bits=np.subtract(position_bits, place_bits).astype(np.int64),
        fan_in_start=fan_in_start.astype(np.int64),
        fan_in_limit=np.array([NO_LIMIT if m.fan_in_limit is None else m.fan_in_limit for m in plan.matrices], np.int64),
        pre_neuron=np.array([m.pre_neuron for m in plan.matrices], np.int64),
        post_neuron=np.array([m.post_neuron for m in plan.matrices], np.int64),
        skips_self=np.array([m.skips_self for m in plan.matrices], np.uint8),
        sign_key=np.array([mix64(key + i) for i in range(len(plan.matrices))], np.uint64),
        sign_step=np.full(len(plan.matrices), not plan.shares_signs, np.int64),
        step=np.array([m.grid.step for m in plan.matrices], np.float32),
        top=np.array([m.grid.top for m in plan.matrices], np.float32),
        ulp=np.array([m.grid.ulp for m in plan.matrices], np.float32),
    )


def _segment_arrays(plan):
    n_pre = [plan.matrices[s.matrix].n_pre for s in plan.segments]
    widths = [s.post_stop - s.post_start for s in plan.segments]
    limits = plan.limits

    def per_core(values, absent):
        return np.full(plan.n_cores, absent, np.int64) if values is None else np.array(values, np.int64)

    return Segments(
        matrix=np.array([s.matrix for s in plan.segments], np.int64),
        core=np.array([s.core for s in plan.segments], np.int64),
        slot_start=np.cumsum([0] + [s.n_slots for s in plan.segments]).astype(np.int64),
        post_start=np.array([s.post_start for s in plan.segments], np.int64),
        n_positions=np.array([a * b for a, b in zip(n_pre, widths)], np.int64),
        n_possible=np.array([plan.matrices[s.matrix].count_positions(width) for s, width in zip(plan.segments, widths)], np.int64),
        fan_out_start=np.cumsum([0] + n_pre)[:-1].astype(np.int64),
        n_wanted=np.array(plan.n_wanted, np.int64),
        scope_start=np.array(plan.scope_start, np.int64),
        is_limited=any(values is not None for values in (limits.in_axons, limits.out_axons, limits.words)) or plan.can_fill_routes,
        in_axon_limit=per_core(limits.in_axons, NO_LIMIT),
        out_axon_limit=per_core(limits.out_axons, NO_LIMIT),
        word_limit=per_core(limits.words, NO_LIMIT),
        synapse_bits=per_core(limits.synapse_bits, 0),
        header_bits=limits.header_bits,
        block_synapses=limits.block_synapses,
        word_bits=limits.word_bits,
        counts_routes=limits.routing_entries is not None or limits.targets is not None,
        sender=np.array(plan.senders, np.int64),
        chip=per_core(limits.chip, 0),
        entry_limit=per_core(limits.routing_entries, NO_LIMIT),
        target_place=per_core(limits.target_place, 0),
        target_limit=per_core(limits.targets, NO_LIMIT),
    )


def _each_in_a_line(values):
    """Counters that threads write at the same time, each the first in a cache line of its own: int64 (n, 8)."""
    counters = np.zeros((len(values), 8), np.int64)
    counters[:, 0] = values
    return counters


def _empty_slots(plan, segments, matrices):
    n = int(segments.slot_start[-1])
    slots = Slots(
        pre=np.zeros(n, np.int32),
        post=np.zeros(n, np.int32),
        weight=np.zeros(n, np.float32),
        active=np.zeros(n, np.uint8),
        gradient=np.zeros(n, np.float32),
        moments=np.zeros((plan.n_moments, n), np.float32),
        master=np.zeros(n if plan.has_master else 0, np.float32),
        table=np.full(matrices.table_start[-1], EMPTY, np.int32),
        fan_in=np.zeros(sum(m.n_post for m in plan.matrices), np.int32),
        fan_out=np.zeros(sum(plan.matrices[s.matrix].n_pre for s in plan.segments), np.int32),
        free_slot=np.empty(n, np.int32),
        n_free=_each_in_a_line(np.diff(segments.slot_start)),
        disorder=np.zeros(2, np.int64),
        is_stray=np.zeros(-(-n // 64), np.uint64),
        in_axons=np.zeros(plan.n_cores, np.int64),
        out_axons=np.zeros(plan.n_cores, np.int64),
        words=np.zeros(plan.n_cores, np.int64),
        segment_words=np.zeros(len(plan.segments), np.int64),
        row_work=np.zeros(max(m.n_pre for m in plan.matrices), np.int64),
        routed=np.zeros((plan.n_neurons, 0 if plan.limits.routing_entries is None else segments.chip.max() + 1), np.int32),
        routing_entries=np.zeros(plan.n_cores, np.int64),
        reached=np.zeros((plan.n_neurons, 0 if plan.limits.targets is None else segments.target_place.max() + 1), np.int32),
        targets=np.zeros(plan.n_neurons, np.int32),
    )
    for g, segment in enumerate(plan.segments):
        start, stop = segments.slot_start[g], segments.slot_start[g + 1]
        slots.post[start:stop] = segment.post_start
        slots.free_slot[start:stop] = np.arange(stop - 1, start - 1, -1)
    return slots
