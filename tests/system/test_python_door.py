"""A user's notebook, line by line: everything that docs/python.md promises of `import neurosim as ns`."""

import importlib.util
import pickle
import subprocess
import sys

import numpy as np
import pytest

import neurosim as ns

pd = pytest.importorskip("pandas")
QUICK = {"training.epochs": 2}


@pytest.fixture(scope="module")
def run():
    """A run in memory."""
    return ns.run(ns.load_scenario("digits_santos", QUICK))


def test_every_public_name_is_there_and_told():
    assert set(ns.__all__) <= set(dir(ns))
    for name in ns.__all__:
        assert getattr(ns, name).__doc__ or name == "__version__", name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ns.nothing  # noqa: B018


def test_checking_loads_neither_numba_nor_matplotlib_nor_pandas(cli_environment, tmp_path):
    code = (
        "import sys, neurosim as ns\n"
        "assert len(sys.modules) and 'pydantic' not in sys.modules, 'import neurosim is not lazy'\n"
        "assert ns.check(ns.load_scenario('mnist_santos_64kb'))\n"
        "assert not ns.check('mnist_santos_dense')\n"
        "slow = {'numba', 'matplotlib', 'pandas', 'sklearn', 'rich'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=cli_environment, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_chips():
    assert "spinnaker2_santos" in ns.profiles() and ns.profiles() == sorted(ns.profiles())
    chip = ns.load_profile("spinnaker2_santos").choose(price_set="hoeppner2019_as_cited", corner="high")
    assert chip.corner == "high" and "64" in chip._repr_html_() and chip.title in chip._repr_html_()
    assert ns.check("digits_santos", profile=chip).profile == "spinnaker2_santos"
    assert pickle.loads(pickle.dumps(chip)) == chip


def test_scenarios_without_a_file():
    scenario = ns.load_scenario("digits_santos", {"training.epochs": 20})
    assert scenario.training.epochs == 20 and "digits_santos" in ns.scenarios()
    mine = ns.Scenario(name="mine", dataset="digits", network=[64, 100, 10], hardware="loihi1")
    assert mine.network.connectivity == "fit"
    changed = mine.with_(training={"learning_rate": 0.1}, seed=3, network={"synapses": 500})
    assert (changed.training.learning_rate, changed.seed, changed.network.synapses, changed.network.connectivity) == (0.1, 3, 500, None)
    assert changed.training.epochs == mine.training.epochs and mine.seed == 0
    assert mine.with_(rewiring={"rule": "set"}).rewiring.rule == "set"
    for one in (mine, changed, scenario):
        assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ns.Scenario(name="x", dataset="digits", network=[64, 10]), "Scenario: hardware: this key is required and missing"),
        (lambda: ns.Scenario(name="x", dataset="digits", network=[64, 10], hardware="loihi1", sed=1), "nearest: seed"),
        (lambda: ns.load_scenario("digits_santos").with_(training={"epochs": "many"}), "training.epochs: found 'many'"),
        (lambda: ns.load_scenario("digits_santos", {"training.epoch": 1}), "nearest: epochs"),
        (lambda: ns.check("digits_santo"), "digits_santos"),
        (lambda: ns.run("digits_santos", data=3), "data: found a int"),
        (lambda: ns.run("digits_santos", resume=True), "resume without out"),
        (lambda: ns.open_run("nowhere"), "nowhere"),
        (lambda: ns.compare(), "at least two"),
    ],
)
def test_what_is_wrong_is_one_line(call, says):
    with pytest.raises(ns.InputError) as error:
        call()
    assert says in str(error.value) and len(str(error.value).splitlines()) == 1


def test_verdicts():
    verdict = ns.check("mnist_santos_dense")
    assert not verdict and verdict.worst.name == "local_memory" and verdict.hints and "does not fit" in verdict.summary
    frame = verdict.utilization
    assert {"name", "used", "limit", "unit", "share", "fits"} <= set(frame.columns) and frame.share.is_monotonic_decreasing
    assert not frame.fits.iloc[0] and verdict.worst.name in verdict._repr_html_()
    mine = ns.Scenario(name="mine", dataset="digits", network=[64, 100, 10], hardware="loihi1")
    verdicts = {chip: ns.check(mine, profile=chip) for chip in ns.profiles()}
    assert {bool(verdict) for verdict in verdicts.values()} == {True, False}
    # TrueNorth does not learn: no question of size.
    assert "does not learn" in verdicts["truenorth"].reason and verdicts["truenorth"].worst is None
    with pytest.raises(ns.DoesNotFitError) as error:
        ns.run("mnist_santos_dense")
    again = pickle.loads(pickle.dumps(error.value))
    assert again.verdict.worst.name == error.value.verdict.worst.name == "local_memory"


