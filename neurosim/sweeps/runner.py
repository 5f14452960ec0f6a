"""Run a sweep: refuse early, do what is missing, collect."""

import re
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from neurosim.documents import remove_leftovers, write_atomic
from neurosim.errors import InputError, InterruptedRunError, NeurosimError
from neurosim.results import is_sweep, read_sweep, write_sweep
from neurosim.scenario.experiment import check_shape
from neurosim.scenario.folder import RESULT
from neurosim.sweeps.collect import collect, point_folder
from neurosim.sweeps.engine import check_engine, open_workers, run_points
from neurosim.sweeps.point import is_abandoned, status_of

#: Seconds between two writings of sweep.json while points run.
_COLLECT_SECONDS = 10.0


def run_sweep(plan, *, out=None, engine="local", scheduler=None, jobs=None, data_dir=None, retry_failed=False, shard=None, plugins=(), observer=None):
    """Run the points of a sweep that have not ended yet, and write its tables.

    Parameters
    ----------
    plan : Plan
    out : path-like, optional
        Folder; ``runs/NAME`` without. One that holds this sweep already is continued.
    engine : {"local", "dask", "ray"}
    scheduler : str, optional
        Address of the cluster.
    jobs : int, optional
        Processes on this computer, each with one kernel thread; one per core without.
    data_dir : path-like, optional
        Where to look for data sets first.
    retry_failed : bool
        Run failed points again.
    shard : (int, int), optional
        ``(i, n)``, from (1, n) to (n, n): only every n-th point, from the i-th on, is run here; the others are left to other calls on this folder.
    plugins : iterable of str
        Modules whose rules the points name, which workers import; see `load_scenario`.
    observer : object, optional
        With methods ``start(record, folder, n_left, n_workers)``, ``point(point, status)`` and ``wait(points)``.

    Returns
    -------
    record : SweepRecord
    folder : Path

    Raises
    ------
    InputError
        Before anything is written.
    InterruptedRunError
        After Ctrl-C; the same command continues.
    NeurosimError
        At the end, when this computer could not work on some points (a full disk, too little memory); the same command does them again.
    """
    check_engine(engine, scheduler)
    if jobs is not None and not 1 <= jobs <= 1024:
        raise InputError(f"--jobs: found {jobs}; expected 1 to 1024")
    folder = _folder(plan, out)
    again = ("missing", "failed") if retry_failed else ("missing",)
    own = plan.points if shard is None else plan.points[shard[0] - 1 :: shard[1]]
    left = [point for point in own if status_of(point_folder(folder, point)) in again]
    _check_data(left, data_dir)
    known, written, troubles = {}, 0.0, {}

    def begin(n_workers):
        make_folder(folder)
        remove_leftovers(folder, is_claimed=False)
        for point in plan.points:  # those that have ended, too: the kill may have come right after the result
            is_abandoned(point_folder(folder, point))
        write_atomic(folder / "sweep.yaml", plan.text)
        record = save()
        if observer:
            observer.start(record, folder, len(left), n_workers)

    def save():
        nonlocal written
        record = collect(plan, folder, known, troubles)
        write_sweep(record, folder)
        written = time.monotonic()
        return record

    def on_point(point, status, trouble):
        if trouble is not None:
            troubles[point.id] = trouble
        if observer:
            observer.point(point, status)
        if time.monotonic() - written > _COLLECT_SECONDS:
            save()

    def on_wait(points):
        if observer:
            observer.wait(points)

    data_dir = None if data_dir is None else str(Path(data_dir).expanduser().resolve())
    if not left:
        begin(0)
        return save(), folder
    try:
        with stop_on_sigterm(), open_workers(engine, scheduler, jobs) as workers:
            begin(workers.n_workers)
            run_points(left, folder.resolve(), workers, data_dir=data_dir, retry=retry_failed, plugins=plugins, on_point=on_point, on_wait=on_wait)
    except KeyboardInterrupt:
        if not folder.exists():
            raise
        save()
        n_left = sum(status_of(point_folder(folder, point)) == "missing" for point in own)
        raise InterruptedRunError(f"interrupted with {n_left} of {len(own)} points to do; the same command continues in {folder}") from None
    record = save()
    if troubles:
        raise NeurosimError(
            f"{len(troubles)} of {len(own)} points are missing, which this computer could not work on; the first: "
            f"{next(iter(troubles.values()))}; the same command does them again, in {folder}"
        )
    return record, folder


def parse_shard(text):
    """``"2/8" -> (2, 8)``: the second of eight parts of a sweep.

    Raises
    ------
    InputError
    """
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--shard: found {text!r}; expected I/N with I from 1 to N, such as 2/8")
    return int(found[1]), int(found[2])


def make_folder(folder):
    """Make a folder, or say in one line why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created: {error.strerror}") from None


def _folder(plan, out):
    if out is not None and str(out) in ("", "."):
        raise InputError(f"--out: found {str(out)!r}; give a folder of its own, such as --out runs/{plan.sweep.name}")
    folder = Path(out) if out is not None else Path("runs") / plan.sweep.name
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; --out takes a folder")
    if (folder / RESULT).exists():
        raise InputError(f"{folder}: holds a run, not a sweep; give another --out")
    if is_sweep(folder) and (name := read_sweep(folder).name) != plan.sweep.name:
        raise InputError(f"{folder}: holds the sweep {name}; give another --out for {plan.sweep.name}")
    return folder


def _check_data(points, data_dir):
    """Load each data set once, so that a missing file is told before anything runs and not by every point."""
    shapes = {}
    for point in points:
        choice = point.scenario.dataset
        if choice not in shapes:
            shapes[choice] = choice.load(data_dir).shape
        check_shape(point.scenario, shapes[choice])


@contextmanager
def stop_on_sigterm():
    """Let a polite end of the process be the same as Ctrl-C."""

    def stop(number, frame):
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
