"""PyTorch out: a Python file with the network as a module, and its weights beside it as an NPZ file.

The file needs torch and NumPy alone; it says the same sums as `TrainedNetwork.logits`, spiking networks included, and can be trained on: weights
are parameters, and a mask keeps what is no synapse at zero.
"""

from pathlib import Path

from neurosim.documents import write_atomic
from neurosim.errors import InputError
from neurosim.results.network import TrainedNetwork

_CELLS = {"relu": "torch.relu(x)", "tanh": "torch.tanh(x)", "leaky_relu": "torch.nn.functional.leaky_relu(x, 0.01)"}

_HEAD = '''"""{name}: a network of neurosim as a PyTorch module. Weights stand in {weights}; its layout is that of neurosim.results.network.

    from {module} import load
    logits = load()({arguments})
"""

import json
from pathlib import Path

import numpy as np
import torch

WEIGHTS = Path(__file__).with_name({weights!r})


class Network(torch.nn.Module):
    """Sums of the outputs from samples as the run was given them{shape}."""

    def __init__(self, arrays):
        super().__init__()
        about = json.loads(str(arrays["about"]))
        self.scale, self.n_steps = about["scale"] or 1.0, about["n_steps"]
        for i, matrix in enumerate(about["matrices"]):
            shape, start = arrays[f"matrix{{i}}_shape"], arrays[f"matrix{{i}}_indptr"]
            rows = np.repeat(np.arange(shape[0]), np.diff(start))
            weight, mask = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
            weight[rows, arrays[f"matrix{{i}}_indices"]] = arrays[f"matrix{{i}}_data"]
            mask[rows, arrays[f"matrix{{i}}_indices"]] = 1
            self.register_parameter(f"weight{{i}}", torch.nn.Parameter(torch.from_numpy(weight)))
            self.register_buffer(f"mask{{i}}", torch.from_numpy(mask))
            bias = arrays[f"biases{{matrix['post']}}"] if f"biases{{matrix['post']}}" in arrays and not matrix["is_recurrent"] else None
            self.register_parameter(f"bias{{i}}", None if bias is None else torch.nn.Parameter(torch.from_numpy(bias)))
        for name in ("mean", "spread"):
            self.register_buffer(name, torch.from_numpy(arrays[name]) if name in arrays else None)
{constants}
    def enter(self, x):
        if self.mean is None:
            return x.float() * self.scale
        return ((x.double() * self.scale - self.mean) / self.spread).float()

    def times(self, x, i):
        sums = x @ (getattr(self, f"weight{{i}}") * getattr(self, f"mask{{i}}"))
        bias = getattr(self, f"bias{{i}}")
        return sums if bias is None else sums + bias

{forward}

def load(path=WEIGHTS):
    with np.load(path, allow_pickle=False) as archive:
        return Network(dict(archive)).eval()
'''

_SEQUENCE = """    def forward(self, x, lengths=None):
        x = self.enter(x.reshape(len(x), self.n_steps, -1))
        lengths = torch.full((len(x),), self.n_steps) if lengths is None else torch.as_tensor(lengths)
{start}
        for t in range(self.n_steps):
            is_alive = (t < lengths).unsqueeze(1)
            value = x[:, t]
{step}
{end}
"""


def write_torch(network: TrainedNetwork, out: str | Path) -> None:
    """Write the module and its weights.

    Parameters
    ----------
    network : TrainedNetwork
    out : path-like
        Of the Python file; weights are written beside it, with suffix .npz.

    Raises
    ------
    InputError
        Not the name of a module, or a cell that is not known here.
    """
    out = Path(out)
    if out.suffix != ".py" or not out.stem.isidentifier():
        raise InputError(f"--out: found {out.name!r}; give a Python file whose name is an identifier, such as --out network.py")
    weights = out.with_suffix(".npz")
    constants, forward = _forward(network)
    text = _HEAD.format(
        name=network.origin.get("scenario", "network"), weights=weights.name, module=out.stem, constants=constants, forward=forward,
        arguments="x" if network.type == "mlp" else "x, lengths", shape="" if network.type == "mlp" else "; padding stands behind a sequence",
    )  # fmt: skip
    write_atomic(weights, network.npz_bytes())
    write_atomic(out, text)


