"""Sequences that are moved, stretched, louder and with losses: by hand, by their odds, in what is counted, and bit-equal whatever the interruptions."""

import numpy as np
import pytest

from neurosim.datasets import Encoding, SequenceAugmentation
from neurosim.datasets.dataset import Samples, assemble
from neurosim.datasets.preparation import Preparation
from neurosim.errors import InputError
from neurosim.scenario import load_scenario, prepare
from neurosim.scenario.runner import train_scenario
from neurosim.scenario.trainer import make_trainer


def bits_of(n, seed=0):
    return np.random.PCG64(seed).random_raw(2 * n)


def sequences(lengths, n_steps, n_inputs):
    x = np.zeros((len(lengths), n_steps, n_inputs), np.float32)
    for row, length in zip(x, lengths, strict=True):
        row[n_steps - length :] = 1 + np.arange(length * n_inputs, dtype=np.float32).reshape(length, n_inputs)
    return x.reshape(len(lengths), -1), np.array(lengths, np.int32)


def test_a_shift_moves_along_inputs_and_every_offset_happens():
    x, lengths = sequences([3] * 400, 5, 4)
    augment = SequenceAugmentation(shift_inputs=2)
    out = augment.change(x, 5, lengths, bits_of(400), False).reshape(-1, 5, 4)
    one, found = x[0].reshape(5, 4), set()
    for sample in out:
        offsets = []
        for offset in range(-2, 3):
            moved = np.zeros_like(one)
            for i in range(4):
                if 0 <= i - offset < 4:
                    moved[:, i] = one[:, i - offset]
            offsets += [offset] if (moved == sample).all() else []
        assert len(offsets) == 1
        found.add(offsets[0])
    assert found == {-2, -1, 0, 1, 2}
    np.testing.assert_array_equal(augment.lengths(lengths, 5, bits_of(400)), lengths)


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_a_stretch_interpolates_between_steps_and_keeps_the_padding_empty(kind):
    x, lengths = sequences([1, 4, 10, 12] * 100, 12, 1)
    x, augment = x.astype(kind), SequenceAugmentation(stretch=0.5)
    bits = bits_of(400)
    after = augment.lengths(lengths, 12, bits)
    out = augment.change(x, 12, lengths, bits, False)
    for before, length, sample in zip(lengths, after, out, strict=True):
        assert round(before / 1.5) <= length <= min(round(before * 1.5), 12)
        expected = [np.interp((j + 0.5) * before / length - 0.5, np.arange(before), 1 + np.arange(before)) for j in range(length)]
        np.testing.assert_allclose(sample, [0] * (12 - length) + expected, atol=0.5 if kind == np.uint8 else 1e-5)
    assert set(after[lengths == 4]) == {3, 4, 5, 6} and set(after[lengths == 12]) == set(range(8, 13)) and set(after[lengths == 1]) == {1, 2}


def test_stretched_spikes_fall_in_the_step_of_their_time_and_none_is_made():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 31, 200).astype(np.int32)
    x = (rng.random((200, 30, 3)) < 0.2).astype(np.uint8) * (np.arange(30) >= 30 - lengths[:, None])[:, :, None].astype(np.uint8)
    augment, bits = SequenceAugmentation(stretch=0.4), bits_of(200)
    out, after = augment.change(x.reshape(200, -1), 30, lengths, bits, True).reshape(200, 30, 3), augment.lengths(lengths, 30, bits)
    assert (after != lengths).any() and out.max() == 1
    for before, length, old, new in zip(lengths, after, x, out, strict=True):
        expected = np.zeros((30, 3), np.uint8)
        for step, unit in zip(*np.nonzero(old[30 - before :]), strict=True):
            expected[30 - length + int((step + 0.5) * length / before + 1e-9), unit] = 1
        np.testing.assert_array_equal(new, expected)


def test_gain_is_one_number_a_sequence_and_stays_out_of_the_padding():
    x, lengths = sequences([2, 5] * 500, 5, 3)
    out = SequenceAugmentation(gain=0.25).change(x, 5, lengths, bits_of(1000), False)
    added = (out - x).reshape(1000, 5, 3)
    for length, sample in zip(lengths, added, strict=True):
        assert (sample[: 5 - length] == 0).all() and np.ptp(sample[5 - length :]) < 1e-5
    each = added[:, -1, 0]
    assert (
        abs(each).max() <= 0.25 + 1e-5 and abs(each.mean()) < 4 * 0.25 / np.sqrt(3 * 1000) and each.std() == pytest.approx(0.25 / np.sqrt(3), rel=0.1)
    )


def test_losses_have_their_odds_and_only_take():
    x = np.ones((300, 40), np.uint8)
    x[:, ::2] = 0
    before = x.copy()
    SequenceAugmentation(drop=0.3).lose(x, bits_of(300))
    assert ((x == before) | (x == 0)).all()
    lost = 1 - x.sum() / before.sum()
    assert abs(lost - 0.3) < 4 * np.sqrt(0.3 * 0.7 / before.sum())
    again = before.copy()
    SequenceAugmentation(drop=0.3).lose(again, bits_of(300))
    np.testing.assert_array_equal(again, x)
    # Of each place and of each sample, so that no place is lost always and no two samples lose the same.
    assert 0 < (x[:, 1::2] == 0).mean(0).min() and (x[:, 1::2] == 0).mean(0).max() < 1 and len(np.unique(x, axis=0)) > 290


