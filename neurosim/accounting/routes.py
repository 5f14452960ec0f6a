"""Packets from core to core, and the hops that they take: XY routes, so as many hops as the Manhattan distance of the tiles.

A value goes once to each other core that needs it, as a packet of its own. Inputs come from the host, have no home and take no
hops. Between chips the way within the chips is not known, so only the packet is counted.
"""

import numpy as np


def count_packets(shape, workload, training, evaluation, broadcast=None):
    """Packets of each phase between each pair of cores.

    Parameters
    ----------
    shape : activity.Shape
    workload : Workload
        Where the host learns, only activations travel between cores; where gradients are clipped, so do the parts of their norm.
    training, evaluation : Activity
        With `pairs`.
    broadcast : int64 array, shape (n_cores, n_cores), optional
        Errors of outputs that are sent to all cores with spiking neurons.

    Returns
    -------
    dict of str to int64 array, shape (n_cores, n_cores)
        From the core of the row to the core of the column; the diagonal is 0.
    """
    if workload.host_learns:
        return {"forward": training.pairs, "evaluate": evaluation.pairs}
    n_losses = training.n_losses if workload.topology.spiking else training.n_samples
    logits = n_losses * np.outer(shape.own[-1], shape.has_output)
    dense = np.zeros_like(logits)
    for g in np.flatnonzero(shape.remote):
        dense[:, shape.core[g]] += training.segment["dense_samples"][g] * shape.own_sent[shape.pre[g]]
    for among in (logits, dense):
        np.fill_diagonal(among, 0)
    return {
        "forward": training.pairs + logits,
        "backward": training.pairs_back + (0 if broadcast is None else broadcast),
        "update": workload.clips * training.n_steps * shape.norm_packets,
        "rewire": dense,
        "evaluate": evaluation.pairs,
    }


def count_hops(geometry, packets):
    """What packets between cores meet on their way, at the sender.

    Parameters
    ----------
    geometry : Geometry
    packets : int64 array, shape (n_cores, n_cores)

    Returns
    -------
    dict of str to int64 array, shape (n_cores,)
        Kind of event to count: ``packet_local`` (within a tile), ``packet_offchip``, ``hop_east_west``, ``hop_north_south``.
    """

    def between(values):
        return np.abs(values[:, None] - values[None, :])

    same_chip = between(geometry.chip) == 0
    found = {"packet_offchip": packets * ~same_chip}
    if geometry.tile is not None:
        found["packet_local"] = packets * (between(geometry.tile) == 0)
    if geometry.x is not None:
        found["hop_east_west"] = packets * same_chip * between(geometry.x)
        found["hop_north_south"] = packets * same_chip * between(geometry.y)
    return {kind: counts.sum(axis=1) for kind, counts in found.items()}
