"""The training loop: epochs of compiled steps, evaluation, interruption and resumption."""

import math
import time
from dataclasses import asdict, dataclass, replace

import numpy as np

from neurosim.errors import LedgerError, TrainingDivergedError
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.train import Counting, Progress, StepRule
from neurosim.kernels.random import fill_bits
from neurosim.nn import Evaluation, Mlp
from neurosim.random import Stream, step_key, stream_key
from neurosim.rewiring import Moment
from neurosim.synapses.store import new_tally
from neurosim.training.optimizers import Optimizer
from neurosim.training.phases import Phase, compare_weights, find_place, positions_of

#: Seconds that one compiled call should take, so that an interruption and a progress bar are prompt.
_SECONDS_A_CALL = 0.2

#: Period of a compiled rewiring that never comes.
_NEVER = 2**62

#: Arrays of a tally whose numbers grow with what happened: differences of two moments are what happened between.
_ADDITIVE = ("by_segment", "nonzero", "sent", "received", "pairs", "sent_back", "received_back", "pairs_back", "saturated")

#: Fewest active synapses after any rewiring of an epoch, before the first.
_NO_REWIRING = np.iinfo(np.int64).max


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch: rates are fractions, losses nats per sample, times seconds.

    `n_active` synapses are active at its end, `n_active_least` is the fewest after any of its rewirings (None: there was none),
    `n_active_most` the most after any step. `n_unfilled` slots found no position in the last rewiring, or at the start before the
    first.
    With a validation set, the test set is seen once, after the last epoch: `test_loss` and `test_accuracy` of the others are None.
    `unmoved` is the part of the weights that the epoch left as they were, of synapses that stayed; only where a step may round to nothing.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    n_released: int
    n_arrived: int
    n_active: int
    n_active_least: int | None
    n_active_most: int
    n_unfilled: int
    train_s: float
    test_s: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    unmoved: float | None = None


@dataclass(frozen=True)
class TrainingPlan:
    """How to train: everything but the network and the data.

    `is_counted` switches all counting, `watches` chooses the neurons whose non-zero values are counted
    (``all``, ``hidden`` or ``none``), `counts_pairs` counts slots with a non-zero activation and error. What
    is not watched stays 0 in the tally. Nothing of this changes the training. `is_stochastic` says how weights are rounded
    that the store keeps narrower than float32. `keeps_best` ends the run with the weights of the epoch that was best on the validation set.
    `epoch_samples` makes an epoch of so many samples, instead of all: the shuffled training set is passed through in such parts. `horizon` says over
    what rules that anneal do so, where a run has several phases: the ``phase`` or the ``run``.
    """

    seed: int
    n_epochs: int
    batch_size: int
    schedule: object
    rule: object
    merge_entries: int
    is_counted: bool = True
    watches: str = "all"
    counts_pairs: bool = False
    optimizer: Optimizer = Optimizer()
    is_stochastic: bool = False
    rate_factors: tuple[float, ...] | None = None
    keeps_best: bool = False
    epoch_samples: int | None = None
    horizon: str = "phase"


