"""Values as spikes: what each encoder does, step by step, and what it refuses."""

import numpy as np
import pytest

from neurosim.datasets import DataShape, Encoding, SpeechFeatures, dataset_shape, load_dataset, make_dataset
from neurosim.datasets.arrays import like_training
from neurosim.errors import InputError

KINDS = ("latency", "integrate", "level_crossing", "rate")


def encode(values, n_steps=1, lengths=None, **numbers):
    """Spikes of float32 values of shape (n, n_steps * n_inputs): shape (n, steps, units)."""
    encoding = Encoding(**numbers)
    x = np.asarray(values, np.float32)
    spikes, after = encoding.apply(x, n_steps, None if lengths is None else np.asarray(lengths, np.int32))
    units, steps = encoding.shape(x.shape[1] // n_steps, n_steps)
    assert spikes.dtype == np.uint8 and set(np.unique(spikes)) <= {0, 1}
    return spikes.reshape(len(x), steps, units), after


def test_latency_fires_once_and_the_earlier_the_larger():
    spikes, lengths = encode([[1.0, 0.5, 0.32, 0.2, 0.0]], kind="latency")
    assert lengths is None and spikes.shape == (1, 20, 5)
    # t = 20 ln(x / (x - 0.2)): 4.46, 10.2, 19.6; 0.2 itself would need for ever.
    assert [np.flatnonzero(spikes[0, :, unit]).tolist() for unit in range(5)] == [[4], [10], [19], [], []]


def test_latency_drops_what_would_come_after_the_last_step():
    assert encode([[0.32]], kind="latency", steps=19)[0].sum() == 0


def test_integrate_counts_charge_exactly():
    """Values of quarters have no rounding, so the number of spikes is the whole part of the charge."""
    values = np.full((1, 40), 0.25)
    spikes, _ = encode(values, 40, kind="integrate", threshold=1.0)
    assert np.flatnonzero(spikes[0, :, 0]).tolist() == list(range(3, 40, 4))
    assert encode(values, 40, kind="integrate", threshold=2.5)[0].sum() == 4
    assert encode(-values, 40, kind="integrate")[0].sum() == 0


def test_integrate_fires_once_a_step_and_keeps_the_rest():
    spikes, _ = encode([[3.0, 0.0, 0.0, 0.0]], 4, kind="integrate")
    assert spikes[0, :, 0].tolist() == [1, 1, 1, 0]


def test_a_leak_loses_charge():
    # 0.75 + 0.375 + 0.1875 ... stays below 1.5, and reaches 1.25 in the third step.
    values = np.full((1, 20), 0.75)
    assert encode(values, 20, kind="integrate", threshold=1.5, leak=0.5)[0].sum() == 0
    assert encode(values, 20, kind="integrate", threshold=1.25, leak=0.5)[0][0, :3, 0].tolist() == [0, 0, 1]


def test_a_second_polarity_adds_up_what_lies_below_zero():
    values = np.array([[1.0, -2.0, -1.0, 0.5, -0.5, 2.0]])  # three steps of two values
    one, _ = encode(values, 3, kind="integrate", threshold=1.5)
    both, _ = encode(values, 3, kind="integrate", threshold=1.5, polarities=2)
    below, _ = encode(-values, 3, kind="integrate", threshold=1.5)
    assert both.shape == (1, 3, 4)
    assert (both[:, :, :2] == one).all() and (both[:, :, 2:] == below).all() and one.any() and below.any()


def test_level_crossing_follows_the_value():
    spikes, _ = encode([[0.0, 0.5, 1.0, 1.2, 0.4, 0.4]], 6, kind="level_crossing", threshold=0.5)
    assert spikes[0, :, 0].tolist() == [0, 1, 1, 0, 0, 0]
    assert spikes[0, :, 1].tolist() == [0, 0, 0, 0, 1, 0]


def test_fixed_levels_fire_when_they_are_passed():
    spikes, _ = encode([[0.0, 0.3, 0.9, 0.1]], 4, kind="level_crossing", levels=3)  # at 0.25, 0.5, 0.75
    assert spikes[0, :, :3].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert spikes[0, :, 3:].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]]


def test_rate_has_the_chances_it_says_and_is_seeded():
    values = np.tile([[0.0, 0.25, 1.0]], (400, 1))
    spikes, _ = encode(values, kind="rate", steps=50, rate=0.8)
    assert spikes[:, :, 0].sum() == 0
    for unit, p in ((1, 0.2), (2, 0.8)):
        n, found = 400 * 50, spikes[:, :, unit].sum()
        assert abs(found - n * p) < 5 * np.sqrt(n * p * (1 - p))
    again, other = (encode(values, kind="rate", steps=50, rate=0.8, seed=seed)[0] for seed in (0, 1))
    assert (again == spikes).all() and (other != spikes).any()
    assert encode(values, kind="rate", rate=1.0)[0][:, :, 2].all()


