"""How fast to learn, and what is wrong where a network does not: rules of thumb with the measurements behind them.

The rate that learns best falls with the mean fan-in f, the synapses of a sum of inputs: as the step of a sum is the rate times the
squares of all its inputs, a rate that suits 6 synapses blows up 600. `AUTO_RATES` holds the constants of rate = min(most, factor / f ** power).
For plain gradient descent they are fitted to grids of rates (batches of 10, means of three seeds) on MNIST (784-300-100-10,
20,000 images, 3 epochs) and digits (64-100-10, 30 epochs) at 1, 5, 20 and 100 % of the connections, fan-ins of 0.7 to 650: docs/python.md
has the figures. Momentum multiplies a steady step by 1 / (1 - momentum), and the rate is divided by that.
"""

#: Factor, power and highest rate by the kind of optimizer.
AUTO_RATES = {"sgd": (3.2, 0.65, 4.0), "momentum": (3.2, 0.65, 4.0), "adam": (0.05, 0.5, 0.1)}
#: A rate this many times the one of `auto_rate` is called too large where the learning is bad.
_TOO_LARGE = 3.0
#: Of the way from chance to 1: a training accuracy below is low, one below the second number is not good.
_LOW, _WEAK = 0.5, 0.8
#: What accuracy may gain over the second half of the epochs and still be called flat, and lose from its best before it is said to fall.
_FLAT, _FALLEN = 0.02, 0.05
#: Part of the weights that the first epoch leaves as they were, from which steps are said to round to nothing.
_STUCK = 0.75


def auto_rate(optimizer, fan_in, momentum=0.9):
    """Learning rate for a mean fan-in.

    Parameters
    ----------
    optimizer : {'sgd', 'momentum', 'adam'}
    fan_in : float
        Synapses per sum of inputs, over the whole network.
    momentum : float
        Of ``momentum``.

    Returns
    -------
    float
        Rounded to two digits, so that it can be read and written down.

    Examples
    --------
    >>> auto_rate("sgd", 8.7), auto_rate("sgd", 650)
    (0.78, 0.048)
    """
    factor, power, most = AUTO_RATES[optimizer]
    rate = min(most, factor / fan_in**power) * (1 - momentum if optimizer == "momentum" else 1)
    return float(f"{rate:.2g}")


def find_warnings(record):
    """What is wrong with the learning of a run, from what the run counted.

    Parameters
    ----------
    record : RunRecord

    Returns
    -------
    list of str
        One sentence per fault: what is seen, and what to do. Empty when the network learns.
    """
    found = [
        *_unscaled(record),
        *_too_large(record),
        *_restless(record),
        *_stuck(record),
        *_never_predicted(record),
        *_wider_than_the_chip(record),
    ]
    return found or [*_flat(record)]


def _chance(record):
    """Accuracy of whoever always says the most frequent class."""
    n = record.classes.n_samples if record.classes else [1] * record.dataset.n_classes
    return max(n) / max(1, sum(n))


def _is_below(record, part):
    chance = _chance(record)
    return record.accuracy.train_per_epoch[-1] < chance + part * (1 - chance)


def _has_fallen(record):
    seen = record.accuracy.train_per_epoch
    return max(seen) - seen[-1] > _FALLEN


def mean_fan_in(record):
    """Active synapses per sum of inputs, over the whole network."""
    return record.connectivity.active / sum(m.n_post for m in record.connectivity.matrices if not _repeats(record, m))


def _repeats(record, matrix):
    """Whether a matrix feeds sums that the matrix before it feeds, too: the recurrent one of a layer."""
    return bool(matrix.name and matrix.name.endswith("to itself"))


def _unscaled(record):
    yield from (f"features are not scaled: {note}" for note in record.dataset.notes if "dataset.standardize" in note)


def _too_large(record):
    training, rate = record.scenario.get("training", {}), record.epochs[0].learning_rate
    fan_in = mean_fan_in(record)
    fair = auto_rate(training.get("optimizer", "sgd"), fan_in, training.get("momentum") or 0.9)
    if rate > _TOO_LARGE * fair and (_is_below(record, _LOW) or _has_fallen(record)):
        yield (
            f"learning rate {rate:g} is too large for {fan_in:.3g} synapses per neuron: training accuracy "
            f"{record.accuracy.train_per_epoch[-1]:.1%}, highest {max(record.accuracy.train_per_epoch):.1%}; "
            f"try training.learning_rate: {fair:g}, which auto would take"
        )


def _restless(record):
    last = record.epochs[-1]
    if last.n_active and last.n_arrived > last.n_active and _is_below(record, _WEAK) and len(record.epochs) > 1:
        yield (
            f"{last.n_arrived / last.n_active:.1f} times the whole network is rewired in an epoch, before connections have learned "
            f"(training accuracy {record.accuracy.train_per_epoch[-1]:.1%}): lower rewiring.l1 and rewiring.noise_std, or raise rewiring.period"
        )


def _stuck(record):
    unmoved = record.epochs[0].unmoved
    if unmoved is not None and unmoved > _STUCK:
        hardware = record.scenario["hardware"]
        yield (
            f"{unmoved:.0%} of the weights did not move in the first epoch: their steps round to nothing in {hardware['weight_format']}; "
            "set hardware.rounding: stochastic, or hardware.master: float32"
        )


def _never_predicted(record):
    classes = record.classes
    missed = [i for i, (n, m) in enumerate(zip(classes.n_samples, classes.n_predicted)) if n and not m] if classes else []
    if missed:
        names = ", ".join(classes.names[i] for i in missed[:8]) + (", ..." if len(missed) > 8 else "")
        one = len(missed) == 1
        yield f"class{'' if one else 'es'} {names} {'is' if one else 'are'} never predicted ({sum(classes.n_samples[i] for i in missed):,d} test samples)"


def _wider_than_the_chip(record):
    is_float = record.scenario.get("hardware", {}).get("weight_format", "float32") == "float32"
    yield from (
        f"weights are wider than the chip's, and so may be the accuracy: {note}"
        for note in record.profile.not_modelled
        if is_float and note.startswith("weight_bits_native")
    )


def _flat(record):
    seen = record.accuracy.train_per_epoch
    half = len(seen) // 2
    if len(seen) >= 3 and _is_below(record, _LOW) and max(seen[half:]) - max(seen[:half]) < _FLAT:
        yield (
            f"training accuracy is low and stays so: {seen[-1]:.1%} after {len(seen)} epochs, {max(seen[:half]):.1%} at half of them; chance is "
            f"{_chance(record):.1%}: try training.learning_rate: auto, more connections or more hidden neurons"
        )
