"""One point of a sweep, in the process that works on it: claim, run or resume, leave a result or a reason."""

import fcntl
import json
import os
import platform
import time
from contextlib import contextmanager
from pathlib import Path

import pydantic

from neurosim.documents import validate_data, write_atomic
from neurosim.errors import DoesNotFitError, InputError, InterruptedRunError, NeurosimError
from neurosim.results.metrics import limits_of
from neurosim.results.sweep import LimitUse, Metrics
from neurosim.scenario.callbacks import Callback

RESULT = "result.json"
OUTCOME = "outcome.json"
CHECKPOINT = "checkpoint.npz"
_CLAIM = "claim"
#: Longest time for which one process keeps others of its computer from starting, s.
_COMPILING_SECONDS = 60.0
_has_compiled = False


class Outcome(pydantic.BaseModel):
    """Why a point has no result: ``outcome.json`` in its folder, beside or instead of the files of a run."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    status: str
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
        return Outcome.model_validate_json((folder / OUTCOME).read_bytes())
    except (OSError, ValueError):
        return None


def write_outcome(folder, outcome):
    """Write outcome.json atomically."""
    write_atomic(folder / OUTCOME, json.dumps(outcome.model_dump(), indent=1, allow_nan=False) + "\n")


def begun_since(folder, moment):
    """Whether some process claimed this point after `moment` (`time.time()` of its computer)."""
    try:
        return (folder / _CLAIM).stat().st_mtime >= moment
    except OSError:
        return False


def run_point(folder, scenario, data_dir=None, retry=False):
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

    Returns
    -------
    str
        A status, ``"busy"`` when another process works on the point, or ``"interrupted"``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with claim(folder) as is_mine:
        if not is_mine:
            return "busy"
        status = status_of(folder)
        if status in ("done", "unfit") or status == "failed" and not retry:
            return status
        return _run(folder, scenario, data_dir)


def _run(folder, scenario, data_dir):
    from neurosim.scenario.schema import Scenario

    chosen = validate_data(Scenario, scenario, name=str(folder), what="scenario")
    try:
        with _compile_in_turn(folder.parent.parent) as release:
            _train(chosen, folder, data_dir, _Turn(release))
        (folder / OUTCOME).unlink(missing_ok=True)  # of an earlier failure
        return "done"
    except InterruptedRunError:
        return "interrupted"
    except DoesNotFitError as error:
        outcome = Outcome(status="unfit", reason=_one_line(error), **_facts(error.verdict, chosen))
    except NeurosimError as error:
        outcome = Outcome(status="failed", reason=_one_line(error))
    except Exception as error:  # a result too: one broken point must not end the sweep
        outcome = Outcome(status="failed", reason=_one_line(f"{type(error).__name__}: {error}"))
    write_outcome(folder, outcome)
    return outcome.status


def _train(scenario, folder, data_dir, turn):
    """Run, or resume from the checkpoint; one that cannot be used (damaged, other data) is started again."""
    from neurosim.scenario.runner import run_scenario

    options = {"out": folder, "data_dir": data_dir, "n_threads": 1, "callbacks": [turn]}
    if (folder / CHECKPOINT).exists():
        try:
            return run_scenario(scenario, resume=True, **options)
        except InputError:
            (folder / CHECKPOINT).unlink()
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
def claim(folder):
    """Whether this process may work on a point; yields true to one process at a time.

    The lock belongs to the open file: it ends with the process, however that ends, so no claim is ever stale.
    """
    with open(folder / _CLAIM, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        os.utime(file.fileno())
        yield True


@contextmanager
def _compile_in_turn(folder):
    """Let one process of this computer go first, until its first epoch is done; yields the function that lets go.

    Compiled kernels are cached on disk: who comes second loads what the first one compiled.
    """
    global _has_compiled
    if _has_compiled:
        yield lambda: None
        return
    with open(folder / f".compiling-{platform.node()}", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield lambda: fcntl.flock(file, fcntl.LOCK_UN)
    _has_compiled = True


def _one_line(error):
    return " ".join(str(error).split())


def _facts(verdict, scenario):
    """Limits and the few metrics that a verdict knows of a network that does not fit."""
    from neurosim.scenario.experiment import make_topology

    if verdict is None:
        return {}
    data = verdict.to_dict()
    limits = limits_of(data)
    n_possible = sum(make_topology(scenario).n_positions)
    n_active = sum(data["n_active"])
    memory = next((use for use in limits if use.name == "local_memory"), None)
    metrics = Metrics(
        n_active=n_active,
        n_possible=n_possible,
        connectivity=n_active / n_possible,
        n_cores=data["n_cores"],
        synapses_per_core_max=max((core["n_slots"] for core in data["cores"]), default=None),
        bytes_per_core_max=memory and memory.used,
        bytes_per_core_limit=memory and memory.limit,
    )
    return {"limits": limits, "metrics": metrics}
