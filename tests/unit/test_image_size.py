"""Images of another size: averages of areas, bytes stay bytes, the same for every reader."""

import numpy as np
import pytest

from neurosim.datasets import dataset_shape, load_dataset, make_dataset
from neurosim.datasets.image_size import cover, resize_images
from neurosim.errors import InputError
from neurosim.scenario import Scenario


def test_a_pixel_is_the_mean_of_its_area():
    image = np.array([[[0, 0, 10], [0, 90, 10], [20, 20, 30]]], np.uint8)
    arrays = {"x_train": image.copy()}
    resize_images(arrays, {}, (2, 2), 1)
    # Each new pixel covers 1.5 x 1.5 old ones: whole, half, half and quarter ones.
    first = (0 + 0 / 2 + 0 / 2 + 90 / 4) / 2.25
    second = (0 / 2 + 10 + 90 / 4 + 10 / 2) / 2.25
    np.testing.assert_array_equal(arrays["x_train"][0, 0], np.rint([first, second]).astype(np.uint8))
    assert arrays["x_train"].dtype == np.uint8


@pytest.mark.parametrize(("old", "new"), [(28, 16), (8, 8), (8, 4), (5, 7), (1, 3), (7, 1)])
def test_areas_add_up(old, new):
    shares = cover(old, new)
    np.testing.assert_array_equal(shares.sum(axis=1), np.full(new, old))
    np.testing.assert_array_equal(shares.sum(axis=0), np.full(old, new))


def test_the_mean_of_an_image_stays():
    images = np.random.default_rng(0).random((5, 9, 6), np.float32)
    arrays = {"x_train": images.copy(), "x_test": images[:2].copy()}
    resize_images(arrays, {}, (4, 5), 1)
    assert arrays["x_train"].shape == (5, 4, 5) and arrays["x_train"].dtype == np.float32
    np.testing.assert_allclose(arrays["x_train"].mean(axis=(1, 2)), images.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(arrays["x_test"], arrays["x_train"][:2])


def test_colours_stay_apart():
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    data = make_dataset(images, [0, 1] * 3, images, [0, 1] * 3, image_size=(4, 4))
    one = {"x_train": images[..., 1].copy()}
    resize_images(one, {}, (4, 4), 1)
    np.testing.assert_array_equal(data.x_train.reshape(6, 4, 4, 3)[..., 1], one["x_train"])
    assert data.image_shape == (4, 4, 3)


def test_of_known_data_the_shape_is_known_before_reading():
    data = load_dataset("digits", image_size=(4, 4))
    assert data.x_train.shape == (1437, 16) and data.image_shape == (4, 4)
    assert dataset_shape("digits", image_size=(4, 4)) == data.shape
    whole = load_dataset("digits", image_size=(8, 8))
    np.testing.assert_array_equal(whole.x_train, load_dataset("digits").x_train)


def test_what_is_no_image_is_refused():
    x, y = np.zeros((4, 3), np.float32), [0, 1, 0, 1]
    with pytest.raises(InputError, match="image_size"):
        make_dataset(x, y, x, y, image_size=(2, 2))
    with pytest.raises(InputError, match="image_size"):
        Scenario(name="a", dataset={"name": "mnist_rows", "image_size": [16, 28]}, network=[448, 10], hardware="loihi1")
    with pytest.raises(InputError, match="image_size"):
        load_dataset("fsdd", image_size=(2, 2))
