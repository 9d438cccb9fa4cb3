"""One file a memory: weights, names and history in SQLite.

Every operation is one transaction, so a kill at any instant leaves the memory as
it was before or as it is after. Weights are kept by cue: the forward row and the
backward column of each cue that has any.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikecore.errors import FileRefused, SpikecoreError, StoreBusy
from spikecore.files import check_writable

__all__ = ["CueRow", "MemoryFile"]

FloatArray = npt.NDArray[np.float64]

APPLICATION_ID = 0x53504B43  # "SPKC"
VERSION = 1
_DURABLE = "PRAGMA synchronous = FULL"
_MAGIC = b"SQLite format 3\0"

_SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE cue (
    number INTEGER PRIMARY KEY,
    name TEXT UNIQUE,
    stored_at TEXT,
    forward BLOB,
    backward BLOB
);
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    operation TEXT NOT NULL,
    cue TEXT,
    detail TEXT NOT NULL
);
CREATE TABLE writer (pid INTEGER, command TEXT, since TEXT);
"""


@dataclass(frozen=True, eq=False)
class CueRow:
    """What the file holds about one cue.

    Attributes
    ----------
    number : int
        Its neuron.
    name : str or None
        None if it holds nothing a user stored.
    stored_at : str or None
        When, UTC, ISO 8601.
    forward, backward : ndarray, shape (bits,)
        Its weights in both directions, nA.
    """

    number: int
    name: str | None
    stored_at: str | None
    forward: FloatArray
    backward: FloatArray


