"""PyNN out: a folder with connection lists and a short script, for SpiNNaker, NEST, Brian and others.

Lists are in the format of ``FromFileConnector``; weights of either sign are two projections, as PyNN has receptors for each. Neurons are
``IF_curr_delta``-like: ``IF_curr_exp`` with a synapse much shorter than a step of 1 ms, whose current is so large that a spike adds its weight to the
membrane within the step. They reset to 0, where ours lose their threshold, and a spike within a layer arrives a step later than here, since no delay is shorter than one: so the
folder is lossy and written on request alone.
Source: Davison et al., "PyNN: a common interface for neuronal network simulators", Frontiers in Neuroinformatics 2:11 (2009), and its manual.
"""

import io
import json
from pathlib import Path

import numpy as np

from neurosim.documents import write_atomic
from neurosim.errors import InputError
from neurosim.interchange.nir_out import refuse_unless_spiking
from neurosim.interchange.metadata import metadata_of
from neurosim.results.network import TrainedNetwork

#: Time constant of the synapses, ms.
TAU_SYN = 0.1

_SCRIPT = '''"""{name} in PyNN: python network.py BACKEND, such as nest, brian2 or spiNNaker.

Spikes of the inputs: spikes.json, for each input a list of times in ms; without the file, no input spikes. The output with the highest sum of
weights of its spikes is the class: outputs are read from the counts of hidden spikes and readout.npy.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sim = importlib.import_module("pyNN." + (sys.argv[1] if len(sys.argv) > 1 else "mock"))
sim.setup(timestep=1.0)
times = json.loads((HERE / "spikes.json").read_text()) if (HERE / "spikes.json").exists() else [[] for _ in range({n_inputs})]
populations = {{"inputs": sim.Population({n_inputs}, sim.SpikeSourceArray(spike_times=times), label="inputs")}}
for name, n in {hidden}:
    neuron = sim.IF_curr_exp(tau_m={tau_m!r}, cm=1.0, v_rest=0.0, v_reset=0.0, v_thresh={v_th!r}, tau_refrac={refractory!r}, tau_syn_E={tau_syn!r}, tau_syn_I={tau_syn!r})
    populations[name] = sim.Population(n, neuron, initial_values={{"v": 0.0}}, label=name)
for path, pre, post, receptor in {projections}:
    sim.Projection(populations[pre], populations[post], sim.FromFileConnector(str(HERE / path)), sim.StaticSynapse(), receptor_type=receptor)
for name in populations:
    if name != "inputs":
        populations[name].record("spikes")


def run(n_steps={n_steps}):
    """Sums of the outputs over the steps of a sample, 1 ms each; every hidden layer takes two more: a delay, and a step of its membrane."""
    sim.run(float(n_steps + {n_more}))
    last = populations[{last!r}].get_data("spikes").segments[0].spiketrains
    counts = np.array([len(train) for train in last])
    return counts @ np.load(HERE / "readout.npy") + n_steps * np.load(HERE / "bias.npy")


if __name__ == "__main__":
    print(run())
    sim.end()
'''


def charge(tau_m: float) -> float:
    """What a spike of weight 1 nA has added to a membrane of 1 nF a step of 1 ms later, mV: cm dv/dt = -cm v / tau_m + exp(-t / TAU_SYN)."""
    return float(TAU_SYN * tau_m / (tau_m - TAU_SYN) * (np.exp(-1 / tau_m) - np.exp(-1 / TAU_SYN)))


def write_pynn(network: TrainedNetwork, out: str | Path, lossy: bool = False) -> None:
    """Write a folder: ``network.py``, lists of connections, the read-out and ``about.json``.

    Parameters
    ----------
    network : TrainedNetwork
        Of type ``lif``.
    out : path-like
        Folder, which is made.
    lossy : bool

    Raises
    ------
    InputError
        A network that does not spike, or a folder that cannot be made.
    """
    refuse_unless_spiking(network, "pynn", lossy)
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be created: {error.strerror}") from None
    spiking, projections = network.spiking, []
    assert spiking is not None
    gain = 1 / charge(float(spiking.tau_m))
    for i, matrix in enumerate(network.matrices[:-1]):
        weight = matrix.weight.tocoo()
        values = weight.data.astype(np.float64) * gain * (network.scale or 1.0 if i == 0 else 1.0)
        for receptor, chosen in (("excitatory", values > 0), ("inhibitory", values < 0)):
            path = f"{network.populations[matrix.pre]}_to_{network.populations[matrix.post]}_{receptor}.txt".replace(" ", "")
            lines = ['# columns = ["i", "j", "weight", "delay"]']
            rows = zip(weight.row[chosen].tolist(), weight.col[chosen].tolist(), values[chosen].tolist(), strict=True)
            lines += [f"{pre} {post} {value!r} 1.0" for pre, post, value in rows]
            if len(lines) > 1:
                write_atomic(out / path, "\n".join(lines) + "\n")
                projections.append((path, network.populations[matrix.pre], network.populations[matrix.post], receptor))
    last = network.matrices[-1]
    for name, array in (("readout", last.weight.toarray()), ("bias", network.biases.get(last.post, np.zeros(network.n_classes, np.float32)))):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        write_atomic(out / f"{name}.npy", buffer.getvalue())
    sizes = dict(zip(network.populations, network.sizes, strict=True))
    text = _SCRIPT.format(
        name=network.origin.get("scenario", "network"), n_inputs=network.n_inputs, hidden=[(p, sizes[p]) for p in network.populations[1:-1]],
        tau_m=float(spiking.tau_m), v_th=float(spiking.v_th), refractory=float(max(spiking.refractory, 0)), projections=projections,
        n_steps=network.n_steps, n_more=2 * (len(network.populations) - 2), tau_syn=TAU_SYN, last=network.populations[-2],
    )  # fmt: skip
    write_atomic(out / "network.py", text)
    write_atomic(out / "about.json", json.dumps(metadata_of(network), indent=1) + "\n")
