"""Moved, mirrored and cropped images: by hand, by their odds, and bit-equal whatever the threads and the interruptions."""

import numpy as np
import pytest

from neurosim.datasets import Augmentation, DataShape, dataset_shape, make_dataset
from neurosim.errors import InputError
from neurosim.scenario import load_scenario, prepare
from neurosim.scenario.runner import train_scenario


def bits_of(n, seed=0):
    return np.random.PCG64(seed).random_raw(2 * n)


def images(n, shape, dtype=np.uint8):
    return (np.arange(n * np.prod(shape)) % 250 + 1).astype(dtype).reshape(n, -1)


def reference(image, shift, flip, crop, start):
    """One image pixel by pixel: 2-D array."""
    rows, columns = image.shape
    wide = (crop or rows, crop or columns)
    out = np.zeros(wide, image.dtype)
    for i in range(wide[0]):
        for j in range(wide[1]):
            a, b = i + start[0] + shift[0], (wide[1] - 1 - j if flip else j) + start[1] + shift[1]
            if 0 <= a < rows and 0 <= b < columns:
                out[i, j] = image[a, b]
    return out


@pytest.mark.parametrize("shape", [(6, 7), (3, 6, 7), (6, 7, 3)])
@pytest.mark.parametrize("shift, flip, crop", [(1, False, None), (2, True, None), (0, True, None), (0, False, 4), (1, True, 5)])
def test_every_image_is_one_of_the_moves_that_are_allowed(shape, shift, flip, crop):
    n, augment = 60, Augmentation(shift=shift, flip=flip, crop=crop)
    x = images(n, shape)
    out = augment.apply(x, shape, bits_of(n), 0.0)
    new = augment.new_shape(shape, "d")
    assert out.shape == (n, np.prod(new)) and out.dtype == x.dtype
    axis = 0 if len(shape) == 2 else (1 if shape[0] == 3 else 2)  # of the colours, behind the samples
    planes = (lambda a, s: a.reshape(1, *s)) if len(shape) == 2 else (lambda a, s: np.moveaxis(a.reshape(s), axis - 1 if axis == 1 else 2, 0))
    for k in range(n):
        before, after = planes(x[k], shape), planes(out[k], new)
        found = [
            (dy, dx, f, top, left)
            for dy in range(-shift, shift + 1)
            for dx in range(-shift, shift + 1)
            for f in ([False, True] if flip else [False])
            for top in range((6 - crop if crop else 0) + 1)
            for left in range((7 - crop if crop else 0) + 1)
            if all((reference(b, (dy, dx), f, crop, (top, left)) == a).all() for b, a in zip(before, after, strict=True))
        ]
        assert found, k
    n_places = [2 * shift + 1 + (size - crop if crop else 0) for size in (6, 7)]
    one = augment.apply(np.tile(x[:1], (5000, 1)), shape, bits_of(5000), 0.0)
    assert len(np.unique(one, axis=0)) == n_places[0] * n_places[1] * (2 if flip else 1)  # each of them happens


def test_odds_and_the_late_ones():
    n, augment = 20_000, Augmentation(shift=1, probability=0.5, late_after=0.85, late_probability=0.25)
    x = np.tile(images(1, (5, 5)), (n, 1))
    for done, probability in ((0.0, 0.5), (0.84, 0.5), (0.85, 0.25), (0.99, 0.25)):
        out = augment.apply(x, (5, 5), bits_of(n), done)
        part = (out != x).any(axis=1).mean()
        p = probability * 8 / 9  # one of nine offsets is none
        assert abs(part - p) < 4 * np.sqrt(p * (1 - p) / n)
    flipped = Augmentation(flip=True).apply(x, (5, 5), bits_of(n), 0.0)
    assert abs((flipped != x).any(axis=1).mean() - 0.5) < 4 * np.sqrt(0.25 / n)