def test_first_samples_have_the_same_draws_whatever_follows():
    values = np.random.default_rng(0).random((1100, 3))
    spikes, _ = encode(values, kind="rate", steps=3)
    assert (encode(values[:700], kind="rate", steps=3)[0] == spikes[:700]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_has_no_spikes_and_no_influence(kind):
    """A sequence padded in front by other values gives the spikes of the sequence alone."""
    rng = np.random.default_rng(1)
    short = rng.random((5, 4 * 2)).astype(np.float32)
    padded = np.concatenate([rng.random((5, 3 * 2)).astype(np.float32), short], axis=1)
    if kind == "rate":
        padded = np.minimum(np.rint(padded), 1)  # certain: its draws depend on the steps
        short = padded[:, 6:]
    numbers = {"rate": {"rate": 1.0}, "latency": {"tau": 0.5}}.get(kind, {"threshold": 0.3})
    spikes, lengths = encode(padded, 7, [4] * 5, kind=kind, steps=2, silence=1, **numbers)
    alone, _ = encode(short, 4, kind=kind, steps=2, silence=1, **numbers)
    assert lengths.tolist() == [9] * 5 and alone.sum() > 0
    assert (spikes[:, 6:] == alone).all() and spikes[:, :6].sum() == 0 and spikes[:, -1].sum() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_any_data_set_takes_any_encoder(kind):
    x = np.random.default_rng(2).random((20, 6)).astype(np.float32)
    data = make_dataset(x, np.arange(20) % 2, test_fraction=0.3, validation_fraction=0.3, encode=Encoding(kind, steps=5, silence=2))
    units = 12 if kind == "level_crossing" else 6
    assert (data.n_inputs, data.n_steps, data.scale, data.x_train.dtype) == (units, 7, 1.0, np.uint8)
    assert data.x_test.shape == (data.n_test, 7 * units) and data.x_validation.shape == (data.n_validation, 7 * units)
    if kind != "rate":
        again, _ = like_training(data, x)
        rows = {row.tobytes() for row in again}
        assert {row.tobytes() for row in data.x_train} <= rows


def test_new_samples_are_standardized_and_encoded_as_those_of_training():
    x = (np.random.default_rng(3).random((20, 6)) * 50).astype(np.float32)
    data = make_dataset(x, np.arange(20) % 2, x, np.arange(20) % 2, standardize=True, encode=Encoding("integrate", steps=8))
    assert data.x_train.any() and (like_training(data, x)[0] == data.x_train).all()
    with pytest.raises(InputError, match="expected 6 values"):
        like_training(data, x[:, :5])


def test_shapes_are_known_before_files_are_opened():
    assert dataset_shape("mnist", encode=Encoding("latency")) == DataShape(784, 20, 10)
    assert dataset_shape("mnist_rows", encode=Encoding("integrate", steps=4)) == DataShape(28, 112, 10)
    assert dataset_shape("mnist_pixels", encode=Encoding("level_crossing", levels=40, silence=56)) == DataShape(80, 840, 10)
    assert dataset_shape("fsdd", speech=SpeechFeatures(bands=40), encode=Encoding("level_crossing")) == DataShape(80, 100, 10)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"kind": "burst"}, "encode.kind: found 'burst'"),
        ({"kind": "latency", "leak": 0.5}, "encode.leak: kind latency does not use it"),
        ({"kind": "latency", "tau": 0.0}, "encode.tau: found 0.0"),
        ({"kind": "latency", "tau": float("nan")}, "encode.tau: found nan"),
        ({"kind": "latency", "steps": 0}, "encode.steps: found 0"),
        ({"kind": "latency", "steps": True}, "encode.steps: found True"),
        ({"kind": "rate", "rate": 1.5}, "encode.rate: found 1.5"),
        ({"kind": "rate", "range": (1.0, 1.0)}, "encode.range: found"),
        ({"kind": "level_crossing", "levels": 3, "threshold": 0.1}, "encode.threshold: found beside levels"),
        ({"kind": "level_crossing", "range": (0.0, 2.0)}, "encode.range: found without levels"),
        ({"kind": "integrate", "silence": -1}, "encode.silence: found -1"),
    ],
)
def test_wrong_numbers_are_refused_in_one_line(numbers, message):
    with pytest.raises(InputError, match=message) as caught:
        Encoding(**numbers)
    assert "\n" not in str(caught.value)


def test_too_many_steps_are_refused():
    with pytest.raises(InputError, match="expected at most 10000"):
        dataset_shape("mnist_pixels", encode=Encoding("rate", steps=20))


def test_silent_data_are_said():
    data = make_dataset([[0.1], [0.0]] * 4, [0, 1] * 4, test_fraction=0.25, encode=Encoding("latency"))
    assert any("no training sample has a spike" in note for note in data.notes)


def test_mnist_fires_as_often_as_published(mnist_dir):
    """118.6 spikes per image in 20 steps, measured on a prototype; the test images have 118.75, the first 5,000 of training a little less."""
    data = load_dataset("mnist", data_dir=mnist_dir, limit=10_000, encode=Encoding("latency"))
    assert data.n_test == 10_000 and data.x_test.sum() / data.n_test == pytest.approx(118.6, rel=0.005)
    assert data.x_train.sum() / data.n_train == pytest.approx(118.6, rel=0.02)


def test_spoken_digits_fire_as_often_as_published(fsdd_dir):
    """456 spikes by integration and 249 by crossings per recording, on a prototype whose thresholds are not known: these give them."""
    speech = SpeechFeatures(frame_ms=25.0, hop_ms=10.0, bands=40, max_steps=230)
    for encoding, published in ((Encoding("integrate", threshold=1.5), 456), (Encoding("level_crossing", threshold=0.57), 249)):
        data = load_dataset("fsdd", data_dir=fsdd_dir, speech=speech, encode=encoding)
        # The prototype cut recordings at 100 steps.
        spikes = data.x_train.reshape(data.n_train, 230, -1)
        kept = np.arange(230) < (230 - data.lengths_train + 100)[:, None]
        assert (spikes.sum(axis=2) * kept).sum() / data.n_train == pytest.approx(published, rel=0.02)
        assert np.minimum(data.lengths_train, 100).mean() == pytest.approx(42.6, abs=0.05)
