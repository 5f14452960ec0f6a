"""Events from files, and data sets that are made."""

import sys

import numpy as np
import pytest

from neurosim.datasets import DATASETS, DataShape, EventChoice, dataset_shape, load_dataset
from neurosim.datasets.cue_accumulation import CueTask
from neurosim.errors import InputError

EVENTS = np.array([[0, 0, 1], [0, 2, 0], [1, 1, 2], [2, 3, 1], [3, 0, 0]])
LABELS = np.array([0, 1, 0, 1])


def write_npz(folder, events=EVENTS, labels=LABELS, **arrays):
    path = folder / "events.npz"
    np.savez(path, **({"events_train": events, "y_train": labels, "events_test": EVENTS, "y_test": LABELS} | arrays))
    return path


def test_events_become_samples(tmp_path):
    data = load_dataset(write_npz(tmp_path))
    assert (data.n_inputs, data.n_steps, data.n_classes, data.scale) == (3, 4, 2, 1.0)
    found = np.argwhere(data.x_train.reshape(4, 4, 3))
    assert found.tolist() == sorted(EVENTS.tolist())
    assert dataset_shape(write_npz(tmp_path)) == DataShape(3, 4, 2)


def test_stated_sizes_are_taken(tmp_path):
    data = load_dataset(write_npz(tmp_path), events=EventChoice(units=10, steps=7))
    assert (data.n_inputs, data.n_steps) == (10, 7)
    assert np.argwhere(data.x_train.reshape(4, 7, 10)).tolist() == sorted(EVENTS.tolist())


def test_a_sample_without_events_is_silent(tmp_path):
    data = load_dataset(write_npz(tmp_path, events=EVENTS[:3]), events=EventChoice(steps=4))
    assert data.x_train.sum(axis=1).tolist() == [2, 1, 0, 0]


def test_unsorted_events_are_sorted_and_said(tmp_path):
    data = load_dataset(write_npz(tmp_path, events=EVENTS[::-1]))
    assert any("events are in no order" in note for note in data.notes)
    assert (data.x_train == load_dataset(write_npz(tmp_path)).x_train).all()
    assert not any("no order" in note for note in load_dataset(write_npz(tmp_path)).notes)


def test_two_events_at_once_are_one_spike_and_said(tmp_path):
    data = load_dataset(write_npz(tmp_path, events=np.concatenate([EVENTS, EVENTS[-1:]])))
    assert data.x_train.sum() == 5 and any("1 of 6 events share unit and step" in note for note in data.notes)


@pytest.mark.parametrize(
    ("column", "value", "choice", "message"),
    [
        (0, 4, None, "sample 4 in event 2; expected 0 to 3"),
        (0, -1, None, "sample -1 in event 2"),
        (1, -1, None, "step -1 in event 2"),
        (2, -3, None, "unit -3 in event 2"),
        (1, 9, EventChoice(steps=5), "step 9 in event 2; expected 0 to 4; raise dataset.events.steps"),
        (2, 9, EventChoice(units=5), "unit 9 in event 2; expected 0 to 4; raise dataset.events.units"),
        (1, 10**7, None, "10000001 steps; expected at most 10000"),
    ],
)
def test_wrong_events_are_refused_in_one_line(tmp_path, column, value, choice, message):
    events = EVENTS.copy()
    events[2, column] = value
    for ask in (load_dataset, dataset_shape):
        with pytest.raises(InputError, match=message) as caught:
            ask(write_npz(tmp_path, events=events), events=choice)
        assert "\n" not in str(caught.value)


def test_test_events_beyond_those_of_training_are_refused(tmp_path):
    later = EVENTS.copy()
    later[0, 1] = 6
    with pytest.raises(InputError, match="events_test: found step 6 in event 0; expected 0 to 3; raise dataset.events.steps"):
        load_dataset(write_npz(tmp_path, events_test=later))


@pytest.mark.parametrize("events", [EVENTS[:, :2], EVENTS.astype(np.float32), EVENTS.ravel()])
def test_events_of_another_form_are_refused(tmp_path, events):
    with pytest.raises(InputError, match="whole numbers of shape"):
        load_dataset(write_npz(tmp_path, events=events))


def test_options_of_events_are_refused_where_there_are_none(tmp_path):
    path = tmp_path / "values.npz"
    np.savez(path, x_train=np.ones((4, 2), np.float32), y_train=LABELS, x_test=np.ones((4, 2), np.float32), y_test=LABELS)
    for name in (path, "digits"):
        with pytest.raises(InputError, match="dataset.events"):
            load_dataset(name, events=EventChoice())
    with pytest.raises(InputError, match="dataset.task"):
        load_dataset("digits", task={"cues": 3})


# The layout of SHD


def write_shd(path, times, units, labels):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        spikes = file.create_group("spikes")
        spikes.create_dataset("times", (len(times),), h5py.vlen_dtype(np.float16))
        spikes.create_dataset("units", (len(units),), h5py.vlen_dtype(np.uint16))
        for i, (when, who) in enumerate(zip(times, units)):
            spikes["times"][i], spikes["units"][i] = np.array(when, np.float16), np.array(who, np.uint16)
        file["labels"] = np.array(labels, np.uint8)


