"""What is known of a data set before any file is read, and who reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .dataset import DataShape
from .speech import SpeechFeatures

if TYPE_CHECKING:
    from .dataset import Samples
    from .events import EventChoice
    from .preparation import Preparation


@dataclass(frozen=True)
class Reading:
    """What readers are told beside a name or path.

    Attributes
    ----------
    data_dir : Path, optional
        Where files of named data are looked for first.
    speech : SpeechFeatures, optional
        How recordings become sequences.
    label : str, optional
        Column of a table that holds the labels.
    drop : tuple of str
        Columns of a table that are left out.
    events : EventChoice, optional
        How events become steps.
    task : tuple of (str, number)
        Numbers of a data set that is made, those that are not its defaults.
    """

    data_dir: Path | None = None
    speech: SpeechFeatures | None = None
    label: str | None = None
    drop: tuple[str, ...] = ()
    events: "EventChoice | None" = None
    task: tuple[tuple[str, int | float], ...] = ()


@dataclass(frozen=True)
class DatasetInfo:
    """A data set that is known by name.

    Attributes
    ----------
    name : str
        The word used in scenarios and commands.
    n_features, n_classes : int
        Values per sample, of all steps, and number of classes; features None for recordings, where options of the reader decide.
    image_shape : tuple of int or None
        (rows, columns) of one sample, or (channels, rows, columns).
    scale : float
        Factor that maps stored values to [0, 1].
    summary : str
        One line on content and origin.
    how_to_get : str
        Where the files come from.
    read : callable
        From (info, Reading) to `Samples`.
    n_steps : int or None
        Steps of a sequence; 1 for samples that are none, None for recordings.
    fetch : callable, optional
        From (info, folder of all data, callable that takes a line of text) to the folder with the files;
        None where they have to be placed by hand.
    make_task : callable, optional
        Of a data set that is made: from the numbers of `Reading.task` to an object with these and a property `shape`.
    """

    name: str
    n_features: int | None
    n_classes: int
    image_shape: tuple[int, ...] | None
    scale: float
    summary: str
    how_to_get: str
    read: "Callable[[DatasetInfo, Reading], Samples]"
    n_steps: int | None = 1
    fetch: "Callable[[DatasetInfo, Path, Callable[[str], None]], Path] | None" = None
    make_task: Callable | None = None

    @property
    def has_recordings(self):
        """Whether its files are recordings, which a reader with options turns into sequences."""
        return self.n_features is None

    @property
    def takes(self):
        """Keys of `Reading` that mean something here."""
        return ("speech",) if self.has_recordings else ("task",) if self.make_task else ()

    def shape(self, reading):
        """`DataShape` of its samples; no file is opened."""
        if self.has_recordings:
            speech = reading.speech or SpeechFeatures()
            return DataShape(speech.bands, speech.max_steps, self.n_classes)
        if self.make_task:
            return self.make_task(self.name, reading.task).shape
        return DataShape(self.n_features // self.n_steps, self.n_steps, self.n_classes, image_shape=self.image_shape)


@dataclass(frozen=True)
class FileFormat:
    """A kind of file or folder that is a data set by its path.

    Attributes
    ----------
    what : str
        In words, for refusals: "an NPZ file".
    recognizes : callable
        From a path to whether it is of this kind, by its name or by the names of the files in a folder; no file is opened.
    read : callable
        From (path, Reading) to `Samples`.
    takes : tuple of str
        Keys of `Reading` that mean something here; others are refused.
    files : callable
        From a path to the files that are read.
    shape : callable, optional
        From (path, Reading, Preparation) to `DataShape`, where names of files tell it.
    """

    what: str
    recognizes: Callable[[str], bool]
    read: "Callable[[str, Reading], Samples]"
    takes: tuple[str, ...] = ()
    files: Callable[[str], list] = lambda path: [path]
    shape: "Callable[[str, Reading, Preparation], DataShape] | None" = None
