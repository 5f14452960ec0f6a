"""A user's own data: tables, data frames and arrays, their labels, parts and scales; `check` refuses what `run` would."""

import time
import tracemalloc

import numpy as np
import pytest

from neurosim.datasets import DATASETS, DatasetInfo, arrays, library, load_dataset, make_dataset
from neurosim.datasets import dataset_shape as shape_of
from neurosim.datasets.arrays import like_training
from neurosim.datasets.dataset import Samples
from neurosim.datasets.info import FileFormat
from neurosim.datasets.npz import role_of
from neurosim.datasets.split import draw_part, quotas
from neurosim.errors import InputError

NAMES = np.array(["ant", "bee", "cow"])
KEYS = ("x_train", "y_train", "x_test", "y_test")


def table(n=90, seed=0):
    """Features (n, 4) and labels in words."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    return rng.normal(size=(n, 4)) + y[:, None], NAMES[y]


def write_csv(path, x, y, *, separator=",", names=("a", "b", "c", "d", "species"), end="\n"):
    rows = [separator.join((*map(repr, row.tolist()), str(label))) for row, label in zip(x, y, strict=True)]
    lines = ([] if names is None else [separator.join(names)]) + rows
    path.write_bytes((end.join(lines) + end).encode())
    return path


def refused(path, **options):
    with pytest.raises(InputError) as caught:
        load_dataset(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    # What `run` refuses, `check` refuses in the same words.
    with pytest.raises(InputError) as caught:
        shape_of(path, **options)
    assert str(caught.value) == message
    return message


# --- One data set, however it comes ------------------------------------------------------

OPTIONS = {"test_fraction": 0.2, "validation_fraction": 0.1, "split_seed": 3, "standardize": True}


def test_a_table_is_the_same_in_every_form(tmp_path):
    pandas = pytest.importorskip("pandas")
    x, y = table()
    path = write_csv(tmp_path / "plain.csv", x, y)
    frame = pandas.read_csv(path)
    frame.to_parquet(tmp_path / "table.parquet")
    frame.astype({"species": "category"}).to_parquet(tmp_path / "category.pq")
    shuffled = frame[["species", "a", "b", "c", "d"]]
    shuffled.to_csv(tmp_path / "first.csv", index=False)
    frame.assign(id=np.arange(90) + 7).to_csv(tmp_path / "id.csv", index=False)
    np.savez(tmp_path / "arrays.npz", X=x, y=y)
    data = [
        load_dataset(path, **OPTIONS),
        load_dataset(write_csv(tmp_path / "semicolon.csv", x, y, separator=";"), **OPTIONS),
        load_dataset(write_csv(tmp_path / "bar.csv", x, y, separator=" | "), **OPTIONS),
        load_dataset(write_csv(tmp_path / "tab.tsv", x, y, separator="\t", end="\r\n"), **OPTIONS),
        load_dataset(write_csv(tmp_path / "nameless.csv", x, y, names=None), **OPTIONS),
        load_dataset(write_csv(tmp_path / "numbered.csv", x, y, names=("0", "1", "2", "3", "label")), **OPTIONS),
        load_dataset(write_csv(tmp_path / "named.csv", x, y, names=("a", "b", "c", "d", "kind")), label="kind", **OPTIONS),
        load_dataset(tmp_path / "first.csv", **OPTIONS),
        load_dataset(tmp_path / "id.csv", drop=["id"], **OPTIONS),
        load_dataset(tmp_path / "table.parquet", **OPTIONS),
        load_dataset(tmp_path / "category.pq", **OPTIONS),
        load_dataset(tmp_path / "arrays.npz", **OPTIONS),
        make_dataset(x, y, test_fraction=0.2, validation_fraction=0.1, seed=3, standardize=True),
        make_dataset(x.tolist(), y.tolist(), test_fraction=0.2, validation_fraction=0.1, seed=3, standardize=True),
        make_dataset(frame, "species", test_fraction=0.2, validation_fraction=0.1, seed=3, standardize=True),
        make_dataset(frame[list("abcd")], frame["species"], test_fraction=0.2, validation_fraction=0.1, seed=3, standardize=True),
    ]
    assert {each.sha256 for each in data} == {data[0].sha256}
    assert {each.class_names for each in data} == {("ant", "bee", "cow")}
    assert (data[0].n_train, data[0].n_validation, data[0].n_test) == (65, 7, 18)
    assert data[0].notes == ("labels ant, bee, cow are classes 0 to 2",)


def test_sparse_and_integer_samples():
    from scipy.sparse import csr_array

    x = np.array([[0, 3], [2, 0], [0, 1], [5, 0]])
    plain = make_dataset(x, [0, 1, 0, 1], test_fraction=0.5)
    assert plain.x_train.dtype == np.float32 and plain.scale == 1.0
    assert make_dataset(csr_array(x), [0.0, 1.0, 0.0, 1.0], test_fraction=0.5).sha256 == plain.sha256
    assert make_dataset(x.astype(bool), [0, 1, 0, 1], test_fraction=0.5).x_train.max() == 1
    images = make_dataset(x.astype(np.uint8), [0, 1, 0, 1], test_fraction=0.5)
    assert images.x_train.dtype == np.uint8 and images.scale == 1 / 255


def test_given_test_set_and_names_of_columns():
    pandas = pytest.importorskip("pandas")
    x, y = table()
    frame = pandas.DataFrame(x, columns=list("abcd"))
    data = make_dataset(frame, y, frame[:30], y[:30])
    assert (data.n_train, data.n_test, data.n_validation) == (90, 30, 0)
    with pytest.raises(InputError, match="columns d, c, b, a; expected a, b, c, d"):
        make_dataset(frame, y, frame[["d", "c", "b", "a"]], y)
    with pytest.raises(InputError, match="no column kind; expected one of a, b, c, d"):
        make_dataset(frame, "kind", test_fraction=0.5)
    both = frame.assign(kind=y)
    assert make_dataset(both, "kind", both[:30]).sha256 == data.sha256


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *(
            (name, "x_train")
            for name in ("x_train", "X_train", "xtrain", "X", "data", "train_images", "images", "train_x", "trainX", "features", "training_data")
        ),
        *((name, "y_train") for name in ("y", "Y_TRAIN", "labels", "target", "train_labels", "label", "trainy")),
        *((name, "x_test") for name in ("test_images", "test_data", "testX", "X_test")),
        *((name, "y_validation") for name in ("y_val", "val_labels", "y_valid", "validation_targets")),
        ("lengths_test", "lengths_test"),
        *((name, None) for name in ("x_train_2", "names", "train", "x_y", "arr_0", "", "classes", "train_test_x")),
    ],
)
def test_usual_names_of_arrays(name, role):
    assert role_of(name) == role


def test_npz_with_other_names_and_a_validation_set(tmp_path):
    x, y = table()
    np.savez(
        tmp_path / "data.npz", train_images=x, train_labels=y[:, None], val_images=x[:9], val_labels=y[:9], test_images=x[:30], test_labels=y[:30]
    )
    data = load_dataset(tmp_path / "data.npz", standardize=True)
    assert (data.n_train, data.n_validation, data.n_test) == (90, 9, 30)
    assert "leave dataset.validation_fraction out" in refused(tmp_path / "data.npz", validation_fraction=0.1)
    assert "leave dataset.test_fraction out" in refused(tmp_path / "data.npz", test_fraction=0.1)
    np.savez(tmp_path / "two.npz", train_images=x, X=x, y=y)
    assert "two arrays for x_train: train_images and X" in refused(tmp_path / "two.npz")
    # The plain name is meant where there is one.
    np.savez(tmp_path / "plain.npz", x_train=x, y_train=y, data=x, x_test=x, y_test=y)
    assert load_dataset(tmp_path / "plain.npz").n_train == 90


def test_what_is_derived_from_what_is_bundled_keeps_its_bits():
    data = load_dataset("digits")
    assert data.sha256 == "15b60b67e78ec25e8efc946911a57a0bf69410a097cdef4e9ce2e1ce1f27cd72"
    assert data.n_validation == 0 and data.x_validation.shape == (0, 64) and data.x_validation.dtype == np.uint8
    assert data.class_names == tuple("0123456789") and data.notes == () and data.standardization is None
    halved = load_dataset("digits", validation_fraction=0.5, standardize=True)
    assert halved.n_validation + halved.n_train == data.n_train and halved.n_test == data.n_test


# --- Parts -------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.9])
def test_every_class_gives_its_share(fraction):
    y = np.repeat([0, 1, 2, 5], [2, 10, 100, 333])
    for seed in range(5):
        is_part = draw_part(y, fraction, seed)
        assert is_part.sum() == max(4, round(fraction * len(y)))
        for label, count in zip(*np.unique(y, return_counts=True), strict=True):
            taken = is_part[y == label].sum()
            assert 1 <= taken < count and abs(taken - fraction * count) <= max(1, 1 - fraction * count) + 1
    assert (draw_part(y, fraction, 0) != draw_part(y, fraction, 1)).any()


def test_the_draw_does_not_depend_on_the_version_of_numpy():
    assert np.flatnonzero(draw_part(np.arange(20) % 2, 0.25, 0)).tolist() == [2, 3, 8, 11, 18]


def test_every_sample_is_equally_likely():
    taken = sum(draw_part(np.arange(40) % 4, 0.25, seed) for seed in range(2000))
    # 2000 draws with probability 0.2 or 0.3 (2 or 3 of 10): 6 sigma
    assert taken.sum() == 2000 * 10 and abs(taken - 500).max() < 6 * np.sqrt(2000 * 0.25 * 0.75) + 150


@pytest.mark.parametrize(("counts", "total", "keep", "expected"), [
    ([10, 10], 5, 1, [3, 2]), ([2, 100], 2, 1, [1, 1]), ([2, 2, 96], 10, 1, [1, 1, 8]), ([2, 2], 4, 1, [1, 1]), ([5, 1], 3, 0, [2, 1]),
])  # fmt: skip
def test_quotas_by_hand(counts, total, keep, expected):
    assert quotas(counts, total, keep).tolist() == expected


def test_parts_are_the_samples_each_once():
    x = np.arange(90.0)[:, None] / 90
    data = make_dataset(x, np.arange(90) % 3, test_fraction=0.3, validation_fraction=0.3)
    together = np.concatenate([data.x_train, data.x_test, data.x_validation]).ravel()
    np.testing.assert_array_equal(np.sort(together), x.ravel().astype(np.float32))
    for part, y in (("train", data.y_train), ("test", data.y_test), ("validation", data.y_validation)):
        rows = getattr(data, f"x_{part}").ravel() * 90
        assert (np.diff(rows) > 0).all() and (np.round(rows) % 3 == y).all()  # in their order, with their labels
    assert np.bincount(data.y_test).tolist() == [9, 9, 9]


def test_a_limit_comes_before_validation(tmp_path):
    x, y = table(300)
    path = write_csv(tmp_path / "data.csv", x, y)
    data = load_dataset(path, test_fraction=0.5, validation_fraction=0.2, limit=50)
    assert (data.n_train, data.n_validation, data.n_test) == (40, 10, 50)


# --- Scale -------------------------------------------------------------------------------


def test_standardize_on_the_training_samples_only():
    x, y = table()
    x[:, 2] = 7.25
    data = make_dataset(x * 1e6 + 1e7, y, test_fraction=0.3, standardize=True)
    np.testing.assert_allclose(data.x_train.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(data.x_train.std(0), [1, 1, 0, 1], atol=1e-6)
    assert (data.x_train[:, 2] == 0).all() and (data.x_test[:, 2] == 0).all()
    assert abs(data.x_test.mean(0)).max() > 0.01
    # Samples of another time: what training made of its own.
    np.testing.assert_array_equal(like_training(data, (x * 1e6 + 1e7).astype(np.float32))[0].shape, x.shape)


def test_standardize_bytes_in_blocks(monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (1000, 3, 3), dtype=np.uint8)
    y = np.arange(1000) % 2
    whole = make_dataset(x, y, x, y, standardize=True)
    # Three dimensions are sequences: an input has one mean over all steps.
    np.testing.assert_allclose(whole.x_train, ((x - x.mean((0, 1))) / x.std((0, 1))).reshape(1000, 9), atol=1e-6)
    flat = make_dataset(x.reshape(1000, 9), y, x.reshape(1000, 9), y, standardize=True)
    np.testing.assert_allclose(flat.x_train, ((x - x.mean(0)) / x.std(0)).reshape(1000, 9), atol=1e-6)
    assert whole.scale == 1.0
    monkeypatch.setattr("neurosim.datasets.standardize._BLOCK", 7)
    np.testing.assert_allclose(make_dataset(x, y, x, y, standardize=True).x_train, whole.x_train, atol=1e-6)


@pytest.mark.parametrize("standardize", [False, True])
def test_samples_like_those_of_training(standardize):
    x = np.random.default_rng(0).normal(2, 3, (40, 5, 3)).astype(np.float32)
    lengths, y = np.arange(40) % 5 + 1, np.arange(40) // 5 % 2
    data = make_dataset(x, y, x, y, standardize=standardize, lengths=lengths, lengths_test=lengths)
    for samples in (x, x.reshape(40, 15), x.astype(float).tolist()):
        again, steps = like_training(data, samples, lengths)
        np.testing.assert_array_equal(again, data.x_test)
        np.testing.assert_array_equal(steps, data.lengths_test)
    with pytest.raises(InputError, match="15 values for each"):
        like_training(data, x[:, :4])
    images = make_dataset(np.arange(40, dtype=np.uint8).reshape(20, 2), y[:20], test_fraction=0.5, standardize=standardize)
    assert like_training(images, np.zeros((1, 2), np.uint8))[0].dtype == images.x_train.dtype
    with pytest.raises(InputError, match="bytes"):
        like_training(images, np.zeros((1, 2)))


# --- Sequences ---------------------------------------------------------------------------


def test_sequences_of_different_lengths(tmp_path):
    x = np.arange(1, 121, dtype=np.float32).reshape(10, 4, 3) / 120
    lengths, y = np.array([4, 3, 2, 1, 4, 4, 1, 2, 3, 4]), np.arange(10) % 2
    data = make_dataset(x, y, x[:4], y[:4], lengths=lengths, lengths_test=lengths[:4])
    assert (data.n_steps, data.n_inputs, data.n_features) == (4, 3, 12)
    for row, source, length in zip(data.x_train.reshape(10, 4, 3), x, lengths, strict=True):
        np.testing.assert_array_equal(row[4 - length :], source[:length])
        assert not row[: 4 - length].any()
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, lengths_train=lengths, x_test=x[:4], y_test=y[:4], lengths_test=lengths[:4])
    loaded = load_dataset(tmp_path / "data.npz")
    assert loaded.sha256 == data.sha256 and loaded.shape == data.shape == shape_of(tmp_path / "data.npz")
    # The padding counts for nothing.
    scaled = make_dataset(x, y, x[:4], y[:4], lengths=lengths, lengths_test=lengths[:4], standardize=True)
    is_step = np.arange(4) >= 4 - scaled.lengths_train[:, None]
    steps = scaled.x_train.reshape(10, 4, 3)
    np.testing.assert_allclose(steps[is_step].mean(0), 0, atol=1e-6)
    assert not steps[~is_step].any()
    divided = make_dataset(x, y, lengths=lengths, test_fraction=0.4, validation_fraction=0.4)
    assert [len(getattr(divided, f"lengths_{part}")) for part in ("train", "test", "validation")] == [4, 4, 2]


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ([4] * 9, "shape \\(9,\\)"),
        ([4] * 9 + [5], "length 5 at position 9; expected 1 to 4"),
        ([0] + [4] * 9, "length 0 at position 0"),
        ([1.5] * 10, "float64"),
    ],
)
def test_lengths_refused(lengths, words):
    with pytest.raises(InputError, match=words):
        make_dataset(np.zeros((10, 4, 3)), np.arange(10) % 2, lengths=lengths, test_fraction=0.5)


def test_lengths_without_steps_are_refused():
    with pytest.raises(InputError, match="no|sequences"):
        make_dataset(np.zeros((10, 4)), np.arange(10) % 2, lengths=[1] * 10, test_fraction=0.5)


# --- Bad tables --------------------------------------------------------------------------

GOOD = ["a,b,label", "1,2,x", "1.5,3,y", "2,4,x", "3,5,y"]

# (line that is replaced, by what, what the message must name)
TABLES = {
    "an empty cell": (2, "1.5,,y", ["column b", "line 3", "missing"]),
    "NaN": (2, "nan,3,y", ["column a", "line 3", "missing"]),
    "NA": (2, "NA,3,y", ["column a", "line 3", "missing"]),
    "text": (3, "2,red,x", ["'red'", "column b", "line 4", "dataset.drop"]),
    "a decimal comma": (1, '"1,5",2,x', ["'1,5'", "column a", "line 2", "decimal comma"]),
    "infinity": (3, "2,inf,x", ["inf", "column b", "line 4"]),
    "beyond float32": (3, "2,1e300,x", ["1e300", "column b", "line 4"]),
    "no label": (4, "3,5,", ["column label", "line 5", "missing"]),
    "a short row": (4, "3,5", ["2 cells", "line 5", "3"]),
    "a long row": (4, "3,5,y,7", ["4 cells", "line 5", "3"]),
    "a single sample of a class": (4, "3,5,z", ["1 sample of class y", "at least 2"]),
    "one name twice": (0, "label,b,label", ["several columns", "label"]),
    "two columns of text": (0, "a,b,kind", None),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_tables(tmp_path, case):
    line, text, words = TABLES[case]
    path = tmp_path / "data.csv"
    path.write_text("\n".join([*GOOD[:line], text, *GOOD[line + 1 :]]) + "\n")
    if words is None:
        assert load_dataset(path, test_fraction=0.5).n_classes == 2  # the only column that holds text
        return
    message = refused(path, test_fraction=0.5)
    assert all(word in message for word in (str(path), *words)), message


TEXTS = {
    "empty": ("", ["empty"]),
    "blank lines": ("\n\n\n", ["no rows"]),
    "names alone": ("a,b,label\n", ["no rows below"]),
    "one column": ("label\nx\ny\n", ["no column beside the labels"]),
    "no separator": ("a b label\n1 2 x\n3 4 y\n", ["column"]),
    "one class": ("a,label\n1,x\n2,x\n3,x\n", ["only one class"]),
    "a measured quantity": ("a,target\n1,0.5\n2,0.7\n3,0.5\n", ["label 0.5", "column target", "line 2"]),
    "identifiers": ("a,label\n" + "".join(f"1,{i}\n" for i in range(9)), ["9 different labels of 9 samples"]),
    "an index": (",a,label\n" + "".join(f"{i},5,{i % 2}\n" for i in range(9)), ["counts the rows from 0 to 8", "index=False"]),
    "no labels told": ("a,b\n" + "1,2\n3,4\n" * 3, ["no column that is called label", "dataset.label"]),
    "several columns of text": ("a,u,v\n" + "1,x,y\n2,z,w\n" * 3, ["several columns", "u, v", "dataset.label"]),
    "Latin-1": ("a,label\n1,gr\xfcn\n", ["UTF-8"]),
    "zero bytes": ("a,label\n1,\0\n2,x\n3,\0\n4,x\n", None),
    "an open quote": ('a,label\n1,"x\n2,y\n', ["data.csv"]),
}


@pytest.mark.parametrize("case", TEXTS)
def test_bad_texts(tmp_path, case):
    text, words = TEXTS[case]
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode("latin-1"))
    if words is None:
        try:
            assert load_dataset(path, test_fraction=0.5).n_classes == 2
        except InputError as error:
            assert "\n" not in str(error)
        return
    message = refused(path, test_fraction=0.5)
    assert all(word in message for word in words), message


def test_columns_that_are_not_there(tmp_path):
    path = write_csv(tmp_path / "data.csv", *table())
    for options in ({"label": "nope"}, {"drop": ["nope"]}, {"label": "species", "drop": ["species"]}):
        assert next(iter(options)) in refused(path, test_fraction=0.5, **options)
    assert "dataset.test_fraction" in refused(path)
    assert "a, b, c, d, species" in refused(path, label="nope", test_fraction=0.5)
    np.savez(tmp_path / "data.npz", X=table()[0], y=table()[1])
    for options in ({"label": "y"}, {"drop": ["x"]}):
        assert "has columns" in refused(tmp_path / "data.npz", **options)


def test_a_constant_column_is_said(tmp_path):
    x, y = table()
    x[:, 1] = 4
    path = write_csv(tmp_path / "data.csv", x, y)
    for standardize in (False, True):
        notes = load_dataset(path, test_fraction=0.3, standardize=standardize).notes
        assert notes[-1] == "constant column b (4): nothing can be learned from it; name it in dataset.drop"
    assert len(load_dataset(path, test_fraction=0.3, drop=["b"]).notes) == 1


# --- Bad arrays --------------------------------------------------------------------------

X, Y = table(12)
HOLE = X.copy()
HOLE[3, 2] = np.nan
ARRAYS = {
    "lengths differ": ((X, Y[:11]), {}, ["11 labels", "12"]),
    "test lengths differ": ((X, Y, X, Y[:11]), {}, ["arrays: y_test", "11 labels"]),
    "a missing value": ((HOLE, Y), {}, ["missing", "(3, 2)"]),
    "a label that is None": ((X, ["a", None] * 6), {}, ["missing label", "row 1"]),
    "text among numbers": ((np.array([[1, "red"], [2, 3]], object), [0, 1]), {}, ["'red'", "(0, 1)"]),
    "mixed labels": ((X, np.array(["a", 3] * 6, object)), {}, ["3", "row 1"]),
    "labels with fractions": ((X, np.linspace(0, 1, 12)), {}, ["row 1", "no class"]),
    "missing labels": ((X, [1.0, np.nan] * 6), {}, ["missing label", "row 1"]),
    "one class": ((X, ["a"] * 12), {}, ["only one class"]),
    "a class that training lacks": ((X, Y, X[:2], ["bee", "dog"]), {}, ["arrays: y_test", "label dog", "position 1", "ant, bee, cow"]),
    "other features": ((X, Y, X[:, :3], Y), {}, ["(3,)", "(4,)"]),
    "no test set": ((X, Y), {"test_fraction": None}, ["test_fraction"]),
    "two test sets": ((X, Y, X, Y), {"test_fraction": 0.5}, ["test_fraction"]),
    "half a test set": ((X, Y, X), {}, ["x_test without y_test"]),
    "a fraction of 1": ((X, Y), {"test_fraction": 1.0}, ["test_fraction", "below 1"]),
    "no fraction": ((X, Y), {"validation_fraction": float("nan")}, ["validation_fraction"]),
    "a seed below 0": ((X, Y), {"seed": -1}, ["split_seed", "-1"]),
    "rows of different lengths": (([[1, 2], [3]], [0, 1]), {}, ["no array"]),
    "one dimension": ((X[:, 0], Y), {}, ["1 dimension"]),
    "dates": ((np.zeros((4, 2), "M8[s]"), [0, 1, 0, 1]), {}, ["datetime64"]),
    "complex numbers": ((X + 1j, Y), {}, ["complex128"]),
    "bytes and floats": ((X.astype(np.uint8), Y, X, Y), {}, ["float32", "uint8"]),
    "no samples": ((X[:0], Y[:0]), {}, ["empty"]),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_bad_arrays(case):
    values, options, words = ARRAYS[case]
    if "test_fraction" not in options and len(values) == 2:
        options = {"test_fraction": 0.5, **options}
    with pytest.raises(InputError) as caught:
        make_dataset(*values, **options)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message


def test_bad_frames_name_column_and_row():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2, 3, 4], "b": [1, 2, 3, 4], "y": list("uvuv")})
    for column, values, words in (
        ("a", [1.0, None, 3, 4], "missing value .nan. at column a, row 1"),
        ("b", pandas.array([1, None, 3, 4], "Int64"), "missing value .nan. at column b, row 1"),
        ("b", ["1", "2", "three", "4"], "'1' at column b, row 0"),
        ("y", ["u", None, "v", "u"], "missing label in row 1"),
    ):
        with pytest.raises(InputError, match=words):
            make_dataset(frame.assign(**{column: values}), "y", test_fraction=0.5)


# --- `check` and `run` -------------------------------------------------------------------

SCENARIO = """\
name: mine
dataset:
  name: {name}
  test_fraction: 0.25
  standardize: true