class Trainer:
    """Train one network on one data set; can be stopped and resumed between any two steps.

    Parameters
    ----------
    store : SynapseStore
    dataset : Dataset
    plan : TrainingPlan
    network : Recurrent, optional
        On the same store and for the same batches; without it, a multilayer perceptron.
    phases : sequence of Phase, optional
        Instead of `dataset`, the epochs and the schedule of the plan.
    first_step : int
        Steps that the weights have made before this run: random draws and the optimizer's count go on from there.

    Attributes
    ----------
    history : list of EpochRecord
    step_in_epoch, step : int
        Steps done in the current epoch and in the whole run.
    evaluation_tally : Tally
        Events of all evaluations.
    dataset : Dataset
        Of the phase in work.
    phase_ends : list of dict
        Of each finished phase of a run with several: accuracies on the samples of all phases, and how alike the weights are to those
        at the ends of the phase before and of the first one.
    """

    def __init__(self, store, dataset, plan, network=None, phases=(), first_step=0):
        if store.plan.n_moments != plan.optimizer.n_moments:
            raise ValueError(f"{plan.optimizer.kind} keeps {plan.optimizer.n_moments} numbers per slot, the store {store.plan.n_moments}")
        self.store, self.dataset, self.plan = store, dataset, plan
        self.network = network or Mlp(store, plan.batch_size)
        self.phases = tuple(phases) or (Phase(dataset, plan.n_epochs, plan.schedule),)
        self.first_step = first_step
        self.phase_ends = []
        self._ends = {}
        self.history = []
        self.step = 0
        self.step_in_epoch = 0
        self.n_evaluated = 0
        self.last_evaluation = None
        self._best = {}
        self._before = {}
        self.evaluation_tally = new_tally(store.plan)
        self.progress = new_progress()
        self.first_counts = _exchange_counts(store)
        self._seconds = 0.0
        self._noise_key = np.uint64(stream_key(plan.seed, Stream.NOISE))
        self._proposal_key = np.uint64(stream_key(plan.seed, Stream.PROPOSAL))
        self._rule_key = stream_key(plan.seed, Stream.RULE_NOISE)
        self.rule_state = plan.rule.first_state(store, self._rate(0), stream_key(plan.seed, Stream.RULE_START))
        self._rounding_key = np.uint64(stream_key(plan.seed, Stream.ROUNDING))

    @property
    def epoch(self):
        """Epoch in work, counted from 0."""
        return len(self.history)

    @property
    def phase(self):
        """Number of the phase in work."""
        return find_place(self.phases, self.epoch).phase

    @property
    def n_epoch_samples(self):
        """Training samples of the epoch in work."""
        return self._samples_of(self.dataset)

    def _samples_of(self, dataset):
        wanted = self.plan.epoch_samples
        return dataset.n_train if wanted is None else min(wanted, dataset.n_train)

    @property
    def steps_per_epoch(self):
        return self._steps_per_epoch(self.dataset)

    def _steps_per_epoch(self, dataset):
        return -(-self._samples_of(dataset) // self.plan.batch_size)

    @property
    def n_steps(self):
        """Steps of the whole run."""
        return sum(self._steps_per_epoch(phase.dataset) * phase.n_epochs for phase in self.phases)

    @property
    def horizon(self):
        """Steps before, and in, the stretch over which rules anneal."""
        if self.plan.horizon == "run" or len(self.phases) == 1:
            return 0, self.n_steps
        counts = [self._steps_per_epoch(phase.dataset) * phase.n_epochs for phase in self.phases]
        return sum(counts[: self.phase]), counts[self.phase]

    def dataset_of(self, epoch):
        """Data set of an epoch, counted from 0."""
        return self.phases[find_place(self.phases, epoch).phase].dataset

    def _rate(self, epoch):
        """Learning rate of an epoch."""
        place = find_place(self.phases, epoch)
        phase = self.phases[place.phase]
        if phase.restarts:
            return phase.schedule.rate(place.epoch, phase.n_epochs)
        return phase.schedule.rate(epoch, self.plan.n_epochs)

    @property
    def _chooser(self):
        """Samples that choices are made on: with a validation set, the test set is not seen before the end."""
        return _as_test(self.dataset) if self.dataset.n_validation else self.dataset

    @property
    def _unfilled_before(self):
        """Slots without a position before the epoch in work."""
        return self.history[-1].n_unfilled if self.history else self.store.n_unplaced

    @property
    def is_done(self):
        return self.epoch >= self.plan.n_epochs

    def compile(self):
        """Compile or load the kernels of training and evaluation, by no step at all and one sample that is not counted.

        So `run` neither measures this nor keeps waiting for it whoever wants to stop.
        """
        self.compile_evaluation()
        self.compile_steps()

    def compile_steps(self):
        """The part of `compile` that is training; the store may be empty."""
        batch = self.network.make_batch(self.dataset, np.arange(self.dataset.n_train))
        self.network.train(batch, self._step_rule(self._rate(0)), self._counting(), new_progress(), self._clock, 0, 0)

    def compile_evaluation(self):
        """The part of `compile` that is evaluation; the store may be empty."""
        data = self.dataset
        lengths = None if data.lengths_test is None else data.lengths_test[:1]
        self.network.evaluate_on(replace(data, x_test=data.x_test[:1], y_test=data.y_test[:1], lengths_test=lengths), new_tally(self.store.plan))

    def run(self, *, on_progress=None, on_epoch=None, should_stop=None, is_enough=None):
        """Train until all epochs are done or `should_stop()` is true.

        Parameters
        ----------
        on_progress : callable, optional
            Called as ``on_progress(epoch, step_in_epoch, steps_per_epoch)`` a few times a second.
        on_epoch : callable, optional
            Called as ``on_epoch(record)`` after each epoch, when the state may be saved.
        should_stop : callable, optional
            Asked between two steps.
        is_enough : callable, optional
            Asked after each epoch, and its `on_epoch`: whether to leave out the epochs that remain.

        Returns
        -------
        bool
            Whether all epochs are done that are wanted; false after `should_stop`.

        Raises
        ------
        TrainingDivergedError
            A loss or weight is not finite; the store is then unusable.
        """
        while not self.is_done:
            if not self._run_epoch(on_progress, should_stop):
                return False
            record = self._finish_epoch()
            if on_epoch:
                on_epoch(record)
            if is_enough and is_enough():
                break
        self._conclude()
        return True

    @property
    def best_epoch(self):
        """Epoch with the highest accuracy on the samples that choices are made on, the first of equals; None before the first."""
        scores = [_score(record) for record in self.history]
        return int(np.argmax(scores)) if scores else None

    @property
    def parts_evaluated(self):
        """Names of the parts of the data set that were evaluated, one for each evaluation."""
        if not self.dataset.n_validation:
            return ["test"] * len(self.history)
        return ["validation"] * len(self.history) + ["test"]

    def _conclude(self):
        """With a validation set: take the weights that are wanted, and evaluate them on the test set, once."""
        if not self.dataset.n_validation or not self.history or self.history[-1].test_accuracy is not None:
            return
        if self.plan.keeps_best:
            self._take(self._best)
        begin = time.perf_counter()
        result = self.network.evaluate_on(self.dataset, self.evaluation_tally)
        last = self.history[-1]
        if not np.isfinite(result.loss):
            self._raise_diverged("the loss on the test samples is not finite")
        self.history[-1] = replace(
            last, test_loss=float(result.loss), test_accuracy=float(result.accuracy), test_s=last.test_s + time.perf_counter() - begin
        )
        self.n_evaluated += result.n_samples
        self.last_evaluation = result

    def _weights(self):
        """Copies of the arrays of store and network."""
        arrays = {f"slots.{k}": v for k, v in self.store.state().items()} | {f"network.{k}": v for k, v in self.network.state().items()}
        return {name: np.array(array) for name, array in arrays.items()}

    def _take(self, arrays):
        """Take over what `_weights` returned."""
        self.store.restore({k.removeprefix("slots."): v for k, v in arrays.items() if k.startswith("slots.")})
        for name, array in self.network.state().items():
            array[...] = arrays[f"network.{name}"]

    def _positions(self):
        """Position and weight of every active synapse: dict of arrays, where a step may round to nothing; else empty."""
        may_be_stuck = self.store.matrices.step.any() and not self.plan.is_stochastic and not self.store.plan.has_master
        found = {}
        for m in range(len(self.store.plan.matrices)) if may_be_stuck else ():
            pre, post, weight = self.store.connections(m)
            place = pre.astype(np.int64) * self.store.plan.matrices[m].n_post + post
            order = np.argsort(place)
            found |= {f"place{m}": place[order], f"weight{m}": weight[order]}
        return found

    def _unmoved(self):
        """Part of the weights that are as they were at the start of the epoch; None where this is not watched."""
        n_same = n_stayed = 0
        now = self._positions()
        for m in range(len(now) // 2):
            places, here, there = np.intersect1d(self._before[f"place{m}"], now[f"place{m}"], assume_unique=True, return_indices=True)
            n_stayed += places.size
            n_same += int((self._before[f"weight{m}"][here] == now[f"weight{m}"][there]).sum())
        return n_same / n_stayed if n_stayed else None

    def probe(self):
        """Train one step on the first batch of the training set, counted from zero; returns its number of samples.

        It belongs to no run: the weights have moved and the tallies of the run are gone, so the trainer is to be thrown away.
        """
        for tally in (self.store.tally, self.evaluation_tally):
            for name, counts in tally._asdict().items():
                if name not in ("home", "n_destinations"):  # these say where neurons and synapses lie
                    counts[...] = 0
        rate = self._rate(min(self.epoch, self.plan.n_epochs - 1))
        batch = self.network.make_batch(self.dataset, np.arange(self.dataset.n_train))
        self.network.train(batch, self._step_rule(rate), self._counting(), new_progress(), self._clock, 1, 0)
        self.network.settle()
        return min(self.plan.batch_size, self.dataset.n_train)

    def _run_epoch(self, on_progress, should_stop):
        self._enter_phase()
        order = self.order_of(self.epoch)
        rate = self._rate(self.epoch)
        batch = self.network.make_batch(self._epoch_data(), order)
        rule = self._step_rule(rate)
        counting = self._counting()
        # No step at all: compiles the kernels at their first use, outside of every measured time, unless `compile` did.
        self.network.train(batch, rule, counting, self.progress, self._clock, 0, 0)
        before, n_horizon = self.horizon
        n_steps = 1
        if not self.step_in_epoch:
            self._before = self._positions()
        while self.step_in_epoch < self.steps_per_epoch:
            due = self.plan.rule.next_rewiring(self.step - before, n_horizon)
            due = None if due is None else due + before
            n_steps = min(n_steps, self.steps_per_epoch - self.step_in_epoch, self.n_steps if due is None else due - self.step)
            begin = time.perf_counter()
            done = self.network.train(batch, rule, counting, self.progress, self._clock, n_steps, self.step_in_epoch * self.plan.batch_size)
            seconds = time.perf_counter() - begin
            self._seconds += seconds
            self.step += done
            self.step_in_epoch += done
            if not np.isfinite(self.progress.loss[0]):
                self._raise_diverged("the loss is not finite")
            if self.step == due:
                self._rewire(rate)
            if on_progress:
                on_progress(self.epoch, self.step_in_epoch, self.steps_per_epoch)
            if should_stop and should_stop():
                return False
            n_steps = _next_call(n_steps, seconds)
        return True

    def _rewire(self, rate):
        """Let the rule exchange connections after the step just made."""
        store, progress, merge_entries = self.store, self.progress, self.plan.merge_entries
        before = _arrivals(store)
        store.tally.by_segment[:, SegmentEvent.SEEN] += store.n_active_by_segment
        store.tally.by_segment[:, SegmentEvent.WORDS_SEEN] += store.slots.segment_words
        steps_before, n_horizon = self.horizon
        moment = Moment(
            step=self.step - steps_before,
            n_steps=n_horizon,
            learning_rate=rate,
            key=step_key(int(self._proposal_key), self._clock - 1),
            noise_key=step_key(self._rule_key, self._clock - 1),
            state=self.rule_state,
            dense_gradient=self._dense_gradient,
        )
        progress.n_unfilled[0] = self.plan.rule.rewire(store, moment)
        merges = -(-(_arrivals(store) - before) // merge_entries)
        store.tally.by_segment[:, SegmentEvent.MERGES] += merges
        progress.least_active[0] = min(progress.least_active[0], store.n_active)
        progress.most_active[0] = max(progress.most_active[0], store.n_active)

    def _dense_gradient(self, segment):
        """Gradient of all positions of a segment on the batch of the last step; books what it costs."""
        first = (self.step_in_epoch - 1) * self.plan.batch_size
        n_samples = min(self.plan.batch_size, self.n_epoch_samples - first)
        gradient, n_rows, n_walks = self.network.dense_gradient(segment, n_samples)
        store = self.store
        for event, n in (
            (SegmentEvent.DENSE_SAMPLES, n_walks),
            (SegmentEvent.DENSE_ROWS, n_rows),
            (SegmentEvent.DENSE_SEARCHES, 1),
            (SegmentEvent.MASKED, store.n_active_by_segment[segment]),
        ):
            store.count(segment, event, n)
        return gradient

    def _finish_epoch(self):
        store, progress = self.store, self.progress
        for matrix in range(len(store.plan.matrices)):
            if not np.isfinite(store.connections(matrix)[2]).all():
                self._raise_diverged(f"a weight of matrix {matrix} is not finite")
        begin = time.perf_counter()
        result = self.network.evaluate_on(self._chooser, self.evaluation_tally)
        test_s = time.perf_counter() - begin
        if not np.isfinite(result.loss):
            self._raise_diverged(f"the loss on the {'validation' if self.dataset.n_validation else 'test'} samples is not finite")
        seen = {"loss": float(result.loss), "accuracy": float(result.accuracy)}
        has_test = not self.dataset.n_validation
        self.n_evaluated += result.n_samples
        self.last_evaluation = result
        self.network.settle()
        released, arrived = (b - a for a, b in zip(self.first_counts, _exchange_counts(store)))
        n = int(progress.n_samples[0])
        has_rewired = progress.least_active[0] < _NO_REWIRING
        record = EpochRecord(
            epoch=self.epoch,
            learning_rate=self._rate(self.epoch),
            train_loss=float(progress.loss[0]) / n,
            train_accuracy=int(progress.n_correct[0]) / n,
            test_loss=seen["loss"] if has_test else None,
            test_accuracy=seen["accuracy"] if has_test else None,
            n_released=released,
            n_arrived=arrived,
            n_active=store.n_active,
            n_active_least=int(progress.least_active[0]) if has_rewired else None,
            n_active_most=int(progress.most_active[0]),
            n_unfilled=int(progress.n_unfilled[0]) if has_rewired else self._unfilled_before,
            train_s=self._seconds,
            test_s=test_s,
            validation_loss=None if has_test else seen["loss"],
            validation_accuracy=None if has_test else seen["accuracy"],
            unmoved=self._unmoved(),
        )
        _refuse_impossible(record)
        place = find_place(self.phases, self.epoch)
        self.history.append(record)
        if len(self.phases) > 1 and place.epoch + 1 == self.phases[place.phase].n_epochs:
            self._end_phase(place.phase)
        if self.plan.keeps_best and self.best_epoch == record.epoch:
            self._best = self._weights()
        self.step_in_epoch, self._seconds = 0, 0.0
        self.progress = new_progress()
        self.first_counts = _exchange_counts(store)
        return record

    def _counting(self):
        plan, n_neurons = self.plan, self.store.plan.n_neurons
        first = {"all": 0, "hidden": self.store.plan.matrices[0].n_pre, "none": n_neurons}[plan.watches] if plan.is_counted else n_neurons
        return Counting(plan.is_counted, first, plan.is_counted and plan.counts_pairs, plan.merge_entries)

    def _step_rule(self, rate):
        rule = self.plan.rule
        return StepRule(
            eta=np.float32(rate),
            l1=np.float32(0.0 if isinstance(rule.l1, tuple) else rule.l1),
            noise_std=np.float32(rule.step_noise(rate)),
            theta_born=np.float32(rule.theta_born),
            period=rule.period if rule.is_compiled else _NEVER,
            noise_key=self._noise_key,
            proposal_key=self._proposal_key,
            **self.plan.optimizer.step_numbers._asdict(),
            has_free_signs=not rule.is_compiled,
            is_rounded=bool(self.store.matrices.step.any()),
            is_stochastic=self.plan.is_stochastic,
            rounding_key=self._rounding_key,
            by_matrix=self._numbers_by_matrix(rate),
        )

    def _numbers_by_matrix(self, rate):
        """`StepRule.by_matrix`: no rows where all matrices learn and rewire alike."""
        plan, rule, n = self.plan, self.plan.rule, len(self.store.plan.matrices)
        free = self.store.plan.free_matrices
        if plan.rate_factors is None and not isinstance(rule.l1, tuple) and not free:
            return np.zeros((0, 4), np.float32)
        etas = [rate * factor for factor in plan.rate_factors or (1.0,) * n]
        l1s = rule.l1 if isinstance(rule.l1, tuple) else (rule.l1,) * n
        rows = [(eta, l1, rule.step_noise(eta), not rule.is_compiled) for eta, l1 in zip(etas, l1s, strict=True)]
        return np.array([(eta, 0, 0, 1) if m in free else row for m, (eta, row) in enumerate(zip(etas, rows, strict=True))], np.float32)

    @property
    def _clock(self):
        """Steps that the weights have made: random draws are functions of it."""
        return self.first_step + self.step

    def _enter_phase(self):
        """Take the samples of the phase in work."""
        if len(self.phases) > 1:
            self.dataset = self.phases[self.phase].dataset

    def _end_phase(self, number):
        """Keep what is known of a phase at its end: counts up to here, accuracies on the samples of every phase (not charged), likeness of weights."""
        for name, tally in (("tally", self.store.tally), ("evaluation", self.evaluation_tally)):
            self._ends |= {f"{number}.{name}.{key}": np.array(getattr(tally, key)) for key in _ADDITIVE}
        seen = []
        for phase in self.phases:
            data = _as_test(phase.dataset) if phase.dataset.n_validation else phase.dataset
            seen.append(float(self.network.evaluate_on(data).accuracy))
        now, weights = positions_of(self.store), []
        for m, matrix in enumerate(self.store.plan.matrices):
            likeness = {}
            for to, other in (("before", number - 1), ("first", 0)):
                if number > other >= 0:
                    which = "last" if to == "before" else "first"
                    kept = tuple(self._ends[f"weights.{which}.{m}.{part}"] for part in ("place", "weight"))
                    likeness[f"overlap_{to}"], likeness[f"correlation_{to}"] = compare_weights(kept, now[m], matrix.n_pre * matrix.n_post)
            weights.append(likeness)
        for m, (place, weight) in enumerate(now):
            for which in ("first", "last") if number == 0 else ("last",):
                self._ends |= {f"weights.{which}.{m}.place": place, f"weights.{which}.{m}.weight": weight}
        self.phase_ends.append({"accuracy": seen, "weights": weights, "step": self.step})

    def counts_at(self, number):
        """Counts of training and evaluation up to the end of a phase: two dicts of arrays, as fields of a `Tally`."""
        return tuple({key: self._ends[f"{number}.{name}.{key}"] for key in _ADDITIVE} for name in ("tally", "evaluation"))

    def order_of(self, epoch):
        """Training samples of an epoch in their order: int64."""
        place, dataset = find_place(self.phases, epoch), self.dataset_of(epoch)
        n, n_train = self._samples_of(dataset), dataset.n_train
        if n == n_train:
            return self._shuffle(epoch, n_train)
        first, last = place.epoch * n, place.epoch * n + n
        passes = range(first // n_train, (last - 1) // n_train + 1)
        order = np.concatenate([self._shuffle(place.first + p, n_train) for p in passes])
        return order[first - passes[0] * n_train :][:n].copy()

    def rule_of(self, epoch):
        """Numbers of the steps of an epoch: `StepRule`."""
        return self._step_rule(self._rate(epoch))

    def _shuffle(self, epoch, n_train=None):
        """Order of the training samples of one epoch: int64, a function of seed and epoch."""
        keys = np.empty(n_train or self.dataset.n_train, np.uint64)
        fill_bits(keys, np.uint64(stream_key(self.plan.seed, Stream.SHUFFLE)), epoch)
        # Two equal keys of 64 bits are not to be expected, and a stable sort takes more than twice as long.
        return np.argsort(keys)

    def _epoch_data(self):
        """The data set with its training samples as this epoch sees them: a function of seed and epoch, so that a resumed one sees the same."""
        data = self.dataset
        if getattr(data, "augmentation", None) is None:
            return data
        bits, place = self._augment_bits(self.epoch), find_place(self.phases, self.epoch)
        x = data.epoch_samples(bits, place.epoch / self.phases[place.phase].n_epochs)
        return replace(data, x_train=x, lengths_train=data.epoch_lengths(bits))

    def _augment_bits(self, epoch):
        bits = np.empty(2 * self.dataset_of(epoch).n_train, np.uint64)
        fill_bits(bits, np.uint64(stream_key(self.plan.seed, Stream.AUGMENT)), epoch)
        return bits

    def lengths_of(self, epoch):
        """Steps of each training sample as an epoch sees it: int32 array, shape (n_train,), or None where all have the same."""
        data = self.dataset_of(epoch)
        return data.lengths_train if getattr(data, "augmentation", None) is None else data.epoch_lengths(self._augment_bits(epoch))

    def _raise_diverged(self, what):
        raise TrainingDivergedError(
            f"epoch {self.epoch}, step {self.step_in_epoch} of {self.steps_per_epoch}: {what}; "
            "lower training.learning_rate (the last checkpoint is kept)"
        )

    def state(self):
        """Everything that a resumed run needs: (dict of arrays, JSON-able dict)."""
        arrays = {f"slots.{k}": v for k, v in self.store.state().items()}
        for name, tally in (("tally", self.store.tally), ("evaluation", self.evaluation_tally)):
            arrays |= {f"{name}.{k}": v for k, v in tally._asdict().items() if k not in ("home", "n_destinations")}
        arrays |= {f"progress.{k}": v for k, v in self.progress._asdict().items()}
        arrays |= {f"rule.{k}": v for k, v in self.rule_state.items()}
        arrays |= {f"network.{k}": v for k, v in self.network.state().items()}
        for name, kept in (("best", self._best), ("before", self._before)):
            arrays |= {f"{name}.{k}": v for k, v in kept.items()}
        arrays |= {f"end.{k}": v for k, v in self._ends.items()}
        if self.last_evaluation is not None:
            arrays["last_nonzero"] = self.last_evaluation.n_nonzero
        return arrays, {
            "step": self.step,
            "step_in_epoch": self.step_in_epoch,
            "n_evaluated": self.n_evaluated,
            "first_counts": list(self.first_counts),
            "seconds": self._seconds,
            "history": [asdict(record) for record in self.history],
            **({"first_step": self.first_step} if self.first_step else {}),
            **({"phase_ends": list(self.phase_ends)} if len(self.phases) > 1 else {}),
        }

    def restore(self, arrays, values):
        """Take over what `state` returned."""
        self.store.restore({k.removeprefix("slots."): v for k, v in arrays.items() if k.startswith("slots.")})
        for name, target in (("tally", self.store.tally), ("evaluation", self.evaluation_tally), ("progress", self.progress)):
            for key, array in target._asdict().items():
                if f"{name}.{key}" in arrays:
                    array[...] = arrays[f"{name}.{key}"]
        for kind, own in (("rule", self.rule_state), ("network", self.network.state())):
            for name, array in own.items():
                array[...] = arrays[f"{kind}.{name}"]
        self._best, self._before = (
            {k.removeprefix(f"{name}."): v for k, v in arrays.items() if k.startswith(f"{name}.")} for name in ("best", "before")
        )
        self._ends = {k.removeprefix("end."): v for k, v in arrays.items() if k.startswith("end.")}
        self.phase_ends = list(values.get("phase_ends", ()))
        self.history = [EpochRecord(**record) for record in values["history"]]
        self._enter_phase()
        self.step, self.step_in_epoch = values["step"], values["step_in_epoch"]
        self.n_evaluated, self._seconds = values["n_evaluated"], values["seconds"]
        self.first_counts = tuple(values["first_counts"])
        if "last_nonzero" in arrays:
            last = self.history[-1]
            has_test = last.test_accuracy is not None
            seen = (last.test_accuracy, last.test_loss) if has_test else (last.validation_accuracy, last.validation_loss)
            self.last_evaluation = Evaluation(*seen, self.dataset.n_test if has_test else self.dataset.n_validation, arrays["last_nonzero"])


def _as_test(dataset):
    """The data set with its validation samples in the place of the test set: what networks evaluate is called the test set."""
    return replace(dataset, x_test=dataset.x_validation, y_test=dataset.y_validation, lengths_test=dataset.lengths_validation)


def _score(record):
    """Accuracy by which an epoch is chosen."""
    return record.test_accuracy if record.validation_accuracy is None else record.validation_accuracy


def _refuse_impossible(record):
    """Raise where figures of an epoch contradict each other, before they are written anywhere.

    A sample that is not classified gives its class at most half of the probability: it costs ln 2 nats at least.
    """
    for part in ("train", "validation", "test"):
        accuracy, loss = getattr(record, f"{part}_accuracy"), getattr(record, f"{part}_loss")
        if accuracy is None:
            continue
        # A hundredth for sums of float32.
        if not (0 <= accuracy <= 1 and loss >= 0.99 * math.log(2) * (1 - accuracy)):
            raise LedgerError(
                f"epoch {record.epoch + 1}: {part} accuracy {accuracy:g} and {part} loss {loss:g} cannot both be true: a defect of "
                "neurosim or of this computer; the last checkpoint is kept"
            )


def _next_call(n_steps, seconds):
    """Steps of the next compiled call, from the time the last one took."""
    if seconds < _SECONDS_A_CALL / 4:
        return n_steps * 4
    return max(1, int(n_steps * min(_SECONDS_A_CALL / seconds, 2.0)))


def new_progress():
    return Progress(
        loss=np.zeros(1),
        n_correct=np.zeros(1, np.int64),
        n_samples=np.zeros(1, np.int64),
        least_active=np.full(1, _NO_REWIRING),
        most_active=np.zeros(1, np.int64),
        n_unfilled=np.zeros(1, np.int64),
    )


def _exchange_counts(store):
    """Synapses released and arrived since the start of the run."""
    return int(store.tally.by_segment[:, SegmentEvent.RELEASED].sum()), int(_arrivals(store).sum())


def _arrivals(store):
    """Synapses that arrived in each segment: int64, shape (G,)."""
    return store.tally.by_segment[:, [SegmentEvent.ACCEPTED, SegmentEvent.EXACT, SegmentEvent.PLACED]].sum(axis=1)