def made(**options):
    rng = np.random.default_rng(1)
    lengths = rng.integers(3, 9, 60).astype(np.int32)
    x = rng.standard_normal((60, 8, 4)).astype(np.float32) * (np.arange(8) >= 8 - lengths[:, None])[:, :, None]
    arrays = {"x_train": x[:48], "y_train": np.arange(48) % 3, "x_test": x[48:], "y_test": np.arange(12) % 3,
              "lengths_train": lengths[:48], "lengths_test": lengths[48:]}  # fmt: skip
    return assemble("d", Samples(arrays, dict.fromkeys(arrays, "d"), source="d", n_steps=8), Preparation(**options))


def test_sequences_change_before_they_become_spikes():
    encoding = Encoding("integrate", steps=2, threshold=0.7, silence=3)
    augment = SequenceAugmentation(shift_inputs=1, stretch=0.3, gain=0.2)
    data, plain, bits = made(encode=encoding, augment=augment), made(), bits_of(48)
    values = augment.change(plain.x_train, 8, plain.lengths_train, bits, False)
    lengths = augment.lengths(plain.lengths_train, 8, bits)
    spikes, after = encoding.apply(values, 8, lengths)
    np.testing.assert_array_equal(data.epoch_samples(bits, 0.0), spikes)
    np.testing.assert_array_equal(data.epoch_lengths(bits), after)
    still = made(encode=encoding)
    np.testing.assert_array_equal(data.x_train, still.x_train)
    np.testing.assert_array_equal(data.x_test, still.x_test)
    assert data.shape == still.shape and data.sha256 != still.sha256 and data.is_spikes
    assert "keeps nothing" in data.notes[-1]
    lost = made(encode=encoding, augment=SequenceAugmentation(drop=0.5))
    assert 0.4 < lost.epoch_samples(bits, 0.0).sum() / still.x_train.sum() < 0.6
    np.testing.assert_array_equal(lost.epoch_lengths(bits), still.lengths_train)


def scenario(**augment):
    return load_scenario("cue_accumulation_reckon").with_(
        dataset={"limit": 24, "augment": augment} if augment else {"limit": 24}, training={"epochs": 2}
    )


def test_what_is_counted_is_what_was_played():
    """Steps are those of each epoch; bytes on the chip stay."""
    plain, _ = train_scenario(scenario())
    moved, _ = train_scenario(scenario(stretch=0.3))
    assert [core.memory_bytes for core in plain.cores] == [core.memory_bytes for core in moved.cores]
    trainer, _ = make_trainer(prepare(scenario(stretch=0.3)))
    lengths = [trainer.lengths_of(epoch) for epoch in range(2)]
    assert (lengths[0] != lengths[1]).any()
    n_steps, n_plain = int(np.sum(lengths)), 2 * trainer.dataset.n_train * trainer.dataset.n_steps
    updates, of_plain = (record.events["forward"]["neuron_update"] for record in (moved, plain))
    assert n_steps < n_plain and updates * n_plain == of_plain * n_steps


def test_an_interrupted_epoch_goes_on_with_the_same_samples():
    experiment = prepare(scenario(shift_inputs=1, stretch=0.3, drop=0.1))

    def new():
        return make_trainer(experiment)[0]

    whole, stopped, resumed = new(), new(), new()
    whole.run()
    assert not stopped.run(should_stop=lambda: stopped.step >= stopped.steps_per_epoch + 2)
    assert stopped.step_in_epoch
    resumed.restore(*stopped.state())
    resumed.run()
    assert [record.train_loss for record in whole.history] == [record.train_loss for record in resumed.history]
    for name, array in whole.store.state().items():
        np.testing.assert_array_equal(array, resumed.store.state()[name])


@pytest.mark.parametrize(
    "name, augment, complaint",
    [
        ("fsdd_lif_spinnaker2", "{shift: 1, stretch: 0.1}", "augment.shift: found beside stretch, which are of sequences"),
        ("fsdd_lif_spinnaker2", "{shift_inputs: 40}", "at most 39 for 40 inputs in fsdd"),
        ("fsdd_lif_spinnaker2", "{shift: 1}", "no images"),
        ("fsdd_lif_spinnaker2", "{drop: 1.0}", "less than 1"),
        ("fsdd_lif_spinnaker2", "{}", "none of shift, flip and crop, nor of shift_inputs"),
        ("cue_accumulation_reckon", "{gain: 0.1}", "whose samples are spikes"),
        ("digits_santos", "{stretch: 0.1}", "whose samples are no sequences"),
    ],
)
def test_what_cannot_happen_is_one_line(name, augment, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        prepare(load_scenario(name, [f"dataset.augment={augment}"]))
    assert "\n" not in str(caught.value)
