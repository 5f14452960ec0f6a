"""The script of docs/clusters.md, as SLURM would run it: two tasks of an array, one folder."""

import re
import subprocess
import sys
from pathlib import Path

from test_sweep import table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "clusters.md").read_text(encoding="utf-8")
SWEEP = """\
name: trial
base: digits_santos
set: {training.epochs: 1, dataset.limit: 300}
seeds: [0, 1]
axes:
  - list: [{network.connectivity: 0.05}, {network.connectivity: 0.06}, {network.connectivity: 0.9}]
"""


def test_the_script_works_through_the_shared_folder(tiny_run, run_cli, cli_environment, tmp_path):
    (script,) = re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    # The one line that is this computer's own business: kernels are compiled already.
    script = re.sub(r"^export NUMBA_CACHE_DIR=.*\n", "", script, flags=re.MULTILINE)
    assert "NUMBA_CACHE_DIR" not in script and "--shard" in script
    (tmp_path / "trial.yaml").write_text(SWEEP, encoding="utf-8")
    folder = Path(sys.executable).parent
    for i in (1, 2):
        environment = {
            **cli_environment, "PATH": f"{folder}:{cli_environment['PATH']}", "SLURM_ARRAY_TASK_ID": str(i), "SLURM_ARRAY_TASK_COUNT": "2",
            "SLURM_CPUS_PER_TASK": "1",
        }  # fmt: skip
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        statuses = [row["status"] for row in table(tmp_path / "runs" / "trial")]
        assert statuses == (["done", "missing", "done", "missing", "unfit", "missing"] if i == 1 else ["done"] * 4 + ["unfit"] * 2)
    assert run_cli("sweep", "trial.yaml", "--out", "alone", "--jobs", "1", "--quiet", cwd=tmp_path).returncode == 0
    assert table(tmp_path / "alone") == table(tmp_path / "runs" / "trial")


def test_a_wrong_shard_is_one_line(main_cli):
    for shard in ("0/2", "3/2", "2", "a/b", "1/0"):
        done = main_cli("sweep", "digits_quick", "--shard", shard)
        assert (done.code, done.err.count("\n")) == (2, 1) and "such as 2/8" in done.err
