"""Where points run: processes of this computer or a Dask cluster, through joblib, or tasks of a Ray cluster."""

import importlib
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass

from neurosim.errors import InputError, MachineError, NeurosimError, nearest
from neurosim.sweeps.collect import point_folder
from neurosim.sweeps.expand import with_absolute_paths
from neurosim.sweeps.point import is_abandoned, run_point, status_of

ENGINES = ("local", "dask", "ray")
#: A point that took its process down this often is given up, for this time.
_STRIKES = 3
#: Seconds for which a sweep waits for points of another one before it says so.
_PATIENCE_SECONDS = 5.0
#: Seconds between two looks at points that another sweep is working on.
_BUSY_SECONDS = 0.5
#: Seconds between two looks at whether the parent lives: after kill -9 no worker goes on for itself.
_FOLLOW_SECONDS = 0.2
#: Seconds for a host to take a call.
_ANSWER_SECONDS = 4
#: Seconds between two looks at whether the head of a Ray cluster is there, while nothing ends.
_LOOK_SECONDS = 3.0
#: Seconds for a cluster to answer.
_CLUSTER_SECONDS = 20


def check_engine(engine, scheduler):
    """Refuse an engine that is not known, not installed, or lacks its scheduler.

    Raises
    ------
    InputError
    """
    if engine not in ENGINES:
        raise InputError(f"--engine: found {engine!r}; {nearest(engine, ENGINES)}")
    if scheduler is not None and engine == "local":
        raise InputError("--scheduler: processes of this computer have none; add --engine dask or --engine ray")
    if engine == "dask" and scheduler is None:
        raise InputError("--engine dask: needs the address of a running scheduler: --scheduler tcp://HOST:8786")
    module = {"dask": "distributed", "ray": "ray"}.get(engine)
    if module:
        try:
            importlib.import_module(module)
        except ImportError:
            raise InputError(f"--engine {engine}: {module} is not installed; pip install 'neurosim[{engine}]'") from None


@dataclass(frozen=True)
class Workers:
    """Processes at hand: ``run(tasks)`` yields what `_run_named` returns for each tuple of its arguments, as they end; how many there are, and of what."""

    run: Callable
    n_workers: int
    engine: str


def run_points(points, folder, workers, *, data_dir=None, retry=False, plugins=(), on_point, on_wait=lambda points: None):
    """Run points until each has ended, whatever happens to the workers.

    Parameters
    ----------
    points : list of PlannedPoint
    folder : Path
        Of the sweep; absolute, and the same for all workers.
    workers : Workers
        From `open_workers`.
    data_dir : str, optional
    retry : bool
        Run failed points again.
    plugins : iterable of str
        Modules that workers import.
    on_point : callable
        Called as ``on_point(point, status, trouble)`` as soon as a point has ended; `trouble` says why it stays missing, else None.
    on_wait : callable
        Called once as ``on_wait(points)`` when nothing is left but points that other processes have claimed.

    Raises
    ------
    NeurosimError
        The workers cannot be reached, or end before they begin.
    KeyboardInterrupt
        When a point was interrupted.
    """
    left, strikes = {point.id: point for point in points}, {}
    waited_since, has_told = time.monotonic(), False
    while left:
        n_before = len(left)
        tasks = [
            (point.id, str(point_folder(folder, point)), with_absolute_paths(point.scenario).model_dump(mode="json", exclude_none=True))
            for point in left.values()
        ]
        try:
            # Closed here: joblib complains of a round that the collector ends, in whichever thread.
            with closing(workers.run([(*task, data_dir, retry, plugins) for task in tasks])) as outcomes:
                for name, status, trouble in outcomes:
                    if status == "interrupted":
                        raise KeyboardInterrupt
                    if status != "busy":
                        waited_since = time.monotonic()
                        on_point(left.pop(name), status, trouble)
        except Exception as error:  # the last kind is joblib's, Dask's or Ray's word for a dead worker
            if _came_of_interrupt(error):
                raise KeyboardInterrupt from None
            if isinstance(error, NeurosimError):
                raise
            if isinstance(error, OSError):  # of a cluster: the files of points have errors of their own
                if workers.engine == "local":
                    raise
                raise _lost(workers.engine, error) from None
            for point in _count_strikes(left, strikes, folder, error):
                on_point(left.pop(point.id), "missing", f"its process ended {_STRIKES} times without a result (killed, or out of memory)")
            continue
        if left and len(left) == n_before:
            if not has_told and time.monotonic() - waited_since > _PATIENCE_SECONDS:
                on_wait(list(left.values()))
                has_told = True
            time.sleep(_BUSY_SECONDS)


def _came_of_interrupt(error):
    """Whether an error was raised while a round was closed because of Ctrl-C: joblib complains of the tasks that it then gives up."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _with_joblib(**options):
    """Function that runs tasks by a `joblib.Parallel` of its own."""
    import joblib

    def run(tasks):
        yield from joblib.Parallel(batch_size=1, return_as="generator_unordered", **options)(joblib.delayed(_run_named)(*task) for task in tasks)

    return run


def _with_ray(ray, address):
    """Function that runs tasks of Ray, as they end, and not its pool of actors, which hands results over at the end of a round."""
    remote = ray.remote(num_cpus=1, max_retries=0)(_run_named)

    def run(tasks):
        waiting = [remote.remote(*task) for task in tasks]
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1, timeout=_LOOK_SECONDS)
            if done:
                yield ray.get(done[0])
            else:
                _refuse_unless_there(address)

    return run


def _refuse_unless_there(address):
    """Notice a head that went away: Ray itself would end this process, after a minute, without a word that people understand."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError:
        raise ConnectionError(f"nobody answers at {address} any more") from None