def shd_folder(tmp_path, times=([0.0, 0.0125, 0.5], [0.25], [])):
    units = [list(range(len(when))) for when in times]
    write_shd(tmp_path / "shd_train.h5", times, units, [0, 1, 0])
    write_shd(tmp_path / "shd_test.h5", [[0.0], [0.0]], [[0], [699]], [0, 1])
    return tmp_path


def test_shd_is_read(tmp_path):
    data = load_dataset(shd_folder(tmp_path), events=EventChoice(units=700, steps=60))
    assert (data.n_inputs, data.n_steps, data.n_train, data.n_test, data.n_classes) == (700, 60, 3, 2, 2)
    assert np.argwhere(data.x_train.reshape(3, 60, 700)).tolist() == [[0, 0, 0], [0, 1, 1], [0, 50, 2], [1, 25, 0]]
    finer = load_dataset(tmp_path, events=EventChoice(units=700, step_ms=1.0))
    assert finer.n_steps == 501 and finer.x_train.reshape(3, 501, 700)[0, 12, 1] == 1


@pytest.mark.parametrize(("when", "message"), [(-0.5, "time -0.5 s in event 0"), (np.nan, "time nan s"), (2.0, "step 200 in event 0")])
def test_wrong_times_are_refused(tmp_path, when, message):
    with pytest.raises(InputError, match=message):
        load_dataset(shd_folder(tmp_path, ([when], [], [])), events=EventChoice(units=700, steps=60))


def test_a_file_that_is_no_such_hdf5_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["labels"] = [0, 1]
    with pytest.raises(InputError, match="no spikes/times and no spikes/units"):
        load_dataset(tmp_path / "other.h5")
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 100)
    with pytest.raises(InputError, match="no readable HDF5 content"):
        load_dataset(tmp_path / "bad.h5")
    with pytest.raises(InputError, match="no training file"):
        (tmp_path / "few").mkdir()
        (tmp_path / "other.h5").rename(tmp_path / "few" / "test.h5")
        load_dataset(tmp_path / "few")


def test_a_missing_h5py_is_said(tmp_path, monkeypatch):
    (tmp_path / "events.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"needs h5py.*pip install neurosim\[hdf5\]"):
        load_dataset(tmp_path / "events.h5")


# What is made


@pytest.mark.parametrize("name", ["randman", "cue_accumulation"])
def test_made_data_have_the_shape_that_they_say_and_are_seeded(name):
    task = {"train": 6, "test": 4} | ({"cues": 3, "delay": 60} if name == "cue_accumulation" else {"classes": 3})
    data, shape = load_dataset(name, task=task), dataset_shape(name, task=task)
    assert shape == data.shape and data.x_train.dtype == np.uint8 and data.x_train.any()
    assert load_dataset(name, task=task).sha256 == data.sha256 != load_dataset(name, task=task | {"seed": 1}).sha256
    assert DATASETS[name].shape(type("R", (), {"task": ()})()).n_features == DATASETS[name].n_features


def test_randman_fires_once_per_unit_on_smooth_surfaces():
    task = {"classes": 4, "units": 15, "steps": 40, "train": 30, "test": 10, "smoothness": 3.0}
    data = load_dataset("randman", task=task)
    x = data.x_train.reshape(-1, 40, 15)
    assert (x.sum(axis=1) == 1).all()
    assert np.bincount(data.y_train).tolist() == [30] * 4
    # Samples of one class lie on a line: their times spread over few directions, those of all classes over more.
    times = x.argmax(axis=1).astype(float)

    def spread(rows):
        power = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
        return power[:3].sum() / power.sum()

    assert np.mean([spread(times[data.y_train == c]) for c in range(4)]) > spread(times) + 0.05


def test_cues_say_the_class():
    task = {"cues": 5, "train": 60, "test": 20, "delay": 30, "recall": 20}
    data = load_dataset("cue_accumulation", task=task)
    x = data.x_train.reshape(60, data.n_steps, 4, 10)
    left, right = x[:, :, 0].sum(axis=(1, 2)), x[:, :, 1].sum(axis=(1, 2))
    assert np.mean((right > left) == data.y_train) > 0.95
    n_recall = 20 * 10
    assert x[:, :-20, 2].sum() == 0 and x[:, -20:, 2].sum() == pytest.approx(60 * n_recall * 0.04, rel=0.15)
    assert x[:, :, 3].mean() == pytest.approx(0.01, rel=0.1)
    assert data.n_steps == 5 * 150 + 50 and CueTask().steps == 2250


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("cue_accumulation", {"cue": 0}, "dataset.task.cue: found 0"),
        ("cue_accumulation", {"cues": 4}, "dataset.task.cues: found 4; expected an odd number"),
        ("cue_accumulation", {"cuse": 5}, "dataset.task.cuse: data set cue_accumulation has no such number; nearest: cue"),
        ("randman", {"smoothness": -1.0}, "dataset.task.smoothness: found -1.0"),
        ("randman", {"units": 2.5}, "dataset.task.units: found 2.5"),
    ],
)
def test_wrong_tasks_are_refused(name, task, message):
    with pytest.raises(InputError, match=message):
        dataset_shape(name, task=task)
