"""Folders of runs: who may have one, what is left in it, and file systems without locks."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from neurosim.documents import remove_leftovers, write_atomic
from neurosim.errors import InputError
from neurosim.scenario.folder import CHECKPOINT, CLAIM, RunFolder, check_folder, claim, claim_folder, hold_folder, in_turn


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def use(path, name="trial"):
    """Make a folder look as if a run of a scenario had begun in it."""
    path.mkdir(parents=True, exist_ok=True)
    (path / CHECKPOINT).write_bytes(b"")
    (path / "scenario.yaml").write_text(f"name: {name}\n")


# --- which folder ---


def test_runs_that_begin_together_get_folders_of_their_own(tmp_path):
    with claim_folder("trial") as first, claim_folder("trial") as second, claim_folder("trial") as third:
        assert [folder.path.name for folder in (first, second, third)] == ["trial", "trial-2", "trial-3"]
        use(tmp_path / "runs" / "trial-2")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["trial-2"]  # empty ones go again
    with claim_folder("trial") as folder:
        assert folder.path.name == "trial-3"  # behind those in use


def test_the_folder_of_another_scenario_is_not_resumed(tmp_path):
    use(tmp_path / "runs" / "trial")
    use(tmp_path / "runs" / "trial-2", "trial-2")
    use(tmp_path / "runs" / "trials")
    with claim_folder("trial", resume=True) as folder:
        assert folder.path.name == "trial"


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("out", [None, "mine"])
def test_a_folder_at_work_is_refused_in_one_line(out, resume, tmp_path):
    name = out or "runs/trial"
    (tmp_path / name).mkdir(parents=True)
    if resume:
        use(tmp_path / name)
    with claim_folder("trial", name, resume):
        if out is None and not resume:
            return  # the next folder is taken instead
        with pytest.raises(InputError, match=f"^{name}: a run is at work in it; wait for it to end, or give another --out$"):
            with claim_folder("trial", out, resume):
                pass
        assert (tmp_path / name / CLAIM).exists()
    assert not (tmp_path / name / CLAIM).exists()


def test_a_caller_may_hold_the_folder(tmp_path):
    with hold_folder(tmp_path) as mine, claim_folder("trial", mine) as folder:
        assert folder is mine and folder.is_held
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_used_is_told_before_the_work(tmp_path):
    use(tmp_path / "used")
    (tmp_path / "file").write_text("")
    for out, resume, text in (
        ("", False, "--out: found ''"),
        ("file", False, "is a file"),
        ("used", False, "already holds a run"),
        ("new", True, "no checkpoint to resume from"),
        (None, True, "runs/trial: no run to resume here"),
    ):
        with pytest.raises(InputError, match=text):
            check_folder("trial", out, resume)
        with pytest.raises(InputError, match=text), claim_folder("trial", out, resume):
            pass
    with pytest.raises(InputError, match="file/run: cannot be created: a file is in the way"), claim_folder("trial", "file/run"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "used"]


# --- claims ---


def test_a_claim_ends_with_its_process(tmp_path):
    script = "import sys, time\nfrom neurosim.scenario.folder import claim\nwith claim(sys.argv[1]) as mine:\n    print(mine, flush=True)\n    time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "True\n"
        with claim(tmp_path) as is_mine:
            assert not is_mine
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert (tmp_path / CLAIM).exists()
    with claim(tmp_path) as is_mine:
        assert is_mine
    assert not (tmp_path / CLAIM).exists()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_no_reason_to_wait_for_ever(number, tmp_path, monkeypatch):
    """Lustre without ``-o flock``, NFS without its server of locks, FUSE: one at a time there, too."""

    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    for _ in range(2):
        with claim(tmp_path) as first:
            with claim(tmp_path) as second:
                assert (first, second) == (True, False)
        with in_turn(tmp_path / ".compiling", 1.0) as release:
            release()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def acquire(self, *arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    with pytest.raises(InputError, match=r"claim: cannot be written: Permission denied$"), claim(tmp_path):
        pass


# --- what killed runs leave ---


def test_only_our_own_temporary_files_go(tmp_path):
    ours = [".result.json.123456789.0a1b2c3d.tmp", ".checkpoint.npz.1.ffffffff.tmp"]
    others = [".draft.tmp", "result.json.1.0a1b2c3d.tmp", ".x.12.0a1b2c3.tmp", ".x.y.0a1b2c3d.tmp", "notes.tmp"]
    for name in (*ours, *others):
        (tmp_path / name).write_text("")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / ours[0]).write_text("")
    remove_leftovers(tmp_path, is_claimed=False)  # process 1 lives
    assert {path.name for path in tmp_path.iterdir()} == {ours[1], *others, "figures"}
    RunFolder(tmp_path).remove_leftovers()
    assert {path.name for path in tmp_path.rglob("*")} == {*others, "figures"}


def test_a_temporary_file_that_another_process_removed_is_written_again(tmp_path, monkeypatch):
    replace, calls = os.replace, []

    def remove_first(source, target):
        calls.append(source)
        if len(calls) == 1:
            os.unlink(source)
        replace(source, target)

    monkeypatch.setattr(os, "replace", remove_first)
    write_atomic(tmp_path / "file", "text")
    assert len(calls) == 2 and [path.name for path in tmp_path.iterdir()] == ["file"]
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(InputError, match="No such file"):
        write_atomic(tmp_path / "none" / "file", "text")
