"""Spoken words: the reader, its features, and what it refuses."""

import numpy as np
import pytest
from conftest import write_wav

from neurosim.datasets import DataShape, SpeechFeatures, dataset_shape, load_dataset
from neurosim.datasets.recordings import read_wav
from neurosim.datasets.speech import log_mel, mel_filters
from neurosim.errors import InputError

RATE = 8000


def tone(hertz, seconds, rate=RATE):
    return (8000 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.int16)


@pytest.fixture
def folder(tmp_path):
    """Two words, two speakers, indices 0 to 6; word 1 is higher and longer."""
    place = tmp_path / "words"
    place.mkdir()
    for label in (0, 1):
        for speaker in ("ann", "bob_b"):
            for index in range(7):
                write_wav(place / f"{label}_{speaker}_{index}.wav", tone(300 + 900 * label, 0.2 + 0.1 * label + 0.01 * index))
    return place


def test_split_shape_and_lengths(folder):
    data = load_dataset(str(folder), speech=SpeechFeatures(max_steps=20))
    assert (data.n_train, data.n_test, data.n_classes) == (8, 20, 2)
    assert (data.n_inputs, data.n_features) == (32, 32 * data.n_steps)
    assert data.x_train.dtype == np.float32 and data.scale == 1.0
    # 0.3 s + 0.06 s at a frame of 50 ms every 25 ms: 1 + ceil((2880 - 400) / 200)
    assert (data.n_steps, data.lengths_train.max()) == (20, 14)
    assert data.shape == dataset_shape(str(folder), speech=SpeechFeatures(max_steps=20))
    assert data.lengths_test.dtype == np.int32 and data.lengths_test.min() == 7
    for x, lengths in ((data.x_train, data.lengths_train), (data.x_test, data.lengths_test)):
        for row, length in zip(x.reshape(len(x), data.n_steps, 32), lengths, strict=True):
            assert (row[: data.n_steps - length] == 0).all() and (row[data.n_steps - length :] != 0).any(1).all()


def test_normalised_on_the_training_set_only(folder):
    data = load_dataset(str(folder))

    def frames(x, lengths):
        rows = x.reshape(len(x), data.n_steps, -1)
        return np.concatenate([r[data.n_steps - n :] for r, n in zip(rows, lengths, strict=True)])

    train = frames(data.x_train, data.lengths_train)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(0), 1, atol=1e-5)
    assert np.abs(frames(data.x_test, data.lengths_test).mean(0)).max() > 1e-3


