"""The end of a training step: who fell below zero leaves, free slots are re-used, the budget is watched.

Matrices whose exchanges share nothing are dealt to several threads. Every draw is a function of (key, scope, number of the
draw), so the outcome is the same, and what matrices do share is written afterwards, by one thread.
"""

import numpy as np

from neurosim.kernels.compile import inlined, part
from neurosim.kernels.exchange import fill_scope, mark_arrivals
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.limits import note_binding
from neurosim.kernels.membership import count_active
from neurosim.kernels.merge import deal_arrivals
from neurosim.kernels.random import fold
from neurosim.kernels.threads import N_SHARES, part_of_share
from neurosim.kernels.update import release_marked

_MERGES, _SEEN, _WORDS_SEEN = int(SegmentEvent.MERGES), int(SegmentEvent.SEEN), int(SegmentEvent.WORDS_SEEN)

#: Leaving synapses from which several threads pay: waking one takes as long as some hundred exchanges.
_LEAST_SHARED = 128


@inlined
def _is_separable(segments, tally):
    """Whether the exchanges of different matrices share nothing: no scope, no limit of a core, no count between cores, no open places."""
    if segments.is_limited or segments.counts_routes or tally.pairs.size > 0 or tally.n_open[0] > 0:
        return False
    for scope in range(segments.n_wanted.size):
        if segments.matrix[segments.scope_start[scope]] != segments.matrix[segments.scope_start[scope + 1] - 1]:
            return False
    return True


@inlined
def _is_fixed(rule, matrix):
    """Whether a matrix never rewires, where matrices differ in that: it is not looked at, and nothing arrives in it."""
    return rule.by_matrix.shape[0] > 0 and rule.by_matrix[matrix, 3] > np.float32(0.0)


@inlined
def begin_exchange(slots, segments, tally, rule, below, is_rewiring):
    """Book what whoever rewires finds, before anything leaves; returns in how many shares to work. Writes `tally`."""
    if is_rewiring:
        for segment in range(segments.matrix.size):
            if _is_fixed(rule, segments.matrix[segment]):
                continue
            tally.by_segment[segment, _SEEN] += count_active(slots, segments, segment)
            tally.by_segment[segment, _WORDS_SEEN] += slots.segment_words[segment]
    n_leaving = np.int64(0)
    for chunk in range(below.size):
        n_leaving += below[chunk]
    return N_SHARES if n_leaving >= _LEAST_SHARED and _is_separable(segments, tally) else 1


@inlined
def exchange_share(share, n_shares, slots, segments, matrices, tally, rule, step, below, is_rewiring, before, unfilled):
    """Release the marked slots of the matrices of a share, and re-use the free slots of their scopes if it is time to.

    Writes `slots`, `tally`; `before` : int64 (G,), free slots of each segment in between; `unfilled` : int64 (number of scopes,),
    synapses that found no position.
    """
    first, stride = part_of_share(share, n_shares)
    release_marked(slots, segments, matrices, tally, below, first, stride)
    if not is_rewiring:
        return
    n_scopes = segments.n_wanted.size
    # Scopes that share a core's limits take turns in being the first.
    turn = step % n_scopes if segments.is_limited else 0
    for i in range(n_scopes):
        scope = (turn + i) % n_scopes
        if segments.matrix[segments.scope_start[scope]] % stride != first:
            continue
        for segment in range(segments.scope_start[scope], segments.scope_start[scope + 1]):
            before[segment] = slots.n_free[segment, 0]
        if _is_fixed(rule, segments.matrix[segments.scope_start[scope]]):
            unfilled[scope] = segments.n_wanted[scope]
            for segment in range(segments.scope_start[scope], segments.scope_start[scope + 1]):
                unfilled[scope] -= count_active(slots, segments, segment)
            continue
        unfilled[scope] = fill_scope(
            slots, segments, matrices, tally, scope, segments.n_wanted[scope], fold(rule.proposal_key, step), rule.theta_born,
            n_shares == 1,
        )  # fmt: skip


@part
def deal_share(share, n_shares, slots, segments, matrices, before):
    """Deal what arrived in the matrices of a share, where slots are kept in order (`merge.deal_arrivals`).

    Writes `slots`; `before` is that of `exchange_share`.
    """
    first, stride = part_of_share(share, n_shares)
    for segment in range(segments.matrix.size):
        if segments.matrix[segment] % stride == first:
            deal_arrivals(slots, segments, matrices, segment, before[segment])


@inlined
def close_exchange(n_shares, slots, segments, matrices, tally, progress, is_rewiring, merge_entries, before, unfilled):
    """Do what shares leave to one thread, and watch the budget. Writes `slots`, `tally`, `progress`."""
    if is_rewiring:
        progress.n_unfilled[0] = 0
        for scope in range(segments.n_wanted.size):
            progress.n_unfilled[0] += unfilled[scope]
            if n_shares > 1 and unfilled[scope] > 0:
                note_binding(slots, segments, matrices, tally, scope, unfilled[scope])
        for segment in range(segments.matrix.size):
            arrived = before[segment] - slots.n_free[segment, 0]
            tally.by_segment[segment, _MERGES] += (arrived + merge_entries - 1) // merge_entries
            if n_shares > 1:
                mark_arrivals(slots, segments, segment, before[segment])
    n_active = segments.slot_start[-1] - slots.n_free.sum()
    progress.most_active[0] = max(progress.most_active[0], n_active)
    if is_rewiring:
        progress.least_active[0] = min(progress.least_active[0], n_active)