def test_a_run_in_memory(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run.folder is None and not list(tmp_path.iterdir())
    assert run.accuracy.test == run.record.accuracy.test > 0.8 and run.energy.per_sample_j > 0
    assert run.warnings == [] and "test accuracy" in repr(run)
    assert list(run.epochs.index) == [0, 1] and {"train_loss", "test_accuracy", "train_s"} <= set(run.epochs.columns)
    assert list(run.cores.index) == [0] and run.cores.memory_bytes.iloc[0] == run.record.cores[0].memory_bytes.used
    assert run.traffic.read_bytes.sum() == run.record.traffic_bytes.read
    assert run.energy_table.energy_j.sum() == pytest.approx(run.energy.total_j)
    assert run.energy_table.energy_j.isna().any()  # what has no price is not 0
    assert run.confusion.to_numpy().sum() == run.record.dataset.n_test
    assert [w.nnz for w in run.weights.values()] == [m.active for m in run.record.connectivity.matrices]
    assert run.biases == {}
    entries = run.citations()
    assert entries.count("{") == entries.count("}") and "bellec2018deep" in entries and "@misc{spinnaker2_santos_" in entries
    again = pickle.loads(pickle.dumps(run))
    assert again.record == run.record and again.network.npz_bytes() == run.network.npz_bytes()


def test_predictions_take_what_users_have(run):
    data = ns.make_dataset(np.zeros((4, 2)), [0, 1, 0, 1], np.zeros((2, 2)), [0, 1])
    assert data.n_test == 2
    from neurosim.datasets import load_dataset

    digits = load_dataset("digits")
    probabilities = run.predict_proba(digits.x_test)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert (run.predict(digits.x_test) == digits.y_test).mean() == run.accuracy.test


def test_plots_on_the_users_axes(run):
    pyplot = pytest.importorskip("matplotlib.figure")
    from neurosim.reports.figures import FIGURES

    figure = pyplot.Figure()
    for i, name in enumerate(FIGURES):
        axes = figure.add_subplot(3, 3, i + 1)
        before = len(axes.get_children())
        assert run.plot(name, ax=axes) is axes
        assert len(axes.get_children()) > before or axes.child_axes, name
        assert axes.get_title(loc="left"), name
    figure.savefig(__import__("io").BytesIO())
    assert run.plot("memory_per_core").axes
    with pytest.raises(ns.InputError, match="nearest: memory_per_core"):
        run.plot("memory_per_cor")


def test_the_page_in_a_notebook(run):
    html = run._repr_html_()
    assert html.startswith("<iframe srcdoc=") and "<script>" not in html and "&lt;h1&gt;digits_santos" in html


def test_saved_and_opened(run, tmp_path):
    folder = run.save(tmp_path / "mine")
    again = ns.open_run(folder)
    assert again.record == run.record and again.folder == folder
    assert again.network.npz_bytes() == run.network.npz_bytes()
    with pytest.raises(ns.InputError, match="already holds a run"):
        run.save(folder)
    run.to_npz(tmp_path / "net.npz")
    assert ns.load_network(tmp_path / "net.npz").n_synapses == run.record.connectivity.active


def test_files_and_memory_are_the_same_run(run, tmp_path):
    written = ns.run(ns.load_scenario("digits_santos", {**QUICK, "report.figures": False}), out=tmp_path / "run", threads=1)
    assert written.folder == tmp_path / "run" and (written.folder / "result.json").is_file()
    left = {"timing", "environment", "scenario"}
    assert written.record.model_dump(exclude=left) == run.record.model_dump(exclude=left)
    comparison = ns.compare(written, run, str(tmp_path / "run"))
    assert list(comparison.metrics.index) == comparison.runs and comparison.metrics.test_accuracy.nunique() == 1
    assert "Comparison" in repr(comparison) and "<table" in comparison._repr_html_()


class Watch(ns.Callback):
    def __init__(self, stop_after=None, error_after=None):
        self.calls, self.stop_after, self.error_after = [], stop_after, error_after

    def on_start(self, run):
        self.calls.append(("start", run.folder, run.n_epochs))

    def on_progress(self, run, epoch, step, n_steps):
        assert 0 < step <= n_steps

    def on_epoch_end(self, run, epoch):
        self.calls.append(("epoch", epoch.epoch, len(run.epochs)))
        if self.error_after == epoch.epoch:
            raise KeyError("pruned")
        return self.stop_after == epoch.epoch

    def on_end(self, run):
        self.calls.append(("end", len(run.epochs)))


def test_callbacks_watch_and_stop(tmp_path):
    scenario = ns.load_scenario("digits_santos", {"training.epochs": 5, "report.figures": False})
    first, second = Watch(), Watch(stop_after=1)
    stopped = ns.run(scenario, callbacks=[second, first, ns.ProgressBar()], out=tmp_path / "run")
    assert second.calls == first.calls == [("start", tmp_path / "run", 5), ("epoch", 0, 1), ("epoch", 1, 2), ("end", 2)]
    assert len(stopped.record.epochs) == 2 and "ended by a callback" in (tmp_path / "run" / "log.txt").read_text()
    # With the checkpoint it goes on to where it would have come without the callback.
    resumed, plain = ns.run(scenario, out=tmp_path / "run", resume=True), ns.run(scenario)
    left = {"timing", "environment"}
    assert resumed.record.model_dump(exclude=left) == plain.record.model_dump(exclude=left)
    with pytest.raises(KeyError, match="pruned"):
        ns.run(scenario, callbacks=[Watch(error_after=0)])


def test_arrays_are_data():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    names = np.array([f"digit {n}" for n in y])
    scenario = ns.Scenario(
        name="mine", dataset={"name": "mine", "test_fraction": 0.25, "standardize": True},
        network={"layers": [64, 60, 10], "connectivity": 0.3}, hardware="spinnaker2", training={"epochs": 8, "learning_rate": "auto"},
    )  # fmt: skip
    run = ns.run(scenario, data=(x, names))
    assert run.accuracy.test > 0.9 and run.record.dataset.classes == sorted(set(names))
    assert list(run.confusion.index) == sorted(set(names))
    # Raw values in, names out: the run standardizes by itself.
    assert (run.predict(x) == names).mean() > 0.93
    frame = pd.DataFrame(x, columns=[f"pixel {i}" for i in range(64)])
    same = ns.run(scenario, data=(frame, pd.Series(names)))
    assert same.network.npz_bytes() == run.network.npz_bytes()
    assert 0.2 < run.record.epochs[0].learning_rate < 1


def test_sweeps(tmp_path):
    scenario = ns.load_scenario("digits_santos", {"training.epochs": 1, "dataset.limit": 300})
    axes = {"network.connectivity": [0.05, 0.2], "hardware.profile": ["spinnaker2_santos", "spinnaker2"]}
    sweep = ns.sweep(scenario, axes, seeds=2, jobs=2, out=tmp_path / "s")
    frame = sweep.to_frame()
    assert len(frame) == 8 and set(frame.status) == {"done"} and sweep.keys == list(axes)
    assert len(sweep.summary()) == 4 and "8 done" in repr(sweep) and "<table" in sweep._repr_html_()
    assert sweep.open(frame.iloc[0]).accuracy.test == frame.test_accuracy.iloc[0]
    assert len(ns.open_sweep(tmp_path / "s").to_frame()) == 8
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    assert sweep.plot("accuracy_synapses", ax=axes) is axes and axes.get_title(loc="left")
    with pytest.raises(ns.InputError, match="nothing was kept"):
        ns.SweepResult(sweep.record).open(frame.iloc[0])


@pytest.mark.parametrize(
    "module",
    [
        "neurosim.api.choosing",
        "neurosim.api.verdicts",
        "neurosim.api.runs",
        "neurosim.scenario.schema",
        "neurosim.scenario.learning",
        "neurosim.sklearn",
    ],
)
def test_examples_of_the_docstrings(module):
    import doctest

    assert importlib.util.find_spec(module)
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted and not found.failed