def test_a_subfolder_of_recordings_a_limit_and_options(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    (tmp_path / "fsdd").mkdir()
    folder.rename(tmp_path / "fsdd" / "recordings")
    data = load_dataset("fsdd", data_dir=tmp_path, limit=3, speech=SpeechFeatures(hop_ms=50, bands=8, max_steps=8))
    assert (data.n_train, data.n_test, data.n_inputs, data.lengths_train.size) == (3, 3, 8, 3)
    assert data.n_steps == 8 and data.lengths_train.tolist() == [5, 5, 7]
    assert data.n_classes == 10  # as promised by the name
    whole = load_dataset("fsdd", data_dir=tmp_path, speech=SpeechFeatures(hop_ms=50, bands=8, max_steps=8))
    assert (whole.x_train[:3] == data.x_train).all() and whole.sha256 != data.sha256
    # The first samples are of both words.
    assert set(data.y_test) == {0, 1}


def test_a_tone_lies_in_its_band():
    features = SpeechFeatures()
    filters = mel_filters(features)
    assert filters.shape == (201, 32) and (filters.max(0) > 0.5).all() and filters.min() == 0.0
    centres = filters.argmax(0) * RATE / features.frame
    assert (np.diff(centres) >= 0).all()
    for hertz in (400, 1000, 2500):
        band = log_mel(tone(hertz, 0.3) / 32768, features, filters).mean(0).argmax()
        assert abs(centres[band] - hertz) < 0.12 * hertz


def test_silence_is_a_number():
    frames = log_mel(np.zeros(10), SpeechFeatures(), mel_filters(SpeechFeatures()))
    assert frames.shape == (1, 32) and np.isfinite(frames).all()


def cut_off(path):
    write_wav(path, tone(300, 0.2))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


CASES = {
    "stereo": ("3_ann_5.wav", lambda p: write_wav(p, tone(300, 0.2), n_channels=2), ["2 channels", "mono"]),
    "24 bit": ("3_ann_5.wav", lambda p: write_wav(p, bytes(300), width=3), ["24-bit", "16-bit"]),
    "wrong rate": ("3_ann_5.wav", lambda p: write_wav(p, tone(300, 0.2), rate=16000), ["16000 samples per second", "8000"]),
    "no samples": ("3_ann_5.wav", lambda p: write_wav(p, []), ["0 samples"]),
    "empty": ("3_ann_5.wav", lambda p: p.write_bytes(b""), ["EOFError", "16-bit mono PCM"]),
    "no WAV": ("3_ann_5.wav", lambda p: p.write_bytes(b"RIFF" + bytes(60)), ["wav"]),
    "cut off": ("3_ann_5.wav", cut_off, ["cut off"]),
    "too long": ("3_ann_5.wav", lambda p: write_wav(p, tone(300, 3.0)), ["119 steps", "at most 100", "max_steps"]),
    "label no number": ("three_ann_5.wav", lambda p: write_wav(p, tone(300, 0.2)), ["'three'", "{label}"]),
    "no index": ("3_ann.wav", lambda p: write_wav(p, tone(300, 0.2)), ["another name", "{label}"]),
    "huge label": ("999999_ann_5.wav", lambda p: write_wav(p, tone(300, 0.2)), ["999999", "65535"]),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_in_one_line(folder, case):
    name, write, words = CASES[case]
    write(folder / name)
    with pytest.raises(InputError) as caught:
        load_dataset(str(folder))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert (name in message) == (case != "huge label")


def test_a_part_without_files_is_refused(tmp_path):
    write_wav(tmp_path / "0_ann_5.wav", tone(300, 0.2))
    with pytest.raises(InputError, match="no test files"):
        load_dataset(str(tmp_path))


def test_options_of_speech_for_other_data_are_refused(tmp_path):
    for name in (str(tmp_path), "x.npz"):
        with pytest.raises(InputError, match="no recordings"):
            load_dataset(name, speech=SpeechFeatures())


def test_the_shape_is_known_before_any_file_is_opened(tmp_path):
    assert dataset_shape("fsdd") == DataShape(32, 100, 10)
    assert dataset_shape(tmp_path) is None
    for name in ("0_ann_0.wav", "0_ann_5.wav", "6_ann_5.wav"):
        (tmp_path / name).touch()
    assert dataset_shape(tmp_path, speech=SpeechFeatures(bands=5, max_steps=9)) == DataShape(5, 9, 2)
    (tmp_path / "six_ann_5.wav").touch()
    with pytest.raises(InputError, match="six_ann_5.wav"):
        dataset_shape(tmp_path)


def test_samples_keep_their_values(tmp_path):
    write_wav(tmp_path / "0_a_0.wav", [0, 16384, -32768])
    assert read_wav(tmp_path / "0_a_0.wav", SpeechFeatures()).tolist() == [0.0, 0.5, -1.0]


def test_the_free_spoken_digit_dataset(fsdd_dir):
    data = load_dataset("fsdd", data_dir=fsdd_dir, speech=SpeechFeatures(max_steps=91))
    assert (data.n_train, data.n_test, data.n_classes) == (2700, 300, 10)
    assert max(data.lengths_train.max(), data.lengths_test.max()) == 91  # as the scenario reference says
    assert np.bincount(data.y_test).tolist() == [30] * 10
    with pytest.raises(InputError, match="91 steps of 25 ms; expected at most 90"):
        load_dataset("fsdd", data_dir=fsdd_dir, speech=SpeechFeatures(max_steps=90))
