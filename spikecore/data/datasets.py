"""tonic's event-vision datasets from a local folder, without any download."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikecore.camera import EventStream
from spikecore.data.decoded import must_have
from spikecore.data.local import local_only
from spikecore.data.writing import as_structured
from spikecore.errors import FileRefused, UnknownName

__all__ = ["EventDataset", "dataset_names", "open_dataset"]

Transform = Callable[[Any], Any]

NOT_VISION = ("NTIDIGITS18", "SHD", "SMNIST", "SSC")
"""tonic's sets of sound and of rows of pixels."""

SPLITS = {"DSEC": ("train", "test"), "ThreeET_Eyetracking": ("train", "val")}
"""How tonic calls training and test set where it does not take ``train``."""


def dataset_names() -> tuple[str, ...]:
    """Return the names of tonic's event-vision datasets, as :func:`open_dataset` takes them.

    Raises
    ------
    BackendUnavailable
        If tonic is not installed.
    """
    must_have("tonic")
    from tonic import datasets

    return tuple(name for name in datasets.__all__ if name not in NOT_VISION)


def open_dataset(
    name: str,
    folder: str | os.PathLike[str],
    *,
    train: bool = True,
    transform: Transform | None = None,
    target_transform: Transform | None = None,
    disorder: str = "refuse",
    **options: Any,
) -> EventDataset:
    """Open one of tonic's event-vision datasets in a local folder.

    tonic's own class reads the files, but nothing is ever downloaded or unpacked,
    and a part of a dataset is enough. Every recording is validated.

    Parameters
    ----------
    name : str
        One of :func:`dataset_names`; case, blanks and hyphens do not matter.
    folder : path-like
        The folder that tonic calls ``save_to``. N-MNIST, for one, is looked for in
        ``folder/NMNIST/Train``.
    train : bool
        The training set or the test set, for datasets that have two.
    transform : callable, optional
        Any of tonic's transforms. It gets the validated events as tonic's structured
        array (fields x, y, t in us, p), and its answer takes the place of the stream.
    target_transform : callable, optional
        Applied to the label.
    disorder : {"refuse", "sort", "unwrap"}
        What to do where time goes back; see :meth:`~spikecore.camera.EventStream.checked`.
    **options
        What tonic's class takes besides, e.g. ``first_saccade_only`` of N-MNIST,
        ``recording`` of DAVISDATA and TUMVIE, ``scene`` of MVSEC.

    Returns
    -------
    EventDataset
        Items are (:class:`~spikecore.camera.EventStream`, label). In sets of several
        sensors, each array of events among the data is such a stream.

    Raises
    ------
    UnknownName
        If tonic has no such set, or its class no such option.
    FileRefused
        If the files are absent or damaged; the message names those wanted.
    BackendUnavailable
        If tonic, or a package that it needs for this set, is not installed.
    """
    known = {_folded(each): each for each in dataset_names()}
    if _folded(name) not in known:
        raise UnknownName("dataset", name, known.values())
    chosen = known[_folded(name)]
    if chosen in SPLITS:
        options.setdefault("split", SPLITS[chosen][0 if train else 1])
    inner = local_only(chosen, Path(folder), train, options)
    return EventDataset(inner, transform, target_transform, disorder)


def _folded(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


@dataclass(frozen=True)
class EventDataset:
    """A dataset that tonic reads and spikecore validates; made by :func:`open_dataset`.

    Attributes
    ----------
    tonic : object
        tonic's own dataset, with all it offers: ``classes``, ``targets``, ...
    transform, target_transform : callable or None
        Applied to events (as tonic's array) and label.
    disorder : str
        What happens where time goes back.
    """

    tonic: Any
    transform: Transform | None = None
    target_transform: Transform | None = None
    disorder: str = "refuse"

    @property
    def sensor(self) -> tuple[int, int] | None:
        """Width and height, or None where recordings differ (N-Caltech101)."""
        size = self.tonic.sensor_size
        return (int(size[0]), int(size[1])) if size else None

    def __len__(self) -> int:
        return len(self.tonic)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        place = self._place(index)
        try:
            data, label = self.tonic[index]
        except Exception as error:  # whatever tonic raises over foreign bytes
            raise FileRefused(
                place,
                "is damaged, or not as tonic expects it",
                got=f"{type(error).__name__}: {error}",
                fix="use a whole copy of the dataset",
            ) from error
        data = self._validated(data, place)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return data if self.transform is None else self.transform(data), label

    def _place(self, index: int) -> str:
        files = getattr(self.tonic, "data", None) or getattr(self.tonic, "selection", None)
        file = files[index] if isinstance(files, list) and index < len(files) else None
        return file if isinstance(file, str) else f"{type(self.tonic).__name__}[{index}]"

    def _validated(self, data: Any, place: str) -> Any:
        """Replace each array of events by a validated stream, or array for a transform."""
        if isinstance(data, np.ndarray) and {"x", "y", "t", "p"} <= set(data.dtype.names or ()):
            stream = self._stream(data, place)
            return stream if self.transform is None else as_structured(stream, data.dtype)
        if isinstance(data, Mapping):
            return {key: self._validated(part, place) for key, part in data.items()}
        if isinstance(data, list | tuple):
            return type(data)(self._validated(part, place) for part in data)
        return data

    def _stream(self, events: np.ndarray[Any, Any], place: str) -> EventStream:
        if not len(events):
            raise FileRefused(place, "holds no events", fix="check the recording")
        fields = (events[name].reshape(-1) for name in ("x", "y", "t", "p"))
        return EventStream.checked(*fields, sensor=self.sensor, place=place, disorder=self.disorder)
