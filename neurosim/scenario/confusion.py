"""Which classes the test samples of each class were taken for at the end of a run."""

import numpy as np

from neurosim.scenario.weights import network_of

#: More classes than this are not counted pair by pair.
MOST_CLASSES = 256
_CHUNK = 4096


def count_confusion(experiment, trainer):
    """Test samples by class and prediction, from the weights as they stand.

    Parameters
    ----------
    experiment : Experiment
    trainer : Trainer

    Returns
    -------
    dict
        Fields of `results.schema.ClassesUsed`.
    """
    network, dataset = network_of(experiment, trainer), trainer.dataset
    n = dataset.n_classes
    predicted = np.empty(dataset.n_test, np.int64)
    for start in range(0, dataset.n_test, _CHUNK):
        here = slice(start, start + _CHUNK)
        lengths = None if dataset.lengths_test is None else dataset.lengths_test[here]
        x = dataset.x_test[here].astype(np.float32) * np.float32(dataset.scale)
        predicted[here] = network.sums(x, lengths).argmax(axis=1)
    truth = dataset.y_test.astype(np.int64)
    n_samples = np.bincount(truth, minlength=n)
    n_right = np.bincount(truth[predicted == truth], minlength=n)
    part = {
        "names": list(dataset.class_names),
        "n_samples": n_samples.tolist(),
        "accuracy": [right / of if of else None for right, of in zip(n_right.tolist(), n_samples.tolist())],
        "n_predicted": np.bincount(predicted, minlength=n).tolist(),
    }
    if n <= MOST_CLASSES:
        part["confusion"] = np.bincount(truth * n + predicted, minlength=n * n).reshape(n, n).tolist()
    return part
