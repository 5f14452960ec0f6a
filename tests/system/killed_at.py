"""Kill a command at each of its file operations, one after another: ``python killed_at.py FOLDER COMMAND CONTINUATION STEP``.

COMMAND and CONTINUATION are JSON lists of arguments of ``neurosim``, with OUT for the folder of a trial. The command runs once here, left alone; then
in forked children, each of which ends itself with SIGKILL right before its n-th file operation below FOLDER, n = 1, 1 + STEP, ... until
one comes through. Where a file is made safe (fsync), half of it is cut off first, as if the kill had come while it was written.
What the kill left is continued, and compared with what was left alone. Prints the number of kills and whatever differs, as JSON.
"""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from neurosim.cli import main

#: How far the clock of the next child is set back.
hours = [0]
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.utime")


def kill_at(n, folder):
    """End this process with SIGKILL before its n-th file operation below a folder."""
    count = [0]
    fsync = os.fsync

    def step(cut=None):
        count[0] += 1
        if count[0] == n:
            if cut is not None and (size := os.fstat(cut).st_size) and os.path.isfile(f"/proc/self/fd/{cut}"):
                os.truncate(cut, size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, arguments):
        if event == "open":
            path, mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        elif event in _CHANGES:
            path, writes = arguments[0], True
        else:
            return
        if writes and isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(folder):
            step()

    def fsync_or_die(descriptor):
        step(cut=descriptor)
        fsync(descriptor)

    os.fsync = fsync_or_die
    sys.addaudithook(hook)


def in_child(arguments, n=None, folder=None):
    """(exit code or minus the signal, what it wrote to standard error) of a command in a forked child."""
    sys.stdout.flush()
    reader, writer = os.pipe()
    hours[0] -= 1
    process = os.fork()
    if process == 0:
        os.dup2(writer, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        wall_clock = time.time
        time.time = lambda: wall_clock() + 3600 * hours[0]
        if n is not None:
            kill_at(n, folder)
        code = 99
        try:
            code = main(arguments)
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        text = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), text


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def facts(folder):
    """What must be the same: names of all files, records without what a computer adds, every bit of every checkpoint."""
    found = {"files": tree(folder)}
    for path in sorted(folder.rglob("result.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found[path.relative_to(folder).as_posix()] = {key: value for key, value in record.items() if key not in ("timing", "environment")}
    for path in sorted(folder.rglob("checkpoint.npz")):
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in archive.files if name != "meta"}
        found[path.relative_to(folder).as_posix()] = {name: [a.dtype.str, a.shape, a.tobytes().hex()] for name, a in arrays.items()}
    for path in sorted(folder.rglob("*.csv")):
        with open(path, encoding="utf-8", newline="") as file:
            rows = [{k: v for k, v in row.items() if not re.fullmatch("(train|test)_(.*_)?s", k)} for row in csv.DictReader(file)]
        found[path.relative_to(folder).as_posix()] = rows
    for path in sorted(folder.rglob("sweep.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found["sweep.json"] = [(point["id"], point["status"], point["reason"]) for point in record["points"]]
    return json.loads(json.dumps(found))


def differences(expected, found):
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def trials(folder, command, continuation, step):
    def with_folder(arguments, out):
        return [str(out) if argument == "OUT" else argument for argument in arguments]

    alone = folder / "alone"
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(with_folder(command, alone)) == 0
    expected, problems = facts(alone), []
    n = n_kills = 1
    while True:
        out = folder / "trial"
        shutil.rmtree(out, ignore_errors=True)
        code, text = in_child(with_folder(command, out), n, str(out))
        if code == 0:
            return {"n_kills": n_kills - 1, "n_operations": n - 1, "problems": problems, "files": expected["files"]}
        if code != -signal.SIGKILL:
            problems.append([n, "killed", code, text])
        left = tree(out) if out.exists() else []
        # A run goes on from its checkpoint; before there is one it begins again.
        again = continuation if "checkpoint.npz" in left or continuation == command else command
        code, text = in_child(with_folder(again, out))
        if code != 0 or text:
            problems.append([n, "continued", code, text, left])
        elif different := differences(expected, facts(out)):
            problems.append([n, different, left, tree(out)])
        n, n_kills = n + step, n_kills + 1


if __name__ == "__main__":
    print(json.dumps(trials(Path(sys.argv[1]).resolve(), json.loads(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4]))))