def _run_named(name, path, scenario, data_dir, retry, plugins):
    try:
        return name, run_point(path, scenario, data_dir, retry, plugins), None
    except Exception as error:  # of this computer, not of the point: one of them must not end the sweep
        text = str(error) if isinstance(error, NeurosimError) else f"{type(error).__name__}: {error}"
        return name, "missing", " ".join(text.split())


def _count_strikes(left, strikes, folder, error):
    """Note which points were at work when a worker died; returns those that did it too often."""
    suspects = [point for point in left.values() if is_abandoned(point_folder(folder, point))]
    suspects = [point for point in suspects if status_of(point_folder(folder, point)) == "missing"]
    reason = " ".join(str(error).split()) or type(error).__name__
    if not suspects:
        raise NeurosimError(f"the workers of the sweep end before they begin: {reason}") from None
    for point in suspects:
        strikes[point.id] = strikes.get(point.id, 0) + 1
    return [point for point in suspects if strikes[point.id] >= _STRIKES]


@contextmanager
def open_workers(engine="local", scheduler=None, jobs=None):
    """Workers for `run_points`, as long as the context lasts.

    Parameters
    ----------
    engine : {"local", "dask", "ray"}
    scheduler : str, optional
    jobs : int, optional
        Processes of this computer; None takes one per core. A cluster brings its own.

    Yields
    ------
    Workers

    Raises
    ------
    InputError
        No cluster answers, or one without workers.
    """
    import joblib

    if engine == "local":
        n_jobs = jobs or joblib.cpu_count()
        config = {"backend": "sequential"}
        if n_jobs > 1:
            start = {"initializer": _follow, "initargs": (os.getpid(),)}
            config = {"backend": "loky", "n_jobs": n_jobs, "inner_max_num_threads": 1, **start}
        with joblib.parallel_config(**config):
            yield Workers(_with_joblib(), n_jobs, engine)
    elif engine == "dask":
        with _dask_client(scheduler) as client:
            n_workers = sum(client.nthreads().values())
            with joblib.parallel_config(backend="dask", wait_for_workers_timeout=_CLUSTER_SECONDS):
                yield Workers(_with_joblib(n_jobs=-1), n_workers, engine)
    else:
        import ray

        _start_ray(ray, scheduler)
        is_lost = False
        try:
            found = int(ray.cluster_resources().get("CPU", 1))
            yield Workers(_with_ray(ray, ray.get_runtime_context().gcs_address), found, engine)
        except MachineError:
            is_lost = True
            raise
        finally:
            if not is_lost:
                ray.shutdown()


def _start_ray(ray, address):
    """Connect to a running Ray cluster, or say soon that there is none: Ray itself would go on asking for minutes."""
    if address is not None:
        _refuse_unless_answering(address)
    try:
        ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        what = "no running cluster here; start one with: ray start --head" if address is None else f"{address}: no Ray cluster answers"
        raise InputError(f"--engine ray: {what} ({_one_line(error)})") from None


def _refuse_unless_answering(address):
    """Refuse an address at which nobody listens, within seconds.

    Raises
    ------
    InputError
    """
    found = re.fullmatch(r"(?:\w+://)?(\[[0-9a-fA-F:]+\]|[^:/\s]+):(\d{1,5})/?", address)
    if not found:
        raise InputError(f"--scheduler: found {address!r}; expected HOST:PORT, such as 127.0.0.1:6379, tcp://HOST:8786 or ray://HOST:10001")
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=_ANSWER_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(f"--scheduler {address}: nobody answers there ({_one_line(error)})") from None


def _lost(engine, error):
    return MachineError(f"--engine {engine}: lost the cluster ({_one_line(error)}); what is done is kept, the same command continues")


def _one_line(error):
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def _dask_client(scheduler):
    from distributed import Client

    if scheduler.startswith(("tcp://", "tls://")) or "://" not in scheduler:  # Dask itself would go on asking for a while
        try:
            _refuse_unless_answering(scheduler)
        except InputError as error:
            raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers ({str(error).partition(': ')[2]})") from None
    try:
        client = Client(scheduler, timeout=_CLUSTER_SECONDS)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers ({_one_line(error)})") from None
    try:
        if not client.nthreads():
            raise InputError(f"--scheduler {scheduler}: has no workers; start some with: dask worker {scheduler}")
        yield client
    finally:
        client.close()


def _follow(parent):
    """Make this process end with its parent, and leave Ctrl-C, which a terminal sends to both, to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        while os.getppid() == parent:
            time.sleep(_FOLLOW_SECONDS)
        os._exit(1)  # every file is written atomically, so any moment is as good as another

    threading.Thread(target=watch, daemon=True).start()
