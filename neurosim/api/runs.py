"""Train a scenario and use what came out."""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.api.choosing import chosen
from neurosim.api.frames import make_frame
from neurosim.api.verdicts import Verdict
from neurosim.datasets import Dataset, make_dataset
from neurosim.documents import dump_yaml, write_atomic
from neurosim.errors import InputError
from neurosim.interchange.writing import write_network
from neurosim.results import RunRecord, read_record, write_record
from neurosim.results.citations import bibtex
from neurosim.results.files import core_rows, epoch_rows
from neurosim.results.network import TrainedNetwork
from neurosim.scenario.weights import NETWORK, read_run_network

_ARRAYS = ("x", "y", "x_test", "y_test")


class Run:
    """A finished run: its record, and the network that it trained.

    Attributes
    ----------
    record : RunRecord
        Everything that result.json holds.
    network : TrainedNetwork
        Weights, biases and homes as arrays; it predicts without numba.
    folder : Path, optional
        Where its files are; None for a run in memory.
    """

    def __init__(self, record: RunRecord, network: TrainedNetwork, folder: Path | None = None):
        self.record, self.network, self.folder = record, network, folder

    def __repr__(self) -> str:
        where = f" in {self.folder}" if self.folder else ""
        return f"<Run {self.name} on {self.record.profile.name}: test accuracy {self.accuracy.test:.2%}{where}>"

    @property
    def name(self) -> str:
        return self.record.scenario.get("name", "run")

    @property
    def accuracy(self):
        """Fractions, as in result.json: ``run.accuracy.test``."""
        return self.record.accuracy

    @property
    def energy(self):
        """Energy of the modelled chip, as in result.json: ``run.energy.per_sample_j``."""
        return self.record.energy

    @property
    def verdict(self) -> Verdict:
        return Verdict(self.record.verdict)

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the learning, one sentence each; empty when it is healthy."""
        return list(self.record.warnings)

    @property
    def epochs(self):
        """One row per epoch: DataFrame, losses in nats per sample, times in s."""
        return make_frame(epoch_rows(self.record), "epoch")

    @property
    def cores(self):
        """One row per core: DataFrame, units in the names of the columns."""
        return make_frame(core_rows(self.record), "core")

    @property
    def traffic(self):
        """Bytes read and written by core, phase, section and memory level: DataFrame."""
        return make_frame(row.model_dump() for row in self.record.traffic_bytes.rows)

    @property
    def energy_table(self):
        """Events, prices and energies by core, phase and component: DataFrame; an energy that is not known is missing, not 0."""
        return make_frame(row.model_dump() for row in self.record.energy.rows)

    @property
    def confusion(self):
        """Test samples of each class (rows) by what they were taken for (columns): DataFrame; None where an older run does not say."""
        classes = self.record.classes
        if classes is None or classes.confusion is None:
            return None
        frame = make_frame({name: row[j] for j, name in enumerate(classes.names)} for row in classes.confusion)
        frame.index = classes.names
        return frame.rename_axis(index="class", columns="predicted")

    @property
    def weights(self) -> dict[str, Any]:
        """Active synapses of each matrix by its name: dict of scipy.sparse.coo_array, float32, shape (pre, post)."""
        return {matrix.name: matrix.weight.tocoo() for matrix in self.network.matrices}

    @property
    def biases(self) -> dict[str, np.ndarray]:
        """Biases of each population that has them, by its name: dict of float32 array."""
        return {self.network.populations[p]: values for p, values in self.network.biases.items()}

    def predict(self, x, lengths=None) -> np.ndarray:
        """Label of each sample; see `TrainedNetwork.logits` for what `x` may be."""
        return self.network.predict(x, lengths)

    def predict_proba(self, x, lengths=None) -> np.ndarray:
        """Probability of each class: float32, shape (n_samples, n_classes)."""
        return self.network.predict_proba(x, lengths)

    def plot(self, name: str, ax=None):
        """Draw a figure of the run.

        Parameters
        ----------
        name : str
            Such as ``memory_per_core``; a wrong name is answered with the known ones.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a figure of its own without.

        Returns
        -------
        matplotlib.axes.Axes or matplotlib.figure.Figure
            `ax`, or the new figure.

        Raises
        ------
        InputError
            An unknown name.
        """
        from neurosim.reports.figures import draw, figures_of

        return draw(name, self.record, ax, figures_of(self.record))

    def save(self, folder) -> Path:
        """Write result.json, the tables, the scenario and the network into a folder, which `open_run` reads.

        Raises
        ------
        InputError
            A folder that holds a run already, or cannot be written.
        """
        folder = Path(folder)
        if (folder / "result.json").exists() and folder != self.folder:
            raise InputError(f"{folder}: already holds a run; give another folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be created: {error.strerror}") from None
        write_atomic(folder / "scenario.yaml", dump_yaml(self.record.scenario))
        self.network.to_npz(folder / NETWORK)
        write_record(self.record, folder)
        return folder

    def to_npz(self, path) -> None:
        """Write the network as arrays; the layout stands in `neurosim.results.network`."""
        self.network.to_npz(path)

    def to_onnx(self, path, dense=False) -> None:
        """Write the network as an ONNX file; `dense`: weights as dense arrays, for readers that know no sparse ones."""
        write_network(self.network, "onnx", path, dense)

    def citations(self) -> str:
        """What a paper with this run should cite, as BibTeX: rule, optimizer, cell, data, and every source of a number of the chip."""
        return bibtex(self.record)

    def page(self) -> str:
        """report.html as text: one page with everything."""
        from neurosim.reports.publish import run_page

        return run_page(self.record)

    def _repr_html_(self) -> str:
        # In a frame: the page's styles must not leak into the notebook, nor the notebook's into the page.
        return f'<iframe srcdoc="{escape(self.page())}" style="width:100%;height:42em;border:1px solid #ccc" title="{escape(self.name)}"></iframe>'


def run(scenario, *, data=None, out=None, resume=False, data_dir=None, profile=None, callbacks=(), threads=None) -> Run:
    """Train a scenario inside its chip's budgets.

    Parameters
    ----------
    scenario : Scenario, str or path-like
    data : Dataset, or tuple of array-like, optional
        Samples in memory instead of those that the scenario names: what `make_dataset` gave, or ``(x, y)`` or
        ``(x, y, x_test, y_test)``, which are divided and standardized as `scenario.dataset` says.
    out : path-like, optional
        Folder for the files of the run; without it nothing is written.
    resume : bool
        Go on from the checkpoint in `out`.
    data_dir : path-like, optional
        Where to look for data sets first.
    profile : str, path-like or HardwareProfile, optional
        Another chip than that of the scenario.
    callbacks : iterable of Callback
    threads : int, optional
        Kernel threads, all of this machine without; the result does not depend on it.

    Returns
    -------
    Run

    Raises
    ------
    DoesNotFitError
        Before anything is trained; its `verdict` says all.
    InputError
        What cannot be used as given.
    TrainingDivergedError
    InterruptedRunError
        After Ctrl-C; with `out` a checkpoint was written.

    Examples
    --------
    >>> import neurosim as ns
    >>> result = ns.run(ns.load_scenario("digits_santos", {"training.epochs": 2}))
    >>> result.accuracy.test > 0.8, result.folder is None
    (True, True)
    """
    from neurosim.scenario.runner import run_scenario, train_scenario

    scenario = chosen(scenario, profile)
    options = {"data_dir": data_dir, "n_threads": threads, "callbacks": list(callbacks), "dataset": _dataset(data, scenario)}
    if out is None:
        if resume:
            raise InputError("run: found resume without out; name the folder whose checkpoint is to go on")
        return Run(*train_scenario(scenario, **options))
    record, folder = run_scenario(scenario, out=out, resume=resume, **options)
    return Run(record, read_run_network(folder, record), folder)


def open_run(folder) -> Run:
    """A finished run from its folder, or from its result.json; no data and no numba are needed.

    Raises
    ------
    InputError
        No finished run, or one whose files are damaged.
    """
    record = read_record(folder)
    folder = Path(folder)
    folder = folder if folder.is_dir() else folder.parent
    return Run(record, read_run_network(folder, record), folder)


def _dataset(data, scenario):
    if data is None or isinstance(data, Dataset):
        return data
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 4):
        found = f"a {type(data).__name__}" + (f" of {len(data)}" if isinstance(data, (tuple, list)) else "")
        raise InputError(f"data: found {found}; expected (x, y), (x, y, x_test, y_test) or what neurosim.make_dataset returns")
    choice = scenario.dataset
    return make_dataset(
        **dict(zip(_ARRAYS, data)),
        name=choice.name,
        test_fraction=choice.test_fraction,
        validation_fraction=choice.validation_fraction,
        standardize=choice.standardize,
        image_size=choice.image_size,
        seed=choice.split_seed,
        encode=choice.encoding,
    )
