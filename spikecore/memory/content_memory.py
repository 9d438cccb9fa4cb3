"""A memory for people: named cues, real content, every operation in spikes."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

import spikecore
from spikecore.errors import FileRefused, InvalidInput, UnknownName
from spikecore.memory.ca3 import FIRING_WEIGHT, CA3Shape
from spikecore.memory.cam import CA3Memory, Episode
from spikecore.memory.clean_up import check_clean_up, cleaned_up
from spikecore.memory.content import Codec, codec_from_dict
from spikecore.memory.report import Answer, Report
from spikecore.memory.store import CueRow, MemoryFile, now

__all__ = ["ContentMemory"]

Bits = frozenset[int]
FloatArray = npt.NDArray[np.float64]

_DEFAULT_THRESHOLD = {"text": 0.8}  # characters share half their bits with many others
_OTHER_THRESHOLD = 0.65


class ContentMemory:
    """Stores content under names, recalls it by name or by any fragment, forgets it.

    Use the constructor for a memory that lives as long as the program,
    :meth:`create` and :meth:`open` for one that lives in a file.

    Parameters
    ----------
    codec : Flags, Text or Bitmap
        Kind of content.
    cues : int
        Capacity: the number of memories that can be held.
    cue_names : sequence of str, optional
        The only names allowed (then ``cues`` is their number). Default: any name.
    preset : {"robust", "published", "board"}
        Parameters of the network.
    threshold : float, optional
        Default overlap for searches. Default: 0.65, for text 0.8.
    backend : str
        Where the spikes run.

    Raises
    ------
    InvalidInput, UnknownName
        If a size, name, preset or threshold is wrong.

    Examples
    --------
    >>> from spikecore.memory import ContentMemory, Flags
    >>> memory = ContentMemory(Flags(("red", "yellow", "round", "long", "sweet")), cues=4)
    >>> memory.store("apple", ["red", "round", "sweet"]).outcome
    'stored'
    >>> memory.store("banana", ["yellow", "long", "sweet"]).outcome
    'stored'
    >>> memory.recall("apple").best.content
    ('red', 'round', 'sweet')
    >>> [(a.cue, a.overlap) for a in memory.search(["red", "sweet"], threshold=0.5).answers]
    [('apple', 1.0), ('banana', 0.5)]
    """

    def __init__(
        self,
        codec: Codec,
        cues: int = 16,
        *,
        cue_names: Sequence[str] | None = None,
        preset: str = "robust",
        threshold: float | None = None,
        backend: str = "event",
    ) -> None:
        self.codec = codec
        self.cue_names = _checked_names(cue_names)
        self.threshold = _checked_threshold(
            threshold
            if threshold is not None
            else _DEFAULT_THRESHOLD.get(codec.kind, _OTHER_THRESHOLD)
        )
        self.shape = CA3Shape(
            len(self.cue_names) if self.cue_names else cues,
            codec.size,
            preset,
            threshold=min(self.threshold, 0.9),
            # The long windows of "published" would mix up the memories that answer together.
            completion=preset != "published",
            backward_weight=12.0,
            forget_line=True,
        )
        self.backend = backend
        self.file: MemoryFile | None = None
        self._ca3: CA3Memory | None = None
        self._known: tuple[FloatArray, FloatArray] | None = None
        self._names: dict[str, int] = {}
        self._revision = -1

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        codec: Codec,
        cues: int = 16,
        *,
        cue_names: Sequence[str] | None = None,
        preset: str = "robust",
        threshold: float | None = None,
        backend: str = "event",
    ) -> ContentMemory:
        """Make a memory in a new file; parameters as for the class.

        Raises
        ------
        FileRefused
            If the file exists or cannot be written.
        """
        memory = cls(
            codec, cues, cue_names=cue_names, preset=preset, threshold=threshold, backend=backend
        )
        memory.file = MemoryFile.create(
            path,
            {
                "codec": codec.to_dict(),
                "cues": memory.shape.cues,
                "cue_names": list(memory.cue_names) if memory.cue_names else None,
                "preset": preset,
                "threshold": memory.threshold,
                "created": now(),
                "spikecore": spikecore.__version__,
            },
        )
        return memory

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, backend: str = "event", timeout: float = 5.0
    ) -> ContentMemory:
        """Open a memory file.

        Raises
        ------
        FileRefused
            If the file is missing, damaged, of another kind or version.
        """
        file = MemoryFile(path, timeout=timeout)
        try:
            s = file.settings()
            memory = cls(
                codec_from_dict(s["codec"]),
                s["cues"],
                cue_names=s["cue_names"],
                preset=s["preset"],
                threshold=s["threshold"],
                backend=backend,
            )
        except FileRefused:
            file.close()
            raise
        except (KeyError, TypeError, AttributeError, InvalidInput) as error:
            file.close()
            raise FileRefused(
                os.fspath(path), f"holds damaged settings: {error}", fix="restore a copy"
            ) from error
        memory.file = file
        return memory

    def close(self) -> None:
        """Close the file, if there is one."""
        if self.file is not None:
            self.file.close()

    def __enter__(self) -> ContentMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the four operations ----------------------------------------------------------

    def store(self, cue: str, content: Any, *, overwrite: bool = True) -> Report:
        """Store ``content`` under ``cue``; the old content of a used cue is forgotten.

        Parameters
        ----------
        cue : str
            Name.
        content : object
            As the codec takes it.
        overwrite : bool
            False refuses a cue that is in use.

        Raises
        ------
        InvalidInput
            If the content is empty or of a wrong size, the memory is full, or the cue
            is in use and ``overwrite`` is False. Nothing has run or changed then.
        UnknownName
            If only certain cues are allowed and this is not one of them.
        """
        name, bits = self._name(cue), self.codec.encode(content)
        self._check_store(name, overwrite)  # before the file is touched, and again once it is held
        with self._writing(f"store {name!r}"):
            number, used = self._check_store(name, overwrite), name in self._names
            episode = self._device().learn(number, bits)
            self._names.pop(name, None)  # the most recent comes last
            self._names[name] = number
            outcome = "replaced" if used else "stored"
            return self._changed("store", outcome, name, [episode])

    def recall(self, cue: str) -> Report:
        """Recall what is stored under ``cue``; "nothing stored" if nothing is.

        Raises
        ------
        InvalidInput
            If more than one cue is given.
        UnknownName
            If only certain cues are allowed and this is not one of them.
        """
        name = self._name(cue)
        with self._reading(f"recall {name!r}"):
            number = self._names.get(name)
            if number is None:
                number = self._unused_number(name)
            episodes = [] if number is None else [self._device().recall(number)]
            answers: list[Answer] = []
            if name in self._names and episodes[0].bits:
                bits = episodes[0].bits
                answers = [
                    Answer(
                        name,
                        self.codec.decode(bits),
                        bits,
                        self._agreement(self._names[name], bits),
                    )
                ]
            outcome = "recalled" if answers else "nothing stored"
            return self._changed("recall", outcome, name, episodes, answers)

    def search(
        self, fragment: Any, threshold: float | None = None, *, clean_up: bool = False
    ) -> Report:
        """Find the memories that share enough of a fragment, best first.

        Parameters
        ----------
        fragment : object
            Part of a content, as the codec takes it; may hold errors.
        threshold : float, optional
            Share of the fragment's bits that must match, above 0 to 1. Default: that
            of the memory.
        clean_up : bool
            Mend the fragment first, in a rate model beside the spikes
            (:class:`AstrocyteAssociativeMemory`), and search with what it shows then. For
            whole pictures or flags in which bits are wrong. The overlap in the answers
            is that with the fragment as it was given.

        Raises
        ------
        InvalidInput
            If the fragment is empty or of a wrong size, the threshold out of range, or
            the clean-up asked for is not possible: texts, more than 2048 bits.
        """
        wanted = _checked_threshold(self.threshold if threshold is None else threshold)
        if clean_up:
            check_clean_up(self.codec.kind, self.shape.bits)
        readings = self.codec.fragments(fragment)
        with self._reading("search"):
            device, episodes = self._device(), list[Episode]()
            best: dict[int, tuple[float, str]] = {}
            whole: dict[int, Bits] = {}
            mended: Bits | None = None
            for reading in readings:
                asked = reading.bits
                if clean_up:
                    asked = mended = cleaned_up(asked, self._held(), self.shape.bits)
                if not asked:
                    continue  # nothing would spike
                size = len(reading.bits)
                needed = max(1, math.ceil(wanted * len(asked) - 1e-9))
                episode = device.query(asked, needed)
                episodes.append(episode)
                for number in episode.cues:
                    if self.shape.completion and len(episode.cues) == 1:
                        whole[number] = episode.bits  # completed by the network itself
                    elif number not in whole:
                        episodes.append(device.recall(number))
                        whole[number] = episodes[-1].bits
                    overlap = len(whole[number] & reading.bits) / size
                    if number not in best or overlap > best[number][0]:
                        best[number] = (overlap, reading.note)
            answers = self._ranked(best, whole)
            outcome = "found" if answers else "no match"
            report = self._changed("search", outcome, None, episodes, answers, wanted)
            return replace(report, cleaned=mended)

    def forget(self, cue: str) -> Report:
        """Erase what is stored under ``cue``, in both directions.

        Raises
        ------
        UnknownName
            If nothing is stored under that name.
        """
        name = self._name(cue)
        self._check_known(name)
        with self._writing(f"forget {name!r}"):
            self._check_known(name)
            episode = self._device().erase(self._names.pop(name))
            return self._changed("forget", "forgotten", name, [episode])

    # -- looking ------------------------------------------------------------------------

    def cues(self) -> tuple[str, ...]:
        """Return the names in use, oldest first."""
        return tuple(self._current_names())

    def __len__(self) -> int:
        return len(self.cues())

    def __contains__(self, cue: object) -> bool:
        return cue in self.cues()

    def history(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return the latest changes, newest first; empty for a memory without a file."""
        return [] if self.file is None else self.file.history(limit)

    def contents(self) -> tuple[FloatArray, FloatArray, dict[str, int]]:
        """Return what the network holds, e.g. to export it.

        Returns
        -------
        forward : ndarray of float64, shape (cues, bits)
            Weights cue -> content, nA.
        backward : ndarray of float64, shape (bits, cues)
            Weights content -> cue, nA.
        numbers : dict of str to int
            The neuron of each cue in use, oldest first.
        """
        with self._reading("contents"):
            device = self._device()
            return device.forward, device.backward, dict(self._names)

    # -- inside -------------------------------------------------------------------------

    def _device(self) -> CA3Memory:
        if self._ca3 is None:
            self._ca3 = CA3Memory(self.shape, backend=self.backend)
        if self._known is None:
            self._load()
        return self._ca3

    def _fresh(self) -> bool:
        return self._known is not None and (
            self.file is None or self.file.revision() == self._revision
        )

    def _load(self) -> None:
        """Take weights and names from the file (or start empty)."""
        shape = self.shape
        forward, backward = np.zeros((shape.cues, shape.bits)), np.zeros((shape.bits, shape.cues))
        if self.file is not None:
            with self.file.steady():
                self._revision = self.file.revision()
                rows, names = self.file.rows(shape.bits), self.file.names()
            for row in rows:
                if row.number not in range(shape.cues):
                    raise FileRefused(
                        str(self.file.path),
                        f"is damaged: cue {row.number} of {shape.cues}",
                        fix="restore a copy",
                    )
                forward[row.number], backward[:, row.number] = row.forward, row.backward
            self._names = names
        if self._ca3 is not None:
            self._ca3.load(forward, backward)
            self._known = (forward, backward)

    @contextmanager
    def _writing(self, command: str) -> Iterator[None]:
        """Hold the file for one operation; after an error everything is as before."""
        names = dict(self._names)
        try:
            if self.file is None:
                self._device()
                yield
            else:
                with self.file.transaction(f"spikecore memory {command}"):
                    if not self._fresh():
                        self._known = None
                        self._device()
                    names = dict(self._names)
                    yield
        except BaseException:
            self._names = names
            if self.file is None and self._ca3 is not None and self._known is not None:
                self._ca3.load(*self._known)
            else:
                self._known = None  # the file has the truth
            raise

    @contextmanager
    def _reading(self, command: str) -> Iterator[None]:
        """Run an operation that need not change anything.

        With ``robust`` and ``board`` a recall leaves the weights alone, so the file is only
        read. With ``published`` it refreshes and disturbs them: the file is held as for a store.
        """
        if self.file is None or self.shape.preset == "published":
            with self._writing(command):
                yield
            return
        if not self._fresh():
            self._known = None
        self._device()
        yield

    def _changed(
        self,
        operation: str,
        outcome: str,
        cue: str | None,
        episodes: Sequence[Episode],
        answers: Sequence[Answer] = (),
        threshold: float | None = None,
    ) -> Report:
        """Write what an operation changed, and report it."""
        device = self._device()
        report = Report(
            operation,
            outcome,
            cue,
            tuple(answers),
            (),
            sum(e.model_ms for e in episodes),
            sum(e.spikes for e in episodes),
            1e3 * sum(e.wall_s for e in episodes),
            self.backend,
            threshold,
            tuple(episodes),
        )
        assert self._known is not None
        old, new = self._known, (device.forward, device.backward)
        moved = (new[0] != old[0]).any(axis=1) | (new[1] != old[1]).any(axis=0)
        writes = operation in ("store", "forget")
        if moved.any() or writes:
            own = self._names.get(cue) if cue is not None else None
            disturbed = tuple(
                name
                for name, n in self._names.items()
                if moved[n] and n != own and (_effective(old, n) != _effective(new, n))
            )
            report = replace(report, disturbed=disturbed)
            if self.file is not None:
                self._write(moved, new, report)
        self._known = new
        return report

    def _write(
        self, moved: npt.NDArray[np.bool_], new: tuple[FloatArray, FloatArray], report: Report
    ) -> None:
        assert self.file is not None
        by_number = {number: name for name, number in self._names.items()}
        kept = self.file.held()
        numbers = set(np.flatnonzero(moved).tolist())
        if report.cue in self._names:
            numbers.add(self._names[report.cue])
        numbers |= {n for n, (name, _) in kept.items() if name is not None and n not in by_number}
        rows = []
        for n in sorted(numbers):
            name, (old, stored_at) = by_number.get(n), kept.get(n, (None, None))
            stored_at = stored_at if old == name else None
            if report.operation == "store" and name == report.cue:
                stored_at = now()
            rows.append(CueRow(n, name, stored_at, new[0][n], new[1][:, n]))
        self.file.write_rows(rows)
        self.file.log(
            report.operation,
            report.cue,
            {
                "outcome": report.outcome,
                "spikes": report.spikes,
                "model_ms": report.model_ms,
                "wall_ms": round(report.wall_ms, 3),
                "backend": report.backend,
                "disturbed": list(report.disturbed),
            },
        )

    def _name(self, cue: object) -> str:
        if not isinstance(cue, str):
            raise InvalidInput(
                "cue",
                "must be one name: two cues at once would be mixed up",
                got=repr(cue),
                fix="one operation for each cue",
            )
        name = cue.strip()
        if not name or not name.isprintable():
            raise InvalidInput("cue", "must be printable text, not empty", got=repr(cue))
        if self.cue_names and name not in self.cue_names:
            raise UnknownName("cue", name, self.cue_names)
        return name

    def _check_known(self, name: str) -> None:
        """Raise if nothing is stored under ``name``."""
        names = self._current_names()
        if name not in names:
            raise UnknownName("forget", name, names)

    def _check_store(self, name: str, overwrite: bool) -> int:
        """Return the neuron that ``name`` gets, or say why it gets none."""
        names = self._current_names()
        if name in names:
            if not overwrite:
                raise InvalidInput(
                    "store",
                    f"{name!r} holds something already",
                    fix="forget it first, choose another cue, or allow overwriting",
                )
            return names[name]
        number = self._unused_number(name)
        if number is None:
            oldest = next(iter(names))
            raise InvalidInput(
                "store",
                f"the memory is full: all {self.shape.cues} cues are in use",
                got=repr(name),
                fix=f"forget one (the oldest is {oldest!r}), store under a name "
                "in use to replace it, or make a larger memory",
            )
        return number

    def _current_names(self) -> dict[str, int]:
        """Return the names in use, as the file has them now."""
        if self.file is not None and not self._fresh():
            self._names = self.file.names()
        return self._names

    def _unused_number(self, name: str) -> int | None:
        """Return the neuron for a name that is not in use, None if all neurons are taken."""
        if self.cue_names:
            return self.cue_names.index(name)
        used = set(self._names.values())
        return next((n for n in range(self.shape.cues) if n not in used), None)

    def _held(self) -> list[Bits]:
        """Return what the synapses from each cue in use would recall."""
        assert self._known is not None
        rows = self._known[0][list(self._names.values())] >= FIRING_WEIGHT
        return [frozenset(np.flatnonzero(row).tolist()) for row in rows]

    def _agreement(self, number: int, bits: Bits) -> float:
        assert self._known is not None
        back = np.flatnonzero(self._known[1][:, number] > self.shape.backward_weight / 2)
        both = bits | set(back.tolist())
        return len(bits & set(back.tolist())) / len(both)

    def _ranked(self, best: dict[int, tuple[float, str]], whole: dict[int, Bits]) -> list[Answer]:
        by_number = {number: name for name, number in self._names.items()}
        found = [
            Answer(
                by_number[number], self.codec.decode(whole[number]), whole[number], overlap, note
            )
            for number, (overlap, note) in best.items()
            if number in by_number
        ]
        return sorted(found, key=lambda a: (-a.overlap, len(a.bits), a.cue))


def _effective(weights: tuple[FloatArray, FloatArray], number: int) -> tuple[bytes, bytes]:
    """Return which synapses of a cue can fire their target, as comparable bytes."""
    return (
        (weights[0][number] >= FIRING_WEIGHT).tobytes(),
        (weights[1][:, number] >= FIRING_WEIGHT).tobytes(),
    )


def _checked_threshold(threshold: object) -> float:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise InvalidInput("threshold", "must be a number", got=repr(threshold))
    if not 0.0 < threshold <= 1.0:
        raise InvalidInput(
            "threshold",
            "must lie above 0 and not above 1",
            got=threshold,
            fix="0.6 means: six of ten bits of the fragment must match",
        )
    return float(threshold)


def _checked_names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str):
        raise InvalidInput("cue names", "must be a list of names", got=repr(names))
    checked: list[str] = []
    for i, name in enumerate(names):
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise InvalidInput(
                "cue names", "must be printable text, not empty", got=repr(name), index=i
            )
        if name.strip() in checked:
            raise InvalidInput("cue names", "must differ", got=repr(name), index=i)
        checked.append(name.strip())
    if not checked:
        raise InvalidInput("cue names", "need at least one")
    return tuple(checked)
