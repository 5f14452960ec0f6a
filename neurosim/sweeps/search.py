"""Search: the smallest budget that reaches an accuracy. Every trial is an ordinary point, in a folder, as of a sweep.

Along the budget settings are in order, by what the verdict knows without training, and accuracy rises with it: `smallest` bisects. Other keys
have no such order; Optuna (a tree of Parzen estimators) proposes values for them, and below each proposal the budget is bisected again, but only
among settings that would be cheaper than the best so far. So no run is spent on what cannot be the answer.

The folders of the points are all that a search remembers. It is a function of what they hold: the same command, after a kill too, asks for the same
points in the same order and finds those that have ended.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import neurosim
from neurosim.documents import Document, remove_leftovers, validate
from neurosim.errors import DoesNotFitError, InputError, InterruptedRunError, NeurosimError, nearest
from neurosim.results import is_sweep
from neurosim.results.metrics import estimate, metrics_of_verdict
from neurosim.results.search import SearchRecord, Trial, is_search, read_search, write_search
from neurosim.scenario.experiment import prepare
from neurosim.scenario.folder import RESULT
from neurosim.sweeps.collect import POINTS, point_folder, point_of
from neurosim.sweeps.engine import check_engine, open_workers, run_points
from neurosim.sweeps.expand import expand
from neurosim.sweeps.point import is_abandoned, status_of
from neurosim.sweeps.runner import make_folder, stop_on_sigterm
from neurosim.sweeps.schema import Sweep
from neurosim.sweeps.smallest import Scores, find_smallest

#: What can be minimized: the metric of a finished point, and its unit.
COSTS = {"bytes": ("memory_bytes", "B"), "energy": ("energy_per_sample_j", "J"), "cores": ("n_cores", "cores")}
#: Values of a budget unless the caller says how many.
N_VALUES = 24
#: Part of the training samples on which accuracy is judged where the scenario names none.
VALIDATION = 0.2
MOST_VALUES, MOST_TRIALS, MOST_SEEDS = 1000, 1000, 100
#: From this ratio of the ends on, values between them are spread by their logarithm.
_WIDE = 4


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float

    @property
    def is_whole(self):
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def is_wide(self):
        return self.low > 0 and self.high >= _WIDE * self.low

    def values(self, n):
        """So many values, evenly spread or by their logarithm: of whole numbers fewer where there are no more."""
        if self.is_whole and self.high - self.low < n:
            return list(range(self.low, self.high + 1))
        steps = [i / (n - 1) for i in range(n)]
        if self.is_wide:
            found = [self.low * (self.high / self.low) ** step for step in steps]
        else:
            found = [self.low + (self.high - self.low) * step for step in steps]
        if self.is_whole:
            return sorted({round(x) for x in found})
        return [self.low, *(float(f"{x:.4g}") for x in found[1:-1]), self.high]


@dataclass(frozen=True)
class Goal:
    """What is searched.

    Attributes
    ----------
    target : float
        Least mean accuracy on the validation set.
    minimize : str
        A key of `COSTS`.
    budget : tuple of (str, list), optional
        The key along which accuracy rises, and its values; without it `network.connectivity`, or `hardware.cores` of a network that fills them.
    vary : dict of str to list or Range
        Other keys.
    n_seeds, n_trials : int
        Seeds of a setting; proposals for `vary`.
    """

    target: float
    minimize: str = "bytes"
    budget: tuple | None = None
    vary: dict = field(default_factory=dict)
    n_seeds: int = 3
    n_trials: int = 20

    def __post_init__(self):
        if not isinstance(self.target, (int, float)) or not 0 < self.target <= 1:
            raise InputError(f"--target: found accuracy {self.target}; expected a fraction above 0 and at most 1, such as accuracy=0.97")
        if self.minimize not in COSTS:
            raise InputError(f"--minimize: found {self.minimize!r}; {nearest(self.minimize, COSTS)}")
        for name, n, most in (("--seeds", self.n_seeds, MOST_SEEDS), ("--trials", self.n_trials, MOST_TRIALS)):
            if not 1 <= n <= most:
                raise InputError(f"{name}: found {n}; expected 1 to {most:,}")
        if self.budget and self.budget[0] in self.vary:
            raise InputError(f"--vary {self.budget[0]}: is the budget; give another key")
        if "seed" in (self.budget or ()) or "seed" in self.vary:
            raise InputError("seed: a search takes seeds 0, 1, ... by itself; say how many with --seeds")


def parse_target(text):
    """``accuracy=0.97 -> 0.97``.

    Raises
    ------
    InputError
    """
    name, _, value = text.partition("=")
    if name != "accuracy":
        raise InputError(f"--target: found {text!r}; expected accuracy=FRACTION, such as accuracy=0.97")
    found = _number(value)
    if isinstance(found, str):
        raise InputError(f"--target: found {text!r}; expected a number behind the sign, such as accuracy=0.97")
    return found


def parse_values(option, text):
    """A key and its values: ``KEY=LOW..HIGH``, ``KEY=LOW..HIGH:N`` or ``KEY=A,B,C``.

    Returns
    -------
    key : str
    values : Range or list
    n : int or None

    Raises
    ------
    InputError
    """
    key, equals, value = text.partition("=")
    example = f"{option} network.connectivity=0.01..0.5" if option == "--budget" else f"{option} training.learning_rate=0.05..1"
    if not equals or not key or not value:
        raise InputError(f"{option}: found {text!r}; expected KEY=LOW..HIGH or KEY=A,B,C, such as {example}")
    if ".." not in value:
        found = [_number(part.strip()) for part in value.split(",")]
        if len(set(map(repr, found))) < len(found):
            raise InputError(f"{option} {key}: a value stands twice")
        return key, found, None
    ends, _, count = value.partition(":")
    low, high = (_number(part.strip()) for part in ends.split("..", 1))
    n = _number(count) if count else None
    if isinstance(low, str) or isinstance(high, str) or not low < high or not (n is None or isinstance(n, int) and 2 <= n <= MOST_VALUES):
        raise InputError(f"{option} {key}: found {value!r}; expected LOW..HIGH with LOW below HIGH, and perhaps :N, 2 to {MOST_VALUES:,} values")
    return key, Range(low, high), n


def parse_budget(text):
    """``(key, values)`` of one ``--budget``."""
    key, values, n = parse_values("--budget", text)
    return key, values.values(n or N_VALUES) if isinstance(values, Range) else values


def parse_vary(texts):
    """``{key: Range or list}`` of several ``--vary``."""
    found = {}
    for text in texts:
        key, values, n = parse_values("--vary", text)
        if key in found:
            raise InputError(f"--vary {key}: stands twice")
        found[key] = values.values(n) if n else values
    return found


def _number(text):
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text


class _Observer:
    """Sees nothing."""

    def start(self, record, folder, n_workers):
        pass

    def trial(self, trial):
        pass

    def point(self, point, status):
        pass


def run_search(scenario, goal, *, out=None, engine="local", scheduler=None, jobs=None, data_dir=None, retry_failed=False, plugins=(), observer=None):
    """Search the smallest budget that reaches an accuracy.

    Parameters
    ----------
    scenario : Scenario
    goal : Goal
    out : path-like, optional
        Folder; ``runs/NAME-search`` without. One that holds this search already is continued.
    engine, scheduler, jobs, data_dir, retry_failed, plugins
        As of `run_sweep`.
    observer : object, optional
        With methods ``start(record, folder, n_workers)``, ``trial(trial)`` and ``point(point, status)``.

    Returns
    -------
    record : SearchRecord
    folder : Path

    Raises
    ------
    InputError
        Before anything is written.
    InterruptedRunError
        After Ctrl-C; the same command continues.
    NeurosimError
        This computer could not work on a point (a full disk, too little memory).
    """
    check_engine(engine, scheduler)
    if jobs is not None and not 1 <= jobs <= 1024:
        raise InputError(f"--jobs: found {jobs}; expected 1 to 1024")
    if goal.vary:
        _optuna()
    folder = _folder(scenario, out)
    search = _Search(scenario, goal, folder, data_dir, retry_failed, plugins, observer or _Observer())
    try:
        with stop_on_sigterm(), open_workers(engine, scheduler, jobs) as workers:
            search.run(workers)
    except KeyboardInterrupt:
        if not search.has_begun:
            raise
        search.save()
        raise InterruptedRunError(f"interrupted after {len(search.trials)} trials; the same command continues in {folder}") from None
    return search.save(), folder


def _folder(scenario, out):
    if out is not None and str(out) in ("", "."):
        raise InputError(f"--out: found {str(out)!r}; give a folder of its own, such as --out runs/{scenario.name}-search")
    folder = Path(out) if out is not None else Path("runs") / f"{scenario.name}-search"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; --out takes a folder")
    if (folder / RESULT).exists() or is_sweep(folder):
        raise InputError(f"{folder}: holds a {'run' if (folder / RESULT).exists() else 'sweep'}, not a search; give another --out")
    if is_search(folder) and (name := read_search(folder).name) != scenario.name:
        raise InputError(f"{folder}: holds the search of {name}; give another --out for {scenario.name}")
    return folder


def _optuna():
    try:
        import optuna
    except ImportError:
        raise InputError("--vary: optuna is not installed, which proposes values of several keys; pip install 'neurosim[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@dataclass(frozen=True)
class _Setting:
    """One setting before it runs: its points by seed, and what the verdict says; `reason` where it does not fit."""

    overrides: dict
    points: list
    order: tuple
    reason: str | None

    @property
    def group(self):
        return self.points[0].group


class _Search:
    def __init__(self, scenario, goal, folder, data_dir, retry_failed, plugins, observer):
        self.goal, self.folder, self.retry, self.plugins, self.observer = goal, folder, retry_failed, tuple(plugins), observer
        self.data_dir = None if data_dir is None else str(Path(data_dir).expanduser().resolve())
        self.name, self.description = scenario.name, scenario.description
        self.base, self.budget, self.notes = _base(scenario, goal)
        self.trials, self.points, self.numbers = [], {}, {}
        self.answer, self.is_complete, self.has_begun, self.test = None, False, False, None
        self.shapes, self.settings_seen = {}, {}
        first = self.settings({})
        self.scores = Scores(goal.target, goal.n_seeds, self._n_validation(first))
        self.first = first

    def _n_validation(self, settings):
        """Samples of the validation set; a missing file is told here, before anything runs."""
        chosen = next((s for s in settings if not s.reason), settings[0]).points[0].scenario.dataset
        return max(len(chosen.load(self.data_dir).y_validation), 1)

    def run(self, workers):
        make_folder(self.folder)
        remove_leftovers(self.folder, is_claimed=False)
        for path in (self.folder / POINTS).glob("*"):
            is_abandoned(path)
        self.has_begun, self.workers = True, workers
        self.observer.start(self.save(), self.folder, workers.n_workers)
        if not self.goal.vary:
            self.search_budget(self.first)
        else:
            self.search_all()
        self.is_complete = True
        if self.answer is not None:
            best = self.trials[self.answer - 1]
            scores = [p.metrics.test_accuracy for p in self.known(best.group) if p.metrics.test_accuracy is not None]
            self.test = estimate(scores) if scores else None

    # ---- settings

    def settings(self, others):
        """Settings along the budget, by rising size; those that do not fit come last and are no candidates."""
        key, values = self.budget
        data = {
            "name": self.name[:80], "base": self.base, "set": others, "axes": [{"grid": {key: values}}], "seeds": list(range(self.goal.n_seeds)),
        }  # fmt: skip
        document = Document(data=data, path=f"search {self.name}", text="", is_text=False)
        plan = expand(validate(Sweep, document, what="sweep"), document, plugins=self.plugins, yes=True)
        groups = {}
        for point in plan.points:
            groups.setdefault(point.group, []).append(point)
        found = [self._setting({**point[0].overrides, **others}, point) for point in groups.values()]
        return sorted(found, key=lambda s: (s.reason is not None, s.order))

    def _setting(self, overrides, points):
        scenario = points[0].scenario
        if scenario.dataset not in self.shapes:
            self.shapes[scenario.dataset] = scenario.dataset.shape()
        reason = None
        try:
            verdict = prepare(scenario, self.shapes[scenario.dataset], with_remedies=False).verdict
            use = verdict.worst
            if use is not None and scenario.hardware.on_violation == "refuse":
                reason = f"does not fit: {use.where}: {use.name} {use.used:,d} of {use.limit:,d} {use.unit}"
        except DoesNotFitError as error:
            verdict, reason = error.verdict, " ".join(str(error).split())
        metrics = metrics_of_verdict(verdict.to_dict(), 1)
        size = {"bytes": metrics.memory_bytes, "cores": metrics.n_cores, "energy": None}[self.goal.minimize]
        return _Setting(overrides, points, (metrics.n_active if size is None else size, metrics.n_active), reason)

    # ---- the search itself

    def search_budget(self, settings, is_bounded=False):
        """Smallest setting that reaches the target, or None; each is measured when it is asked for."""
        by_group = {setting.group: setting for setting in settings if not setting.reason}
        if not by_group:
            if settings:
                self.note(settings[0], "unfit", settings[0].reason)
            return None
        found = find_smallest(list(by_group), lambda group, n, why: self.measure(by_group[group], n, why), self.scores, is_bounded)
        return None if found is None else list(by_group.values())[found]

    def search_all(self):
        """Proposals for the other keys by Optuna, the budget of each by bisection."""
        optuna = _optuna()
        sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=min(10, max(1, self.goal.n_trials // 2)))
        study = optuna.create_study(direction="minimize", sampler=sampler)
        seen = {}
        for _ in range(self.goal.n_trials):
            proposal = study.ask()
            others = {key: _propose(proposal, key, values) for key, values in self.goal.vary.items()}
            name = repr(others)
            if name not in seen:
                seen[name] = self._value_of(others)
            study.tell(proposal, seen[name])

    def _value_of(self, others):
        """What Optuna is told of a proposal: its cost, or, where it has none below the best one, more than that by what its accuracy lacks."""
        settings = self.settings(others)
        best = None if self.answer is None else self.trials[self.answer - 1]
        cheaper = settings
        if best is not None and self.goal.minimize != "energy":  # else the cost is known only of what has run
            cheaper = [s for s in settings if s.order[0] < best.size]
            if not cheaper:
                return 2 * best.cost
        found = self.search_budget(cheaper, is_bounded=best is not None and self.goal.minimize != "energy")
        if found is not None:
            return self.trials[self.numbers[found.group] - 1].cost
        tried = [self.trials[self.numbers[s.group] - 1] for s in cheaper if s.group in self.numbers]
        top = max((t.accuracy.mean for t in tried if t.accuracy), default=0.0)
        return (best.cost if best else 10 * max((t.cost or t.size for t in tried), default=1.0)) * (1 + self.goal.target - top)

    def measure(self, setting, n_seeds, why):
        """Validation accuracies of the first seeds of a setting; 0 of one that diverges."""
        points = setting.points[:n_seeds]
        again = ("missing", "failed") if self.retry else ("missing",)
        left = [point for point in points if status_of(point_folder(self.folder, point)) in again]
        troubles = []

        def on_point(point, status, trouble):
            if trouble is not None:
                troubles.append(trouble)
            self.observer.point(point, status)

        if left:
            run_points(left, self.folder.resolve(), self.workers, data_dir=self.data_dir, retry=self.retry, plugins=self.plugins, on_point=on_point)
        for point in points:
            self.points[point.id] = point_of(point, point_folder(self.folder, point))
        if troubles:
            self.save()
            raise NeurosimError(
                f"a point is missing, which this computer could not work on: {troubles[0]}; the same command does it again, in {self.folder}"
            )
        known = [self.points[point.id].metrics.validation_accuracy for point in points]
        self.note(setting, "failed" if None in known else None, why)
        return [0.0 if score is None else score for score in known]

    def known(self, group):
        """Points of a group that have run."""
        return [point for point in self.points.values() if point.group == group]

    def note(self, setting, outcome, why):
        """Write a trial down, or what more of its seeds say."""
        points = self.known(setting.group)
        metric, _ = COSTS[self.goal.minimize]
        scores = [p.metrics.validation_accuracy for p in points if p.metrics.validation_accuracy is not None]
        costs = [cost for p in points if (cost := getattr(p.metrics, metric)) is not None]
        accuracy = estimate(scores) if scores else None
        if outcome is None:
            outcome = "reaches" if accuracy and accuracy.mean >= self.goal.target - 1e-12 else "misses"
        number = self.numbers.setdefault(setting.group, len(self.trials) + 1)
        trial = Trial(
            number=number, overrides=setting.overrides, group=setting.group, size=setting.order[0], n_runs=len(points), accuracy=accuracy,
            outcome=outcome, cost=estimate(costs).mean if costs else None, why=why,
        )  # fmt: skip
        if scores and not costs:
            raise InputError(f"--minimize {self.goal.minimize}: {points[0].profile} has no price for it; minimize bytes or cores")
        self.trials[number - 1 : number] = [trial]
        reaching = [t for t in self.trials if t.outcome == "reaches" and (t.n_runs == self.goal.n_seeds or self.scores.is_far(t.accuracy.mean))]
        self.answer = min(reaching, key=lambda t: (t.cost, t.size, t.number)).number if reaching else None
        self.observer.trial(trial)
        self.save()

    # ---- what is left

    def save(self):
        """Write the record as it stands."""
        key, values = self.budget
        best = None if self.answer is None else self.trials[self.answer - 1].group
        hidden = {"test_accuracy": None, "best_accuracy": None}
        points = [
            p if self.is_complete and p.group == best else p.model_copy(update={"metrics": p.metrics.model_copy(update=hidden)})
            for p in self.points.values()
        ]
        record = SearchRecord(
            name=self.name,
            description=self.description.strip(),
            base=self.base,
            target=self.goal.target,
            minimize=self.goal.minimize,
            unit=COSTS[self.goal.minimize][1],
            budget={key: values},
            vary={k: {"low": v.low, "high": v.high} if isinstance(v, Range) else list(v) for k, v in self.goal.vary.items()},
            seeds=list(range(self.goal.n_seeds)),
            notes=self.notes,
            trials=self.trials,
            answer=self.answer,
            is_complete=self.is_complete,
            test_accuracy=self.test,
            n_runs=len(self.points),
            n_exhaustive=None if self.goal.vary else self.goal.n_seeds * sum(not s.reason for s in self.first),
            points=points,
            environment={"neurosim": neurosim.__version__},
        )
        write_search(record, self.folder)
        return record


def _propose(proposal, key, values):
    """One value of a key, by Optuna; numbers with four digits, so that points have names that people can read."""
    if not isinstance(values, Range):
        return values[proposal.suggest_categorical(key, list(range(len(values))))]
    if values.is_whole:
        return proposal.suggest_int(key, values.low, values.high, log=values.is_wide)
    return min(max(float(f"{proposal.suggest_float(key, values.low, values.high, log=values.is_wide):.4g}"), values.low), values.high)


def _base(scenario, goal):
    """Base scenario as plain data, the budget, and what was settled in its place."""
    base = scenario.model_dump(mode="json", exclude_unset=True)
    base.pop("seed", None)
    base["report"] = {"figures": False}
    notes = []
    if scenario.dataset.validation_fraction is None:
        base["dataset"]["validation_fraction"] = VALIDATION
        notes.append(f"accuracy is judged on {100 * VALIDATION:.0f} % of the training samples, kept apart (dataset.validation_fraction)")
    budget = goal.budget
    if budget is None and goal.minimize == "cores":
        most = _most_cores(scenario)
        budget = ("hardware.cores", Range(1, most).values(N_VALUES) if most > 1 else [1])
        _set_connectivity(base, "fit")
        notes.append("the network fills its cores (network.connectivity: fit)")
    elif budget is None:
        budget = ("network.connectivity", Range(0.01, 1.0).values(N_VALUES))
    if budget[0] == "network.connectivity":
        base["network"].pop("synapses", None)
    elif budget[0] == "network.synapses":
        base["network"].pop("connectivity", None)
    return base, budget, notes


def _set_connectivity(base, value):
    base["network"].pop("synapses", None)
    base["network"]["connectivity"] = value


def _most_cores(scenario):
    from neurosim.scenario.load import chosen_profile

    return min(chosen_profile(scenario).cores.value, 64)
