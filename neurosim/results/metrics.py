"""The few numbers of a run by which runs are compared, and their means over seeds."""

import math

from neurosim.results.sweep import Estimate, LimitUse, Metrics

#: No part of training a sample.
_EVALUATION = "evaluate"
_CONFIDENCE = 0.95


#: Limits whose use the scenario chooses, whatever the size of the network: such a one may be full without stopping anything.
CHOSEN = {"cores", "weight_bits"}


def metrics_of(record):
    """Metrics of a finished run.

    Parameters
    ----------
    record : RunRecord

    Returns
    -------
    Metrics
    """
    n_trained = record.n_samples_trained
    traffic = sum(n for phase, n in record.traffic_bytes.by_phase.items() if phase != _EVALUATION)
    is_priced = any(row.energy_j is not None for row in record.energy.rows)
    fullest = max(record.cores, key=stored_bytes)
    return Metrics(
        test_accuracy=record.accuracy.test,
        best_accuracy=record.accuracy.best,
        validation_accuracy=record.accuracy.validation,
        n_active=record.connectivity.active,
        n_possible=record.connectivity.possible,
        connectivity=record.connectivity.fraction,
        n_rewired=record.connectivity.rewired,
        n_cores=len(record.cores),
        synapses_per_core_max=max(core.synapses.used for core in record.cores),
        bytes_per_core_max=stored_bytes(fullest),
        bytes_per_core_limit=fullest.memory_bytes.limit if stored_bytes(fullest) == fullest.memory_bytes.used else None,
        memory_bytes=sum(stored_bytes(core) + sum(core.memory_bytes.spilled.values()) for core in record.cores),
        energy_per_sample_j=record.energy.per_sample_j if is_priced else None,
        energy_is_complete=record.energy.complete if is_priced else None,
        traffic_per_sample_bytes=traffic / n_trained,
        time_per_sample_s=record.timing.model_s_per_sample,
        time_is_complete=None if record.timing.model_s_per_sample is None else record.timing.model_complete,
        n_epochs=len(record.epochs),
        train_s=sum(record.timing.epoch_s),
    )


def stored_bytes(core):
    """All that a core keeps by itself, B: its local memory, and its synapses in cells, lists or words of neurons.

    What it moved to memory that it shares with others is not in it. Of records of earlier versions it is the use of local memory.
    """
    return core.memory_bytes.used if core.stored_bytes is None else core.stored_bytes


def assumed_prices(record):
    """Rows of a record's sensitivity whose price nobody published and this project assumes: list of Sensitivity."""
    assumed = tuple(row["key"] for row in record.profile.prices if row.get("kind") == "assumed")
    return [row for row in record.energy.sensitivity if any(key.endswith((f"prices.{row.price}", f".{row.price}")) for key in assumed)]


def metrics_of_verdict(verdict, n_possible):
    """The few metrics that are known without training.

    Parameters
    ----------
    verdict : dict
        As `Verdict.to_dict` gives it.
    n_possible : int
        Possible connections.

    Returns
    -------
    Metrics
    """
    n_active = sum(verdict["n_active"])
    memory = next((use for use in limits_of(verdict) if use.name == "local_memory"), None)
    stored = max((core.get("stored_bytes", core["n_bytes"]) for core in verdict["cores"]), default=None)
    return Metrics(
        n_active=n_active,
        n_possible=n_possible,
        connectivity=n_active / n_possible,
        n_cores=verdict["n_cores"],
        synapses_per_core_max=max((core["n_slots"] for core in verdict["cores"]), default=None),
        bytes_per_core_max=stored,
        bytes_per_core_limit=memory.limit if memory and memory.used == stored else None,
        memory_bytes=sum(
            core.get("n_alike", 1) * (core.get("stored_bytes", core["n_bytes"]) + sum(core["spilled"].values())) for core in verdict["cores"]
        ),
    )


def limits_of(verdict):
    """Every limit in a verdict at its fullest place, fullest first.

    Parameters
    ----------
    verdict : dict
        As `Verdict.to_dict` gives it and result.json holds it.

    Returns
    -------
    list of LimitUse
    """
    fullest: dict = {}
    for use in [*verdict["violations"], *verdict["headroom"]]:
        best = fullest.get(use["name"])
        if best is None or _fill(use) > _fill(best):
            fullest[use["name"]] = use
    uses = sorted(fullest.values(), key=_fill, reverse=True)
    return [LimitUse(**{key: use[key] for key in LimitUse.model_fields if key in use}) for use in uses]


def fullest_of(limits):
    """The limit that says how full a chip is: the fullest one that nobody chose, or a chosen one that is exceeded; None without one.

    Parameters
    ----------
    limits : sequence of LimitUse
        Fullest first, as `limits_of` gives them.
    """
    return next((use for use in limits if use.name not in CHOSEN or use.used > use.limit), None)


def _fill(use):
    return use["used"] / max(1, use["limit"])


def estimate(values):
    """Mean of some numbers with its 95 % confidence interval by Student's t.

    Parameters
    ----------
    values : sequence of float
        At least one; of different seeds.

    Returns
    -------
    Estimate
    """
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Estimate(n=1, mean=mean)
    from scipy.special import stdtrit

    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + _CONFIDENCE) / 2)) * std / math.sqrt(n)
    return Estimate(n=n, mean=mean, std=std, low=mean - half, high=mean + half)