def test_the_test_set_gets_the_middle_and_training_other_windows():
    x, y = images(60, (3, 8, 8)).reshape(60, 3, 8, 8), np.arange(60) % 3
    from neurosim.datasets.dataset import Samples, assemble
    from neurosim.datasets.preparation import Preparation

    def data(**options):
        arrays = {"x_train": x, "y_train": y, "x_test": x[:9], "y_test": y[:9]}
        return assemble("d", Samples(dict(arrays), dict.fromkeys(arrays, "d"), source="d", scale=1 / 255), Preparation(**options))

    cropped = data(augment=Augmentation(crop=6))
    assert cropped.image_shape == (3, 6, 6) and cropped.n_features == 108
    np.testing.assert_array_equal(cropped.x_test.reshape(-1, 3, 6, 6), x[:9, :, 1:7, 1:7])
    assert "no memory" in cropped.notes[-1]
    epoch = cropped.epoch_samples(bits_of(60), 0.0)
    assert epoch.shape == (60, 108) and (epoch != cropped.x_train).any()
    plain = data(standardize="image")
    values = x.reshape(60, -1) / 255
    np.testing.assert_allclose(plain.x_train, (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True), atol=1e-5)
    both = data(standardize="image", augment=Augmentation(crop=6, flip=True))
    np.testing.assert_allclose(both.x_test.std(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(both.epoch_samples(bits_of(60), 0.0).mean(axis=1), 0, atol=1e-6)
    assert both.sha256 != data(standardize="image").sha256
    assert (data(standardize="image").x_train[0] != 0).any()
    flat = assemble("d", Samples({"x_train": np.full((2, 4), 7, np.uint8), "y_train": np.arange(2), "x_test": np.full((1, 4), 7, np.uint8),
                    "y_test": np.zeros(1, int)}, dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), "d"), source="d"),
                    Preparation(standardize="image"))  # fmt: skip
    assert (flat.x_train == 0).all()


def scenario(**augment):
    return load_scenario("digits_santos").with_(dataset={"augment": augment} if augment else {}, training={"epochs": 3})


def test_training_is_moved_and_the_bits_do_not_depend_on_threads():
    plain, _ = train_scenario(scenario())
    moved, net = train_scenario(scenario(shift=1, probability=0.5), n_threads=1)
    again, twin = train_scenario(scenario(shift=1, probability=0.5), n_threads=2)
    assert moved.accuracy == again.accuracy and moved.accuracy != plain.accuracy
    assert all((a.weight != b.weight).nnz == 0 for a, b in zip(net.matrices, twin.matrices, strict=True))
    assert any("no memory" in note for note in moved.dataset.notes)
    sections = [[core.memory_bytes for core in record.cores] for record in (plain, moved)]
    assert sections[0] == sections[1]


def test_shapes_are_known_before_files_are_read():
    assert dataset_shape("cifar10", augment=Augmentation(crop=24)) == DataShape(1728, 1, 10)
    assert dataset_shape("cifar10", augment=Augmentation(crop=24)).image_shape == (3, 24, 24)


@pytest.mark.parametrize(
    "augment, complaint",
    [
        ("{shfit: 1}", "augment.shfit is not a key; nearest: augment.shift|shfit is not a key"),
        ("{brightness: 1}", "brightness is not a key"),
        ("{}", "none of shift, flip and crop"),
        ("{flip: true, probability: 0.5}", "that of shift"),
        ("{shift: 1, late: {after: 2, probability: 0.1}}", "after"),
        ("{shift: 8}", "at most 7 for images of 8 x 8 in digits"),
        ("{crop: 9}", "at most 8 for images of 8 x 8"),
    ],
)
def test_what_is_not_understood_is_one_line(augment, complaint, tmp_path):
    text = (
        f"name: a\ndataset: {{name: digits, augment: {augment}}}\nnetwork: {{layers: [64, 10], connectivity: 0.1}}\nhardware: {{profile: loihi1}}\n"
    )
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError, match=complaint) as caught:
        prepare(load_scenario(tmp_path / "a.yaml"))
    assert "\n" not in str(caught.value)


def test_no_images_no_augmentation():
    for name in ("fsdd",):
        with pytest.raises(InputError, match="no images"):
            dataset_shape(name, augment=Augmentation(shift=1))
    with pytest.raises(InputError, match="true beside"):
        load_scenario("digits_santos").with_(dataset={"standardize": True, "augment": {"shift": 1}})
    assert make_dataset([[0.0, 1.0], [1.0, 0.0]], [0, 1], [[0.0, 1.0]], [0]).augmentation is None
