"""Records for the tests of the reports, made by hand and checked to add up."""

import math

import pytest

from neurosim.results import RunRecord

N_TRAIN, N_TEST = 600, 100
WIDTHS = {"forward": (900, 80), "backward": (800, 300), "gradient": (850, 200), "update": (600, 500), "rewire": (950, 40)}
PRICES = {"synaptic_op": 4.5e-10, "neuron_update": 2.19e-9, "synaptic_update": 6e-10, "packet_sent": 3e-11, "host_byte": 1e-11}
KINDS_OF = {
    "input": ("host_byte",),
    "forward": ("synaptic_op", "neuron_update", "packet_sent"),
    "backward": ("synaptic_op", "neuron_update"),
    "gradient": ("synaptic_op",),
    "update": ("synaptic_update",),
    "rewire": ("synaptic_update",),
    "evaluate": ("synaptic_op", "neuron_update"),
}
PRICED = {"all": tuple(PRICES), "some": ("synaptic_op", "neuron_update"), "none": ()}
WEIGHTS = {"edges": [-2.0, -1.0, 0.0, 1.0, 2.0], "counts": [20, 300, 310, 10]}
FAN_IN = {"edges": [i - 0.5 for i in range(10)], "counts": [4, 6, 10, 10, 10, 10, 10, 20, 20]}
ONE_FAN_IN = {"edges": [-0.5, 1.5, 3.5, 5.5, 7.5, 9.5, 11.5], "counts": [0, 0, 0, 0, 0, 10]}
CASES = {
    "one_core": {},
    "four_cores": {"n_cores": 4, "priced": "all"},
    "many_cores": {"n_cores": 152},
    "many_cores_priced": {"n_cores": 152, "priced": "all"},
    "nothing_priced": {"priced": "none", "array": True},
    "one_epoch": {"n_epochs": 1},
}