network: {{layers: [{n}, 12, {k}], connectivity: 0.5}}
hardware: {{profile: spinnaker2_santos}}
training: {{epochs: 2}}
report: {{figures: false}}
"""


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b,label\n" + "1,2,x\n3,4,y\n" * 9, ["first layer has 4 neurons", "2 features"]),
        ("a,b,c,d,label\n" + "1,2,3,4,x\n3,4,5,6,y\n" * 9, ["last layer has 3 neurons", "2 classes"]),
        ("a,b,c,d,label\n" + "1,2,3,4,x\n3,4,,6,y\n" * 9, ["column c", "line 3"]),
    ],
)
def test_check_refuses_what_run_would(main_cli, tmp_path, command, content, words):
    (tmp_path / "data.csv").write_text(content)
    (tmp_path / "mine.yaml").write_text(SCENARIO.format(name="data.csv", n=4, k=3))
    done = main_cli(command, "mine.yaml")
    assert done.code == 2 and done.err.count("\n") == 1 and all(word in done.err for word in words)
    assert not (tmp_path / "runs").exists()


def test_check_says_what_is_to_be_known(main_cli, tmp_path):
    x, y = table()
    x[:, 1] = 2
    write_csv(tmp_path / "data.csv", x, np.where(y == "ant", "[/b]", y))
    (tmp_path / "mine.yaml").write_text(SCENARIO.format(name="data.csv", n=4, k=3))
    done = main_cli("check", "mine.yaml")
    assert done.code == 0
    assert "data: labels [/b], bee, cow are classes 0 to 2\ndata: constant column b (2)" in done.out
    # A file that is not there yet is no reason to refuse.
    assert main_cli("check", "mine.yaml", "--set", "dataset.name=later.csv").code == 0


def test_keys_that_a_known_set_does_not_take(main_cli):
    for key, value in (("label", "y"), ("drop", "[a]"), ("test_fraction", "0.5")):
        done = main_cli("check", "digits_santos", "--set", f"dataset.{key}={value}")
        assert done.code == 2 and f"dataset.{key}" in done.err and "leave it out" in done.err
    assert main_cli("check", "digits_santos", "--set", "dataset.standardize=true").code == 0


def test_a_file_is_read_once(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "data.csv", *table())
    calls, load = [], library._load_path
    monkeypatch.setattr(library, "_load_path", lambda *args: calls.append(args[0]) or load(*args))
    shape = shape_of(path, **OPTIONS)
    assert shape_of(path, **OPTIONS) == shape and load_dataset(path, **OPTIONS).shape == shape and len(calls) == 1
    # Not kept for the next one, which might change it; other options and another file are read anew.
    load_dataset(path, **OPTIONS)
    shape_of(path, test_fraction=0.5)
    assert len(calls) == 3
    write_csv(path, *table(30))
    assert load_dataset(path, test_fraction=0.5).n_test == 15 and len(calls) == 4


def test_a_table_trains(main_cli, tmp_path):
    from neurosim.results import read_record

    write_csv(tmp_path / "data.csv", *table(200))
    (tmp_path / "mine.yaml").write_text(SCENARIO.format(name="data.csv", n=4, k=3))
    assert main_cli("run", "mine.yaml", "--quiet").code == 0
    record = read_record(tmp_path / "runs" / "mine")
    assert (record.dataset.n_train, record.dataset.n_test, record.dataset.n_classes) == (150, 50, 3)
    assert "data: labels ant, bee, cow are classes 0 to 2" in (tmp_path / "runs" / "mine" / "log.txt").read_text()


# --- Mutations ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_300_mutated_tables(tmp_path, kind):
    """Each is read, or refused in one line, in no time and little memory."""
    rng, n_refused = np.random.default_rng(20), 0
    path = tmp_path / f"data.{kind}"
    if kind == "csv":
        write_csv(path, *table(30))
    else:
        pytest.importorskip("pandas").DataFrame(table(30)[0], columns=list("abcd")).assign(label=table(30)[1]).to_parquet(path)
    content = path.read_bytes()
    tracemalloc.start()
    try:
        for _ in range(300):
            damaged = bytearray(content)
            for place in rng.integers(0, len(content), rng.integers(1, 4)):
                damaged[place] = rng.integers(256)
            path.write_bytes(damaged[: rng.integers(1, len(damaged))] if rng.random() < 0.3 else damaged)
            began = time.monotonic()
            try:
                load_dataset(path, test_fraction=0.3)
            except InputError as error:
                assert "\n" not in str(error) and str(path) in str(error) and len(str(error)) < 700
                n_refused += 1
            assert time.monotonic() - began < 5
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert 100 < n_refused


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    import sys

    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "install neurosim[parquet]" in refused(tmp_path / "data.parquet", test_fraction=0.5)


def test_the_example_of_the_docstring():
    data = make_dataset([[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.8, 0.1]], ["cat", "dog", "cat", "dog"], test_fraction=0.5)
    assert (data.class_names, data.n_train, data.n_test) == (("cat", "dog"), 2, 2)
    assert arrays.make_dataset is make_dataset


# --- One file and one line ---------------------------------------------------------------


def test_a_data_set_is_one_entry_of_the_catalog(main_cli, monkeypatch):
    def read(info, reading):
        x = np.arange(24.0, dtype=np.float32).reshape(12, 2) / 24
        return Samples(
            {"x_train": x, "y_train": np.arange(12) % 3, "x_test": x, "y_test": np.arange(12) % 3}, dict.fromkeys(KEYS, "toy"), "made up", n_classes=3
        )

    monkeypatch.setitem(DATASETS, "toy", DatasetInfo("toy", 2, 3, None, 1.0, "twelve samples", "made up", read))
    assert load_dataset("toy", validation_fraction=0.5).n_validation == 6
    assert "toy: 2 features, 3 classes" in main_cli("data", "list").out
    assert "cannot be fetched; made up" in main_cli("data", "fetch", "toy").err
    changes = ("--set", "dataset.name=toy", "--set", "network.connectivity=0.5", "--set")
    assert main_cli("check", "digits_santos", *changes, "network.layers=[2, 9, 3]").code == 0
    assert "2 features" in main_cli("check", "digits_santos", *changes, "network.layers=[3, 9, 3]").err


def test_a_format_is_one_entry_of_the_catalog(tmp_path, monkeypatch):
    def read(path, reading):
        values = np.fromfile(path, np.float32).reshape(-1, 3)
        return Samples({"x_train": values[:, 1:], "y_train": values[:, 0].astype(int)}, dict.fromkeys(KEYS, path), "raw numbers")

    monkeypatch.setattr(library, "FORMATS", (*library.FORMATS, FileFormat("a file of raw numbers", lambda path: path.endswith(".raw"), read)))
    np.column_stack((np.arange(12) % 2, np.ones((12, 2)))).astype(np.float32).tofile(tmp_path / "data.raw")
    assert load_dataset(tmp_path / "data.raw", test_fraction=0.5).shape == shape_of(tmp_path / "data.raw", test_fraction=0.5)
    assert "has columns" in refused(tmp_path / "data.raw", label="y", test_fraction=0.5)
    (tmp_path / "data.rar").write_bytes(b"x")
    assert "a CSV file" in refused(tmp_path / "data.rar") and "raw numbers" in refused(tmp_path / "data.rar")
