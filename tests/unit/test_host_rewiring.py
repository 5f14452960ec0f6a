"""A chip that learns and whose host rewires: check says so, and what the host reads and writes is counted.

The integers are those of the slow counter: tests/validation/test_reference_counter.py.
"""

import numpy as np
import pytest

from neurosim.accounting import KINDS, PHASES
from neurosim.accounting.ledger import make_ledger
from neurosim.errors import LedgerError
from neurosim.placement.memory import host_rewires
from neurosim.scenario import load_scenario, prepare
from neurosim.scenario.record import activity_of, _lengths, settle
from neurosim.scenario.trainer import make_trainer

LOIHI = ["hardware.profile=loihi1", "hardware.weight_format=int8", "training.epochs=1", "dataset.limit=200", "training.batch_size=10"]


def text_of(*overrides):
    return " ".join(prepare(load_scenario("digits_santos", [*LOIHI, *overrides])).verdict.storage)


def test_check_says_who_rewires():
    assert "rewiring goes over the host (learning.rewiring; davies2018: Davies et al. 2018" in text_of() and "the lists that changed" in text_of()
    for other in (["hardware.learning=host"], ["hardware.profile=spinnaker1", "hardware.weight_format=int16"]):
        assert "goes over the host" not in text_of(*other)
    static = prepare(load_scenario("digits_santos", [*LOIHI]))
    assert host_rewires(static.profile, static.placement.workload)


def run(*overrides):
    experiment = prepare(load_scenario("digits_santos", [*LOIHI, *overrides]))
    trainer, _ = make_trainer(experiment, None)
    assert trainer.run()
    return experiment, trainer, settle(experiment, trainer)


def rewire_events(ledger):
    return dict(zip(KINDS, ledger.events[:, PHASES.index("rewire")].sum(axis=0).tolist(), strict=True))


def test_the_host_reads_all_words_and_writes_the_lists_that_changed():
    _, trainer, ledger = run()
    tally, events = trainer.store.tally.by_segment, rewire_events(ledger)
    segment = {name: int(n) for name, n in zip((e.name for e in type_of_events()), tally.sum(axis=0), strict=True)}
    assert segment["WORDS_SEEN"] == segment["WORDS_UPDATED"] > 0, "period 1: every step"
    assert events["host_byte"] == 8 * (segment["WORDS_SEEN"] + segment["WORDS_WRITTEN"])
    assert events["synaptic_write"] == segment["ACCEPTED"] + segment["EXACT"] > 0
    assert events["proposal_accepted"] == events["proposal_rejected"] == events["random_draw"] == 0
    assert {row[2] for row in ledger.traffic_rows() if row[1] == "rewire"} == {"synapse_lists"}


def type_of_events():
    from neurosim.kernels.layout import SegmentEvent

    return SegmentEvent


def test_a_longer_period_divides_what_the_host_reads():
    reads = []
    for period in (1, 5):
        _, trainer, _ = run(f"rewiring.period={period}")
        reads.append(int(trainer.store.tally.by_segment[:, type_of_events().SEEN].sum()))
    # Four times instead of twenty, and a few connections have gone in between.
    assert 0.9 * reads[0] < 5 * reads[1] < reads[0]


@pytest.mark.parametrize("name", ["words_seen", "words_written"])
def test_the_ledger_does_not_close_with_words_that_nobody_moved(name, monkeypatch):
    """Host bytes are compared with what the synapse memory gave and took."""
    experiment, trainer, _ = run()
    activity, nothing = _activity_of(experiment, trainer)
    assert make_ledger(experiment.placement, activity, nothing)
    from neurosim.accounting import ledger as module

    exchanged = module._host_exchange
    calls = []

    def once_wrong(*args):
        calls.append(1)
        return exchanged(*args) + (1 if len(calls) == 1 else 0)

    monkeypatch.setattr(module, "_host_exchange", once_wrong)
    with pytest.raises(LedgerError, match="bytes that the host moved"):
        make_ledger(experiment.placement, activity, nothing)
    assert np.any(activity.segment[name])


def _activity_of(experiment, trainer):
    dataset, placement = trainer.dataset, experiment.placement
    training = activity_of(placement, trainer.store.tally, _lengths(placement, dataset, "train"), trainer.step)
    return training, activity_of(placement, trainer.evaluation_tally, _lengths(placement, dataset, "test"), 0)
