"""Figures of docs/spiking.md on training programs: ``python -m benchmarks.plot_programs``.

Bytes come from the placement alone. Traffic comes from one epoch on some spoken digits, trained once for each program: the same samples, wiring and
spikes, but for the factorised program, which has a method of its own. Needs the recordings (``--data``, or ``$NEUROSIM_DATA``).
"""

import argparse
from pathlib import Path

import neurosim as ns
from neurosim.datasets import DataShape
from neurosim.placement.compare_programs import describe_programs
from neurosim.reports import figure_style as style
from neurosim.reports.figure_programs import draw_program_bytes, draw_program_traffic
from neurosim.scenario import prepare
from neurosim.scenario.schema import Scenario

#: Without the filter of the read-out, the trace of a synapse is a product.
FACTORISED = "eprop_factorised"
STEPS = [2**k for k in range(2, 12)]
SHAPE = DataShape(40, 230, 10, is_spikes=True)
PROGRAMS = ("bptt", "eprop_clock", "eprop_synapse", "eprop_spike", FACTORISED)


def scenario_of(connectivity, method="eprop", **hardware):
    """Spoken digits as spikes, 128 neurons: a loss in every step, so that every program has all of its parts."""
    return Scenario(
        name="programs",
        dataset={
            "name": "fsdd", "max_steps": 230, "limit": 100, "features": {"frame_ms": 25.0, "hop_ms": 10.0, "bands": 40},
            "encode": {"kind": "integrate", "threshold": 1.5},
        },
        network={"type": "lif", "units": 128, "connectivity": [connectivity, connectivity, 1.0], "readout": "every", "refractory": 2},
        hardware={"profile": "spinnaker2", "cores": 1, "execution": "event_driven", "on_violation": "report", **hardware},
        training={"epochs": 1, "batch_size": 10, "optimizer": "adam", "learning_rate": 0.005, "method": method},
    )  # fmt: skip


def _describe(connectivity, method):
    return describe_programs(prepare(scenario_of(connectivity, method), SHAPE, with_remedies=False).placement, STEPS)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder with the recordings")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    arguments = parser.parse_args()
    panels = []
    for title, connectivity in (("10 % of the connections", 0.1), ("all connections", 1.0)):
        rows = [row for row in _describe(connectivity, "eprop") if row["program"] != FACTORISED]
        rows += [row for row in _describe(connectivity, FACTORISED) if row["program"] == FACTORISED]
        for row in rows:
            print(title, {key: value for key, value in row.items() if key not in ("sections", "by_steps")})
        panels.append((title, rows, STEPS))
    figure = style.new_figure()
    network = "40 inputs, 128 recurrent LIF neurons, 10 outputs, Adam, batches, one core of SpiNNaker 2"
    draw_program_bytes(panels, figure, network, "from the placement, nothing trained")
    (arguments.out / "spiking_bytes.png").write_bytes(style.render(figure))

    records = {}
    for program in PROGRAMS:
        method = FACTORISED if program == FACTORISED else "eprop"
        records[program] = ns.run(scenario_of(0.1, method, program=program), data_dir=arguments.data, threads=1).record
        print(program, records[program].traffic_bytes.by_phase)
    figure = style.new_figure()
    draw_program_traffic(
        records,
        figure,
        f"{network}, 10 % of the connections",
        "spoken digits, one epoch of 100 recordings trained by e-prop, counted for each program",
    )
    (arguments.out / "spiking_traffic.png").write_bytes(style.render(figure))


if __name__ == "__main__":
    main()
