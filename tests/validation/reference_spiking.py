"""Spiking networks step by step in float64: one sample at a time, dense weights, no trick.

`Twin.back_through_time` follows every error back; `Twin.online` simulates the traces of every synapse forward in time, as Bellec et al. 2020
define e-prop, and never looks back. Nothing here shares code with the kernels.
"""

import numpy as np


def surrogate(kind, x, slope):
    """Derivative that stands for that of the step function, of the distance x in units of the threshold."""
    return {
        "triangular": lambda: np.maximum(0.0, 1.0 - slope * np.abs(x)),
        "superspike": lambda: 1.0 / (1.0 + slope * np.abs(x)) ** 2,
        "exponential": lambda: np.exp(-slope * np.abs(x)),
        "arctan": lambda: 1.0 / (1.0 + (slope * x) ** 2),
    }[kind]()


class Twin:
    """Weights of all layers, and what `networks.Spiking` says.

    Parameters
    ----------
    spiking : Spiking
    inputs, recurrent : list of float64 array
        Of each layer, shapes (n_pre, n_post) and (n, n) or None.
    output : float64 array, shape (n, n_classes)
    bias : float64 array, shape (n_classes,)
    feedback : list of float64 array, optional
        Of each layer, shape (n, n_classes), where the weights of the read-out are not the feedback.
    """

    def __init__(self, spiking, inputs, recurrent, output, bias, feedback=None):
        self.spiking, self.inputs, self.recurrent, self.output, self.bias, self.feedback = spiking, inputs, recurrent, output, bias, feedback
        self.beta = [spiking.beta * spiking.adapts(w.shape[1]) for w in inputs]

    def forward(self, x):
        """Spikes z and psi of each layer, read-outs y: float64, shapes (steps, neurons), (steps, n_classes). `x` : (steps, inputs)."""
        s, n = self.spiking, len(x)
        z, psi = ([np.zeros((n, w.shape[1])) for w in self.inputs] for _ in range(2))
        y, state = np.zeros((n, self.bias.size)), [[np.zeros(w.shape[1]) for _ in range(4)] for w in self.inputs]
        for t in range(n):
            value = x[t]
            for i, (w, r) in enumerate(zip(self.inputs, self.recurrent, strict=True)):
                v, a, wait, before = state[i]
                v = s.alpha * v + value @ w + (before @ r if r is not None else 0.0) - s.v_th * before
                a = s.rho * a + before
                x_v = (v - s.v_th - self.beta[i] * a) / s.v_th
                free = wait == 0
                value = ((x_v > 0) & free).astype(np.float64)
                psi[i][t] = s.gamma / s.v_th * surrogate(s.surrogate, x_v, s.slope) * free
                wait = np.where(value > 0, s.refractory, np.maximum(wait - 1, 0))
                state[i], z[i][t] = [v, a, wait, value], value
            y[t] = (s.kappa * y[t - 1] if t else 0.0) + value @ self.output + self.bias
        return z, psi, y

    def loss(self, y, label):
        """Cross-entropy in nats, and dE/dy of every step."""
        s, n = self.spiking, len(y)
        first = n - s.count_readouts(n)
        e = np.zeros_like(y)
        rows = y[first:] if s.readout == "every" else y[first:].mean(axis=0, keepdims=True)
        p = np.exp(rows - rows.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[:, label]).mean()
        p[:, label] -= 1.0
        e[first:] = p / (n - first)
        return loss, e

    def push(self, z):
        """dE/dz of the rate regulariser in every step, of each layer."""
        s = self.spiking
        return [s.rate_cost * (one.mean(axis=0) - s.rate_target) / len(one) for one in z]

    def back_through_time(self, x, label, window=None):
        """Loss and gradients (inputs, recurrent, output, bias), of the errors that the learning method follows."""
        s, n, learning = self.spiking, len(x), self.spiking.learning
        window = window or n
        z, psi, y = self.forward(x)
        loss, e = self.loss(y, label)
        push, layers = self.push(z), range(len(self.inputs))
        dv, da = [np.zeros_like(one) for one in z], [np.zeros(one.shape[1]) for one in z]
        lam, leaked, signal = np.zeros_like(e), np.zeros_like(e), [0.0 for _ in layers]
        for t in range(n - 1, -1, -1):
            is_cut = (n - 1 - t) % window == 0
            lam[t] = e[t] + (0.0 if is_cut else s.kappa * lam[t + 1])
            leaked[t] = lam[t] if learning.filtered_errors else e[t]
            for i in reversed(layers):
                if is_cut:
                    da[i][:] = 0.0
                dz = push[i] + da[i]
                if self.feedback is not None:
                    dz = dz + self.feedback[i] @ leaked[t]
                elif i == layers[-1]:
                    dz = dz + self.output @ leaked[t]
                if i < layers[-1] and learning.instant_layers:
                    dz = dz + self.inputs[i + 1] @ (psi[i + 1][t] * signal[i + 1])
                elif i < layers[-1] and learning.layer_errors:
                    dz = dz + self.inputs[i + 1] @ dv[i + 1][t]
                signal[i] = dz - da[i]
                if self.recurrent[i] is not None and not is_cut and learning.recurrent_errors:
                    dz = dz + self.recurrent[i] @ dv[i][t + 1]
                dv[i][t] = psi[i][t] * dz + (0.0 if is_cut else s.alpha * dv[i][t + 1])
                da[i] = s.rho * da[i] - self.beta[i] * psi[i][t] * dz
        below = [x, *z[:-1]]
        inputs = [one.T @ d for one, d in zip(below, dv, strict=True)]
        recurrent = [None if r is None else one[:-1].T @ d[1:] for r, one, d in zip(self.recurrent, z, dv, strict=True)]
        return loss, (inputs, recurrent, z[-1].T @ lam, lam.sum(axis=0))

    def online(self, x, label):
        """The same with traces of every synapse, forward in time: loss and gradients. Of several layers where each has its own signal.

        The loss of a mean is known at the end only, so dE/dy of each step, which an online loss would give at once, is taken from a first pass.
        """
        s, n, learning, layers = self.spiking, len(x), self.spiking.learning, range(len(self.inputs))
        z, psi, y = self.forward(x)
        loss, e = self.loss(y, label)
        push = self.push(z)
        kappa = s.kappa if learning.filtered_errors else 0.0

        def signal(i, t):
            """What comes to the spikes of a layer from the errors of the outputs in this step."""
            if self.feedback is not None:
                return self.feedback[i] @ e[t]
            if i == layers[-1]:
                return self.output @ e[t]
            assert learning.instant_layers, "no signal of this layer in this step alone"
            return self.inputs[i + 1] @ (psi[i + 1][t] * signal(i + 1, t))

        inputs, recurrent = [], []
        for i, below in enumerate([x, *z[:-1]]):
            sources = [below] + ([] if self.recurrent[i] is None else [np.vstack([np.zeros(z[i].shape[1]), z[i][:-1]])])
            found = []
            for pre in sources:
                trace, total = np.zeros(pre.shape[1]), np.zeros((pre.shape[1], z[i].shape[1]))
                eps, filtered = np.zeros_like(total), np.zeros_like(total)
                for t in range(n):
                    if t:  # with psi and the trace of the step before
                        eps = psi[i][t - 1] * trace[:, None] + (s.rho - psi[i][t - 1] * self.beta[i]) * eps
                    trace = s.alpha * trace + pre[t]
                    eligible = psi[i][t] * (trace[:, None] - self.beta[i] * eps)
                    filtered = kappa * filtered + eligible
                    total += signal(i, t) * filtered + push[i] * eligible
                found.append(total)
            inputs.append(found[0])
            recurrent.append(found[1] if len(found) > 1 else None)
        trace, output = np.zeros(z[-1].shape[1]), np.zeros_like(self.output)
        bias_trace, bias = 0.0, np.zeros_like(self.bias)
        for t in range(n):
            trace, bias_trace = s.kappa * trace + z[-1][t], s.kappa * bias_trace + 1.0
            output += np.outer(trace, e[t])
            bias += bias_trace * e[t]
        return loss, (inputs, recurrent, output, bias)
