"""One point of a sweep, in the process that works on it: claim, run or resume, leave a result or a reason."""

import json
import platform
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pydantic

from neurosim.documents import Document, read_bytes, validate, write_atomic
from neurosim.errors import CheckpointError, DoesNotFitError, DrawingError, InputError, InterruptedRunError, TrainingDivergedError
from neurosim.results.metrics import limits_of, metrics_of_verdict
from neurosim.results.reading import parse_json
from neurosim.results.sweep import LimitUse, Metrics
from neurosim.scenario.callbacks import Callback
from neurosim.scenario.folder import CHECKPOINT, CLAIM, RESULT, RunFolder, claim, in_turn

OUTCOME = "outcome.json"
#: Of outcome.json, which holds a line and a few numbers.
_MOST_BYTES = 1024 * 1024
#: Longest time for which one process keeps others of its computer from starting, s.
_COMPILING_SECONDS = 60.0
_has_compiled = False


class Outcome(pydantic.BaseModel):
    """Why a point has no result: ``outcome.json`` in its folder, beside or instead of the files of a run."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    status: Literal["unfit", "failed"]
    reason: str
    limits: list[LimitUse] = []
    metrics: Metrics = Metrics()


def status_of(folder):
    """``"done"``, ``"unfit"``, ``"failed"`` or ``"missing"``: what the folder of a point says."""
    if (folder / RESULT).exists():
        return "done"
    outcome = read_outcome(folder)
    return outcome.status if outcome else "missing"


def read_outcome(folder):
    """`Outcome` of a point without a result; None when there is none that can be read."""
    try:
        return Outcome.model_validate(parse_json(read_bytes(folder / OUTCOME, _MOST_BYTES)))
    except (OSError, ValueError, RecursionError):
        return None


def write_outcome(folder, outcome):
    """Write outcome.json atomically."""
    write_atomic(folder / OUTCOME, json.dumps(outcome.model_dump(), indent=1, allow_nan=False) + "\n")


def is_abandoned(folder):
    """Whether a process that claimed this point ended without giving the claim back, as by kill -9; what it left goes, the claim too."""
    if not (folder / CLAIM).exists():
        return False
    with claim(folder) as is_free:
        if is_free:
            RunFolder(folder).remove_leftovers()
        return is_free


def run_point(folder, scenario, data_dir=None, retry=False, plugins=()):
    """Run one point to its end, unless it has ended or another process is at it.

    Parameters
    ----------
    folder : str
        Folder of the point, on a file system that all workers share.
    scenario : dict
        Resolved scenario.
    data_dir : str, optional
    retry : bool
        Run a failed point again.
    plugins : iterable of str
        Modules whose rules the scenario may name; see `load_scenario`.

    Returns
    -------
    str
        A status, ``"busy"`` when another process works on the point, or ``"interrupted"``.

    Raises
    ------
    Exception
        Whatever else keeps this computer from the result of the point: a full disk, too little memory, a file that is missing here.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with claim(folder) as is_mine:
        if not is_mine:
            return "busy"
        RunFolder(folder).remove_leftovers()
        status = status_of(folder)
        if status in ("done", "unfit") or status == "failed" and not retry:
            return status
        return _run(folder, scenario, data_dir, plugins)


def _run(folder, scenario, data_dir, plugins):
    """Leave a result, or an outcome where the scenario itself has none: it does not fit, cannot be, or diverges."""
    from neurosim.scenario.rules import load_plugin
    from neurosim.scenario.schema import Scenario

    context = {"plugins": [load_plugin(name) for name in plugins]}
    chosen = validate(Scenario, Document(data=scenario, path=str(folder), text=""), what="scenario", context=context)
    try:
        with _compile_in_turn(folder.parent.parent) as release:
            _train(chosen, folder, data_dir, _Turn(release))
        (folder / OUTCOME).unlink(missing_ok=True)  # of an earlier failure
        return "done"
    except DrawingError:
        return "done"
    except (InterruptedRunError, KeyboardInterrupt):
        return "interrupted"
    except DoesNotFitError as error:
        outcome = Outcome(status="unfit", reason=_one_line(error), **_facts(error.verdict))
    except TrainingDivergedError as error:
        outcome = Outcome(status="failed", reason=_one_line(error))
    except InputError as error:
        if not _refuses(chosen):
            raise
        outcome = Outcome(status="failed", reason=_one_line(error))
    write_outcome(folder, outcome)
    return outcome.status


def _refuses(scenario):
    """Whether a scenario is refused for what it says, and not for what this computer has: files, memory, space."""
    from neurosim.scenario.experiment import prepare
    from neurosim.scenario.load import chosen_profile

    try:
        chosen_profile(scenario)
    except InputError:
        return False  # a file that the computer had which planned the sweep
    try:
        prepare(scenario)
    except InputError:
        return True
    return False


def _train(scenario, folder, data_dir, turn):
    """Run, or resume from the checkpoint; one that cannot be used (damaged, other data) is started again."""
    from neurosim.scenario.runner import run_scenario

    options = {"out": RunFolder(folder, is_held=True), "data_dir": data_dir, "n_threads": 1, "callbacks": [turn]}
    if (folder / CHECKPOINT).exists():
        try:
            return run_scenario(scenario, resume=True, **options)
        except CheckpointError:
            (folder / CHECKPOINT).unlink(missing_ok=True)
    return run_scenario(scenario, **options)


class _Turn(Callback):
    """Gives the turn to compile on, when a run has compiled."""

    def __init__(self, release):
        self.release = release
        self.began = time.monotonic()

    def on_progress(self, run, epoch, step, n_steps):
        if time.monotonic() - self.began > _COMPILING_SECONDS:
            self.release()

    def on_epoch_end(self, run, epoch):
        self.release()


@contextmanager
def _compile_in_turn(folder):
    """Let one process of this computer go first, until its first epoch is done; yields the function that lets go.

    Compiled kernels are cached on disk: who comes second loads what the first one compiled.
    """
    global _has_compiled
    if _has_compiled:
        yield lambda: None
        return
    with in_turn(folder / f".compiling-{platform.node()}", 5 * _COMPILING_SECONDS) as release:
        yield release
    _has_compiled = True


def _one_line(error):
    return " ".join(str(error).split())


def _facts(verdict):
    """Limits and the few metrics that a verdict knows of a network that does not fit."""
    if verdict is None:
        return {}
    data = verdict.to_dict()
    metrics = metrics_of_verdict(data, sum(verdict.placement.workload.n_positions))
    return {"limits": limits_of(data), "metrics": metrics}