def _forward(network):
    if network.type == "mlp":
        return "", _perceptron(network)
    if network.spiking:
        return _spikes(network)
    layers = [(i, network.matrices[i + 1].weight.shape[0]) for i in range(0, len(network.matrices) - 1, 2)]
    start = [f"        h{i} = c{i} = x.new_zeros(len(x), {n})" for i, n in layers] + [f"        total = x.new_zeros(len(x), {layers[-1][1]})"]
    step = []
    for i, _ in layers:
        step.append(f"            sums = self.times(value, {i}) + self.times(h{i}, {i + 1})")
        if network.type == "lstm":
            step += [
                "            i, f, g, o = (sums[:, k::4] for k in range(4))",
                f"            c{i} = torch.where(is_alive, torch.sigmoid(f) * c{i} + torch.sigmoid(i) * torch.tanh(g), c{i})",
                f"            h{i} = torch.where(is_alive, torch.sigmoid(o) * torch.tanh(c{i}), h{i})",
            ]
        else:
            step.append(f"            h{i} = torch.where(is_alive, torch.tanh(sums), h{i})")
        step.append(f"            value = h{i}")
    step.append("            total = total + torch.where(is_alive, value, 0)")
    seen = "total / lengths.unsqueeze(1)" if network.readout == "mean" else f"h{layers[-1][0]}"
    return "", _SEQUENCE.format(
        start="\n".join(start), step="\n".join(step), end=f"        return self.times({seen}, {len(network.matrices) - 1})"
    ).rstrip("\n") + "\n"


def _perceptron(network):
    lines = ["    def forward(self, x):", "        x = self.enter(x.reshape(len(x), -1))"]
    for i, cell in enumerate(network.cells):
        if cell not in _CELLS:
            raise InputError(f"export --format torch: hidden layer {i + 1} has cells {cell}, which are not known there; use --format npz")
        lines += [f"        x = self.times(x, {i})", f"        x = {_CELLS[cell]}"]
    return "\n".join([*lines, f"        return self.times(x, {len(network.matrices) - 1})", ""])


def _spikes(network):
    """Neurons step by step, as `neurosim.networks.spiking` has them; a sequence ends at the last step, padding stands in front there."""
    spiking = network.spiking
    layers: list[list] = []
    for i, matrix in enumerate(network.matrices[:-1]):
        if matrix.is_recurrent:
            layers[-1][1] = i
        else:
            layers.append([i, None, matrix.weight.shape[1]])
    constants = [
        f"        self.alpha, self.rho, self.kappa, self.v_th = {spiking.alpha!r}, {spiking.rho!r}, {spiking.kappa!r}, {spiking.v_th!r}",
        f"        self.refractory, self.n_read = {spiking.refractory}, {spiking.count_readouts(network.n_steps)}",
    ]
    start = [
        "        x = x * (torch.arange(self.n_steps) < lengths.unsqueeze(1)).unsqueeze(2)",
        "        x = torch.stack([row.roll(self.n_steps - int(n), 0) for row, n in zip(x, lengths)])",
    ]
    step = ["            is_alive = (t >= self.n_steps - lengths).unsqueeze(1)"]
    for i, own, n in layers:
        adapts = [int(k) for k in spiking.adapts(n).nonzero()[0]]
        constants.append(f'        self.register_buffer("beta{i}", torch.zeros({n}))')
        if adapts and spiking.beta:
            constants.append(f"        self.beta{i}[{adapts}] = {spiking.beta!r}")
        start.append(f"        v{i}, a{i}, wait{i}, z{i} = (x.new_zeros(len(x), {n}) for _ in range(4))")
        loop = "" if own is None else f" + self.times(z{i}, {own})"
        step += [
            f"            v{i} = self.alpha * v{i} + self.times(value, {i}){loop} - self.v_th * z{i}",
            f"            a{i} = self.rho * a{i} + z{i}",
            f"            z{i} = ((v{i} - self.v_th - self.beta{i} * a{i} > 0) & (wait{i} == 0)).float()",
            f"            wait{i} = torch.where(z{i} > 0, float(self.refractory), (wait{i} - 1).clamp(min=0))",
            f"            value = z{i}",
        ]
    last = len(network.matrices) - 1
    n_classes = network.n_classes
    start.append(f"        y, total = (x.new_zeros(len(x), {n_classes}) for _ in range(2))")
    step += [
        f"            bias = 0 if self.bias{last} is None else self.bias{last}",
        f"            y = self.kappa * y + self.times(value, {last}) - bias * ~is_alive",
        "            total = total + (y if t >= self.n_steps - self.n_read else 0)",
    ]
    end = "        return total / lengths.clamp(max=self.n_read).unsqueeze(1)"
    return "\n".join(constants) + "\n", _SEQUENCE.format(start="\n".join(start), step="\n".join(step), end=end).rstrip("\n") + "\n"
