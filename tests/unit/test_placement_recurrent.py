"""Recurrent networks on cores: segments and bytes by hand."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from neurosim.errors import DoesNotFitError
from neurosim.hardware import load_profile
from neurosim.placement import Workload, judge, largest_fit, place, refuse_unless_fits, smallest_cores, synapse_counts
from neurosim.placement.search import scale_counts
from neurosim.networks import Topology
from neurosim.reports.tables import print_verdict

SANTOS = load_profile("spinnaker2_santos")
COUNTS = (10, 20, 5)  # of 3 x 16, 4 x 16 and 4 x 2 positions


def lstm(window=None, readout="last", n_steps=5):
    return Topology.recurrent("lstm", 3, (4,), 2, n_steps, window, readout)


def sections(topology, n_cores=1, counts=COUNTS, **options):
    return [core.sections for core in place(SANTOS, Workload(topology, counts, **options), n_cores).cores]


def test_an_lstm_on_one_core_in_bytes():
    (core,) = sections(lstm(window=2))
    assert core == {
        "code": 12_288,
        "synapses": 35 * 8 + 2 + 3 + 1,
        "gradients": 35 * 4,  # with batch size 1 too: the weights must not change between the steps of a sample
        "neuron_state": 2 * 4 + (4 * 6 + 2) * 4 + (4 * 4 + 2) * (4 + 4),  # logits; errors; biases with their accumulators
        "unrolled_state": 4 * (2 * 6 + 2) * 4,  # four gates, c and h of two steps, and c and h before them
        "input_buffer": 2 * 3 * 4,
        "label_buffer": 2 * 4,
        "random_state": 16,
    }
    assert (core["neuron_state"], core["unrolled_state"]) == (256, 224)


@pytest.mark.parametrize("window, steps, before", [(1, 1, 1), (4, 4, 1), (5, 5, 0), (None, 5, 0), (99, 5, 0)])
def test_a_window_keeps_its_steps_and_the_states_before_them(window, steps, before):
    (core,) = sections(lstm(window))
    assert core["unrolled_state"] == 4 * (6 * steps + 2 * before) * 4 and core["input_buffer"] == 3 * steps * 4


@pytest.mark.parametrize("window", [1, 3, 5])
def test_a_mean_keeps_all_steps_a_mean_and_its_error(window):
    (core,), (last,) = sections(lstm(window, "mean")), sections(lstm())
    assert core == last | {"neuron_state": last["neuron_state"] + 4 * (4 + 4)}


def test_the_optimizer_keeps_its_numbers_for_biases_too():
    plain, adam = (sections(lstm(), optimizer=name)[0] for name in ("sgd", "adam"))
    assert adam["neuron_state"] - plain["neuron_state"] == 2 * 18 * 4 and adam["optimizer_state"] == 2 * 35 * 4 + 4


def test_an_lstm_on_two_cores_keeps_copies_of_the_other_half():
    placement = place(SANTOS, Workload(lstm(window=2), COUNTS), 2)
    # Sums of a unit stay together: two units are eight post neurons.
    assert [(s.matrix, s.core, s.post_start, s.post_stop, s.n_pre) for s in placement.segments] == [
        (0, 0, 0, 8, 3), (0, 1, 8, 16, 3), (1, 0, 0, 8, 4), (1, 1, 8, 16, 4), (2, 0, 0, 1, 4), (2, 1, 1, 2, 4),
    ]  # fmt: skip
    assert [s.n_active for s in placement.segments] == [5, 5, 10, 10, 3, 2]
    assert placement.home == (-1,) * 3 + (0, 0, 1, 1) + (0, 1)
    for core in placement.cores:
        assert core.n_neurons == 3
        # Copies of two units for two steps of the recurrent matrix; the read-out copies the last state once.
        assert core.sections["unrolled_state"] == 2 * 14 * 4 + 2 * 2 * 4 + 2 * 4
        own, partial, biases = 1 * 4 + (2 * 6 + 1) * 4, 2 * (2 * 4), (8 + 1) * (4 + 4)
        assert core.sections["neuron_state"] == own + partial + biases + 1 * 4  # and the other logit
        assert core.sections["input_buffer"] == 2 * 3 * 4


def test_no_error_crosses_between_windows_of_one_step():
    wide, narrow = (sections(lstm(window), 2)[0]["neuron_state"] for window in (2, 1))
    assert wide - narrow == 2 * 4  # partial errors of the recurrent matrix


def test_the_last_state_is_not_copied_for_a_next_step():
    whole = sections(lstm(), 2)[0]["unrolled_state"]
    assert whole == 2 * 5 * 6 * 4 + 2 * 4 * 4 + 2 * 4  # five steps of own values, four of copies, and those that are read out


def test_two_tanh_layers_on_two_cores_with_batches():
    topology = Topology.recurrent("rnn", 3, (4, 2), 2, n_steps=6, window=3)
    counts = synapse_counts(topology, 1.0)
    assert counts == (12, 16, 8, 4, 4)
    core, other = sections(topology, 2, counts, batch_size=10)
    assert core == other
    # Own: h of three steps and one before, of 2 + 1 units. Copies: 2 and 2 for the next layer and itself, 1 for its own, 1 to read out.
    assert core["unrolled_state"] == 3 * 4 * 4 + (2 + 2 + 1) * 3 * 4 + 1 * 4
    errors, partial = 3 * 2 * 4 + 1 * 4, (2 + 2 + 1 + 1) * 4
    assert core["neuron_state"] == 1 * 4 + errors + partial + (3 + 1) * 8 + 1 * 4
    assert core["gradients"] == sum(counts) // 2 * 4


def test_one_step_has_no_unrolled_state():
    (core,) = sections(lstm(n_steps=1))
    assert "unrolled_state" not in core and "gradients" not in core
    assert core["neuron_state"] == (4 * 6 + 2) * 4 + (4 * 6 + 2) * 4 + 18 * 8


def test_a_host_that_learns_leaves_one_step_on_the_chip():
    (core,) = sections(lstm(), host_learns=True)
    assert core["unrolled_state"] == 4 * (6 + 2) * 4 and core["neuron_state"] == 2 * 4 + 18 * 4 and core["input_buffer"] == 12
    assert not {"gradients", "label_buffer", "random_state"} & set(core)


def test_the_post_index_counts_sums():
    bits = SANTOS.synapse_word.post_index_bits.model_copy(update={"value": 4})
    profile = SANTOS.model_copy(update={"synapse_word": SANTOS.synapse_word.model_copy(update={"post_index_bits": bits})})
    used = {(u.name, u.matrix): (u.used, u.fits) for u in place(profile, Workload(lstm(), COUNTS), 1).usages}
    assert used["post_index", 0] == used["post_index", 1] == (16, False) and used["post_index", 2] == (2, True)
    assert used["pre_index", 1] == (4, True)


def test_the_largest_fit_of_a_recurrent_network():
    topology = Topology.recurrent("lstm", 28, (128,), 10, 28)
    full = Workload(topology, synapse_counts(topology, 1.0), batch_size=100, optimizer="adam")
    counts = largest_fit(SANTOS, full, 4)
    assert place(SANTOS, replace(full, n_active=counts), 4).fits and sum(counts) == 2_795
    more = scale_counts(full.n_active, full.n_positions, sum(counts) + 1)
    assert not place(SANTOS, replace(full, n_active=more), 4).fits
    assert smallest_cores(SANTOS, replace(full, n_active=counts)) == 4


# the verdict


def rows_lstm(window=None, readout="last", optimizer="adam", n_cores=4):
    topology = Topology.recurrent("lstm", 28, (128,), 10, 28, window, readout)
    workload = Workload(topology, synapse_counts(topology, 0.05), batch_size=100, optimizer=optimizer)
    return place(SANTOS, workload, n_cores)


def text_of(verdict):
    file = io.StringIO()
    print_verdict(Console(file=file, width=200), json.loads(json.dumps(verdict.to_dict())))
    return file.getvalue()


def test_a_network_that_does_not_fit_says_which_window_would():
    verdict = judge(rows_lstm())
    assert [over.section for over in verdict.section_over] == ["unrolled_state"] * 4
    # Six steps of own values and of inputs, against the states before the window; of 27 copies 22 are left.
    saved = 6 * (6 * 32 + 28) * 4 - 2 * 32 * 4 + 5 * 96 * 4
    expected = f"training.window: 22 would fit on 4 cores: errors go back 22 of 28 steps, up to {saved:,d} B less per core"
    assert verdict.hints[0] == expected and verdict.remedies[0].workload.topology.window == 22
    assert rows_lstm(22).fits and not rows_lstm(23).fits
    with pytest.raises(DoesNotFitError, match="training.window: 22 would fit"):
        refuse_unless_fits(rows_lstm())
    assert verdict.unrolling == {
        "n_steps": 28, "window": 28, "kept_steps": 28, "most_steps": 22, "core": 0, "n_bytes": 32_256, "limit": 65_536,
    }  # fmt: skip
    assert "28 of 28 steps kept: unrolled state of 32,256 B (49.2 % of the limit) on core 0; up to 22 steps" in text_of(verdict)


def test_a_network_that_fits_says_how_many_steps_would():
    verdict = judge(rows_lstm(8))
    assert verdict.fits and verdict.hints == [] and verdict.most_steps == 22
    assert "8 of 28 steps kept" in text_of(verdict) and "up to 22 steps of unrolling would fit these cores" in text_of(verdict)
    # Where all steps fit, longer samples may too, with all their steps.
    most = judge(rows_lstm(optimizer="sgd")).most_steps
    assert most > 28
    for n, fits in ((most, True), (most + 1, False)):
        topology = replace(rows_lstm(optimizer="sgd").workload.topology, n_steps=n, window=n)
        assert place(SANTOS, replace(rows_lstm(optimizer="sgd").workload, topology=topology), 4).fits == fits


def test_a_mean_that_does_not_fit_is_told_to_read_the_last_state():
    verdict = judge(rows_lstm(readout="mean"))
    assert verdict.hints[0].startswith("network.readout: last with training.window: 22 would fit on 4 cores")
    assert verdict.most_steps == 0 and "no window would fit these cores" in text_of(verdict)


def test_one_step_that_does_not_fit_is_said():
    verdict = judge(rows_lstm(n_cores=1))
    assert verdict.hints[0] == "no training.window would fit on 1 core, not even one step" and verdict.remedies[0].workload is None


def test_a_network_of_one_step_says_nothing_of_steps():
    verdict = judge(place(SANTOS, Workload((784, 300, 100, 10), (2352, 900, 300)), 1))
    assert verdict.unrolling is None and verdict.most_steps is None and "steps kept" not in text_of(verdict)


def test_steps_are_counted_with_what_spills():
    """The states of all steps stay on the core; what a core keeps per slot makes room for them."""
    spinnaker1, topology = load_profile("spinnaker1"), Topology.recurrent("lstm", 28, (128,), 10, 28)
    workload = Workload(topology, synapse_counts(topology, 0.3), batch_size=100, optimizer="adam")
    verdict = judge(place(spinnaker1, workload, 4))
    assert verdict.fits and any(core.spilled for core in verdict.placement.cores)
    assert not any("unrolled_state" in core.spilled for core in verdict.placement.cores)
    for n, fits in ((verdict.most_steps, True), (verdict.most_steps + 1, False)):
        longer = replace(workload, topology=replace(topology, n_steps=max(n, 28), window=n))
        assert place(spinnaker1, longer, 4).fits == fits