class MemoryFile:
    """A memory on disk.

    Parameters
    ----------
    path : path
        An existing memory file.
    timeout : float
        Seconds to wait for another process to finish.

    Raises
    ------
    FileRefused
        If the file is missing, damaged, of another kind or version.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 5.0) -> None:
        self.path = Path(path)
        self._check_kind()
        self._db = sqlite3.connect(self.path, timeout=timeout, isolation_level=None)
        try:
            with self._translated():
                self._db.execute(_DURABLE)
                self._check_version()
        except BaseException:
            self._db.close()
            raise

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], settings: dict[str, Any], *, timeout: float = 5.0
    ) -> MemoryFile:
        """Make a new, empty memory file.

        Raises
        ------
        FileRefused
            If the path exists or cannot be written. Nothing is left half-made.
        """
        target = Path(path)
        if target.exists():
            raise FileRefused(
                str(target), "exists already", fix="choose another name, or delete it"
            )
        check_writable(target)
        draft = target.with_name(f".{target.name}.{os.getpid()}.new")
        draft.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(draft, isolation_level=None)) as db:
                db.execute(_DURABLE)
                db.executescript(_SCHEMA)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {VERSION}")
                db.executemany(
                    "INSERT INTO setting VALUES (?, ?)",
                    [(name, json.dumps(value)) for name, value in settings.items()],
                )
            os.link(draft, target)  # fails if someone was quicker, unlike a rename
        except FileExistsError:
            raise FileRefused(
                str(target), "exists already", fix="choose another name, or delete it"
            ) from None
        except (sqlite3.Error, OSError) as error:
            raise FileRefused(
                str(target), f"could not be made: {error}", fix="choose another folder"
            ) from error
        finally:
            draft.unlink(missing_ok=True)
        return cls(target, timeout=timeout)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- reading --------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`create` was given."""
        with self._translated():
            rows = self._db.execute("SELECT name, value FROM setting").fetchall()
            return {name: self._parsed(value) for name, value in rows}

    def revision(self) -> int:
        """Return a number that changes whenever another connection has written."""
        with self._translated():
            number: int = self._db.execute("PRAGMA data_version").fetchone()[0]
            return number

    def names(self) -> dict[str, int]:
        """Return the stored cues and their neurons, oldest first."""
        with self._translated():
            rows = self._db.execute(
                "SELECT name, number FROM cue WHERE name IS NOT NULL ORDER BY stored_at, number"
            )
            names: dict[str, int] = dict(rows.fetchall())
        for name, number in names.items():
            if not isinstance(name, str) or not isinstance(number, int):
                raise self._damaged(f"a cue {name!r} with number {number!r}")
        return names

    def held(self) -> dict[int, tuple[str | None, str | None]]:
        """Return name and time of each cue in the file, without its weights."""
        with self._translated():
            rows = self._db.execute("SELECT number, name, stored_at FROM cue")
            return {number: (name, at) for number, name, at in rows}

    @contextmanager
    def steady(self) -> Iterator[None]:
        """See the file as of one moment while the block reads several things."""
        if self._db.in_transaction:
            yield
            return
        with self._translated():
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    def rows(self, bits: int) -> list[CueRow]:
        """Return all cues that have weights or a name."""
        with self._translated():
            found = self._db.execute(
                "SELECT number, name, stored_at, forward, backward FROM cue ORDER BY number"
            )
            return [
                CueRow(n, name, at, _unpack(f, bits, self.path), _unpack(b, bits, self.path))
                for n, name, at, f, b in found
            ]

    def history(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return the latest operations that changed the memory, newest first."""
        with self._translated():
            rows = self._db.execute(
                "SELECT at, operation, cue, detail FROM history ORDER BY id DESC LIMIT ?", (limit,)
            )
            found = [(*row[:3], self._parsed(row[3])) for row in rows]
        if not all(isinstance(detail, dict) for *_, detail in found):
            raise self._damaged("an entry of the history without details")
        return [{"at": at, "operation": op, "cue": cue, **detail} for at, op, cue, detail in found]

    # -- writing --------------------------------------------------------------------

    @contextmanager
    def transaction(self, command: str) -> Iterator[None]:
        """Hold the file alone for one operation; all of it is written, or nothing.

        Raises
        ------
        StoreBusy
            If another process holds it longer than the timeout; says who.
        FileRefused
            If the file cannot be written.
        """
        with self._translated():
            # Announced in a transaction of its own, so that a process that waits can
            # read who it is waiting for.
            with self._held():
                self._db.execute("DELETE FROM writer")
                self._db.execute(
                    "INSERT INTO writer VALUES (?, ?, ?)", (os.getpid(), command, now())
                )
            try:
                with self._held():
                    yield
                    self._db.execute("DELETE FROM writer")
            except BaseException:
                with suppress(sqlite3.Error):  # the first error is the one that matters
                    self._db.execute("DELETE FROM writer WHERE pid = ?", (os.getpid(),))
                raise

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._begin()
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def write_rows(self, rows: Iterable[CueRow]) -> None:
        """Write cues, inside :meth:`transaction`."""
        with self._translated():
            self._db.executemany(
                "INSERT OR REPLACE INTO cue VALUES (?, ?, ?, ?, ?)",
                [
                    (r.number, r.name, r.stored_at, _pack(r.forward), _pack(r.backward))
                    for r in rows
                ],
            )

    def log(self, operation: str, cue: str | None, detail: dict[str, Any]) -> None:
        """Add to the history, inside :meth:`transaction`."""
        with self._translated():
            self._db.execute(
                "INSERT INTO history (at, operation, cue, detail) VALUES (?, ?, ?, ?)",
                (now(), operation, cue, json.dumps(detail)),
            )

    # -- checks ---------------------------------------------------------------------

    def _begin(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            raise StoreBusy(
                str(self.path),
                f"is being written by {self._writer()}",
                fix="try again when it has finished",
            ) from error

    def _writer(self) -> str:
        try:
            row = self._db.execute("SELECT pid, command, since FROM writer").fetchone()
        except sqlite3.Error:
            row = None
        if row is None:
            return "another process"
        return f"process {row[0]} ({row[1]}) since {row[2]}"

    def _check_kind(self) -> None:
        try:
            with self.path.open("rb") as file:
                head = file.read(100)
        except FileNotFoundError:
            raise FileRefused(
                str(self.path), "does not exist", fix="make it with spikecore memory init"
            ) from None
        except OSError as error:
            raise FileRefused(str(self.path), f"cannot be opened: {error.strerror}") from error
        if head[:16] != _MAGIC or int.from_bytes(head[68:72], "big") != APPLICATION_ID:
            raise FileRefused(
                str(self.path),
                "is not a spikecore memory",
                fix="name a file made by spikecore memory init",
            )

    def _check_version(self) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found != VERSION:
            raise FileRefused(
                str(self.path),
                f"is of version {found}, this program reads {VERSION}",
                fix="use the spikecore that wrote it, or a newer one",
            )
        self._db.execute("BEGIN")  # from the first reading on, nobody else writes
        self._db.execute("SELECT count(*) FROM setting").fetchone()
        pages, page = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
        size = self.path.stat().st_size
        self._db.execute("COMMIT")
        if size < pages * page:  # SQLite takes what is missing from the last page as zeros
            raise FileRefused(
                str(self.path),
                f"is truncated: {size} bytes of {pages * page}",
                fix="restore a copy",
            )

    def _parsed(self, text: Any) -> Any:
        try:
            return json.loads(text)
        except (ValueError, TypeError) as error:
            raise self._damaged(f"an entry that is not JSON ({error})") from error

    def _damaged(self, what: str) -> FileRefused:
        return FileRefused(str(self.path), f"is damaged: it holds {what}", fix="restore a copy")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what SQLite raises into an error that says what to do."""
        try:
            yield
        except SpikecoreError:
            raise
        # (Python itself may fail to decode the message of SQLite about a damaged schema.)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            text = str(error)
            if "locked" in text or "busy" in text:
                raise StoreBusy(
                    str(self.path),
                    f"is being written by {self._writer()}",
                    fix="try again when it has finished",
                ) from error
            damaged = "malformed" in text or "decode" in text
            fix = "restore a copy" if damaged else "nothing was changed"
            raise FileRefused(str(self.path), text, fix=fix) from error


def now() -> str:
    """Return the time, UTC, ISO 8601, to the microsecond."""
    return datetime.now(UTC).isoformat()


def _pack(weights: FloatArray) -> bytes | None:
    return zlib.compress(weights.astype("<f8").tobytes(), 1) if weights.any() else None


def _unpack(blob: bytes | None, bits: int, path: Path) -> FloatArray:
    if blob is None:
        return np.zeros(bits)
    try:
        values = np.frombuffer(zlib.decompress(blob), "<f8").astype(np.float64)
    except (zlib.error, ValueError, TypeError) as error:
        raise FileRefused(
            str(path), f"holds damaged weights: {error}", fix="restore a copy"
        ) from error
    if values.size != bits:
        raise FileRefused(
            str(path), f"holds {values.size} weights for {bits} bits", fix="restore a copy"
        )
    return values