def make_record(n_cores=1, priced="some", n_epochs=10, array=False):
    """Record whose parts add up. `priced`: all, some or none; with all there is static power too."""
    n = N_TRAIN * n_epochs
    rows, energy, cores = [], [], []
    for c in range(n_cores):
        load = 1000 + round(400 * math.sin(c / 9 + 1))
        rows += _traffic_rows(c, load, n, array)
        for phase, kinds in KINDS_OF.items():
            for i, kind in enumerate(kinds):
                price = PRICES[kind] if kind in PRICED[priced] else None
                energy.append(_energy_row(c, phase, kind, n * load // (i + 1), price))
        if priced == "all":
            energy.append(_energy_row(c, "static", "static_core", 1, 1e-6 * n))
    if priced == "all":
        energy.append(_energy_row(-1, "static", "static_chip", 1, 2e-6 * n * n_cores))
    for c in range(n_cores):
        cores.append(_core(c, [r for r in rows if r["core"] == c], [r for r in energy if r["core"] == c], n_cores))
    unpriced = list(dict.fromkeys(r["component"] for r in energy if r["energy_j"] is None))
    total = math.fsum(r["energy_j"] or 0.0 for r in energy)
    evaluation = math.fsum(r["energy_j"] or 0.0 for r in energy if r["phase"] == "evaluate")
    # A seventh of the time goes into evaluation, and so does a seventh of the static energy.
    static = math.fsum(r["energy_j"] or 0.0 for r in energy if r["phase"] == "static")
    host = {"input": 256 * n, "evaluate": 296 * N_TEST * n_epochs}
    epochs = [_epoch(e) for e in range(n_epochs)]
    seconds = None if priced == "none" else 1.25e-3
    return RunRecord(
        scenario={"name": "digits_by_hand", "seed": 7, "network": {"layers": [64, 100, 10]}, "dataset": {"name": "digits"}},
        seed=7,
        profile={
            "name": "spinnaker2_santos",
            "title": "SpiNNaker 2 prototype Santos (28 nm, 4 cores, 64 KB)",
            "sha256": "0" * 64,
            "accounting": "event",
            "price_set": "by_hand",
            "prices": [_price(k) for k in PRICED[priced]],
            "not_modelled": [],
        },
        dataset={
            "name": "digits",
            "source": "by hand",
            "sha256": "1" * 64,
            "n_train": N_TRAIN,
            "n_test": N_TEST,
            "n_features": 64,
            "n_classes": 10,
        },
        accuracy={
            "test": epochs[-1]["test_accuracy"],
            "best": max(e["test_accuracy"] for e in epochs),
            "per_epoch": [e["test_accuracy"] for e in epochs],
            "train_per_epoch": [e["train_accuracy"] for e in epochs],
        },
        epochs=epochs,
        connectivity={
            "active": 740,
            "possible": 7400,
            "fraction": 0.1,
            "rewired": sum(e["n_arrived"] for e in epochs),
            "least_active": 740,
            "most_active": 740,
            "unfilled": 0,
            "matrices": [
                {"n_pre": 64, "n_post": 100, "active": 640, "possible": 6400, "fraction": 0.1, "weights": WEIGHTS, "fan_in": FAN_IN},
                {"n_pre": 100, "n_post": 10, "active": 100, "possible": 1000, "fraction": 0.1, "weights": None, "fan_in": ONE_FAN_IN},
            ],
            "inputs": {"per": 1, "synapses": [20 * (i % 2) for i in range(64)]},
        },
        cores=cores,
        energy={
            "total_j": total,
            "complete": priced == "all",
            "unpriced": unpriced,
            "by_phase_j": _sums(energy, "phase"),
            "by_component_j": _sums(energy, "component"),
            "per_sample_j": (total - evaluation - static / 7) / n,
            "rows": energy,
        },
        traffic_bytes=_traffic(rows, host),
        events={"forward": {"synaptic_op": 740 * n}},
        metrics={},
        verdict=_verdict(cores),
        timing={
            "epoch_s": [0.5] * n_epochs,
            "evaluation_s": [0.1] * n_epochs,
            "model_s_per_sample": seconds,
            "model_training_s": None if seconds is None else seconds * n,
            "model_complete": priced == "all",
            "model_unmodelled": [] if priced == "all" else ["neuron_update", "transfer from and to the host"],
        },
        environment={},
    )


def _traffic_rows(core, load, n, array):
    synapses, level = ("synapse_array", "synapse_array") if array else ("synapses", "local_sram")
    yield _traffic_row(core, "input", "input_buffer", "local_sram", 0, 256 * n)
    for phase, (read, write) in WIDTHS.items():
        yield _traffic_row(core, phase, synapses, level, read * load * n // 100, write * load * n // 1000)
        yield _traffic_row(core, phase, "neuron_state", "local_sram", 4 * load * n // 10, load * n // 10)
    yield _traffic_row(core, "evaluate", "synapses", "local_sram", 9 * load * N_TEST, 0)


def _traffic_row(core, phase, section, level, read, write):
    return {"core": core, "phase": phase, "section": section, "level": level, "read_bytes": read, "write_bytes": write}


def _energy_row(core, phase, component, count, price):
    energy = None if price is None else count * price
    return {"core": core, "phase": phase, "component": component, "count": count, "price_j": price, "energy_j": energy}


def _core(c, rows, energy, n_cores):
    load = 1000 + round(400 * math.sin(c / 9 + 1))
    sections = {
        "code": 12288, "synapses": 17 * load, "row_pointers": 130, "gradients": 8 * load, "neuron_state": 880,
        "input_buffer": 256, "label_buffer": 40, "random_state": 16, "rewiring": 256,
    }  # fmt: skip
    by_phase = _sums([r for r in energy if r["energy_j"] is not None], "phase")
    by_traffic = {}
    for row in rows:
        by_traffic[row["phase"]] = by_traffic.get(row["phase"], 0) + row["read_bytes"] + row["write_bytes"]
    return {
        "id": c,
        "n_neurons": 110 // n_cores + 1,
        "synapses": {"used": load, "limit": load},
        "memory_bytes": {"used": sum(sections.values()), "limit": 65536, "sections": sections},
        "energy_j": math.fsum(by_phase.values()),
        "energy_by_phase_j": by_phase,
        "traffic_bytes": sum(by_traffic.values()),
        "traffic_by_phase_bytes": by_traffic,
        "packets": {"sent": 0, "received": 0},
        "busy_s": 1.0,
    }


def _verdict(cores):
    """As `Verdict.to_dict` gives it, for a chip of at least four cores."""

    def use(name, core, used, limit, unit):
        return {
            "name": name, "where": "chip" if core is None else f"core {core}", "used": used, "limit": limit, "unit": unit,
            "source": "by hand", "core": core, "matrix": None, "fits": True,
        }  # fmt: skip

    memory = [use("local_memory", core["id"], core["memory_bytes"]["used"], core["memory_bytes"]["limit"], "B") for core in cores]
    return {
        "fits": True, "profile": "spinnaker2_santos", "n_cores": len(cores), "n_active": [640, 100], "violations": [],
        "headroom": [*memory, use("cores", None, len(cores), max(4, len(cores)), "cores")],
        "unstated": ["fan_in_per_neuron"], "not_modelled": [], "section_over": [], "hints": [],
        "cores": [
            {"id": core["id"], "n_neurons": core["n_neurons"], "n_slots": core["synapses"]["limit"],
             "n_bytes": core["memory_bytes"]["used"], "sections": core["memory_bytes"]["sections"]}
            for core in cores
        ],
    }  # fmt: skip


def _sums(rows, key):
    found = {}
    for row in rows:
        found.setdefault(row[key], []).append(row["energy_j"] or 0.0)
    return {name: math.fsum(values) for name, values in found.items()}


def _traffic(rows, host):
    levels = {}
    for row in rows:
        phases = levels.setdefault(row["level"], {})
        phases[row["phase"]] = phases.get(row["phase"], 0) + row["read_bytes"] + row["write_bytes"]
    by_phase = {}
    for phases in levels.values():
        for phase, n_bytes in phases.items():
            by_phase[phase] = by_phase.get(phase, 0) + n_bytes
    levels["host"] = host
    return {
        "read": sum(r["read_bytes"] for r in rows),
        "write": sum(r["write_bytes"] for r in rows),
        "by_phase": by_phase,
        "by_level": {level: sum(phases.values()) for level, phases in levels.items()},
        "by_level_and_phase": levels,
        "rows": rows,
    }


def _epoch(e):
    test, train = 0.97 - 0.4 * math.exp(-0.5 * e - 0.5), 0.99 - 0.5 * math.exp(-0.6 * e - 0.5)
    return {
        "epoch": e, "learning_rate": 0.5 * 0.8**e,
        "train_loss": 2.0 * math.exp(-0.5 * e) + 0.05, "train_accuracy": train,
        "test_loss": 1.6 * math.exp(-0.5 * e) + 0.12, "test_accuracy": test,
        "n_released": 200 - 15 * e, "n_arrived": 200 - 15 * e, "n_active": 740,
        "n_active_least": 740, "n_active_most": 740, "n_unfilled": 0,
    }  # fmt: skip


def _price(kind):
    return {
        "key": f"energy.prices.{kind}", "value": PRICES[kind], "unit": "J", "kind": "specified", "meaning": "marginal",
        "source_key": "hand", "source": "Written by hand [sic], 2024", "confidence": "S", "note": None,
        "alternatives": [{"value": 1.5e-9, "source": "Another hand, 2023", "note": "another level"}],
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_records_add_up(case):
    record = make_record(**CASES[case])
    energy, traffic = record.energy, record.traffic_bytes
    assert math.isclose(sum(energy.by_phase_j.values()), energy.total_j, rel_tol=1e-12)
    assert math.isclose(sum(energy.by_component_j.values()), energy.total_j, rel_tol=1e-12)
    assert sum(traffic.by_phase.values()) == traffic.read + traffic.write == sum(core.traffic_bytes for core in record.cores)
    for core in record.cores:
        assert sum(core.memory_bytes.sections.values()) == core.memory_bytes.used <= core.memory_bytes.limit
        assert math.isclose(sum(core.energy_by_phase_j.values()), core.energy_j, rel_tol=1e-12)
    assert energy.complete == (not energy.unpriced)
