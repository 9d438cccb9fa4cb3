"""What a person stores: flags, text, small images, and how each becomes bits.

Each codec turns content into the set of bits that are on, and back. A memory
answers with the bits that spiked, whatever they are; so decoding never fails, it
shows gaps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from spikecore.errors import InvalidInput, UnknownName

__all__ = ["Bitmap", "Codec", "Flags", "Fragment", "Text", "codec_from_dict"]

Bits = frozenset[int]
Picture = npt.NDArray[np.bool_]

MAX_BITS = 65_536


@dataclass(frozen=True)
class Fragment:
    """One way to read a fragment as bits, e.g. a word at one position of a text.

    Attributes
    ----------
    bits : frozenset of int
        Bits that a content with this fragment has.
    note : str
        Which reading this is.
    """

    bits: Bits
    note: str = ""


class Codec(Protocol):
    """Turns one kind of content into bits and back."""

    @property
    def kind(self) -> str:
        """Name of the kind of content."""
        ...

    @property
    def size(self) -> int:
        """Number of content bits."""
        ...

    def encode(self, content: Any) -> Bits:
        """Return the bits of a whole content."""
        ...

    def fragments(self, fragment: Any) -> list[Fragment]:
        """Return every way to read a fragment as bits."""
        ...

    def decode(self, bits: Bits) -> Any:
        """Return the content that ``bits`` stand for."""
        ...

    def show(self, bits: Bits) -> str:
        """Return the content as text for a terminal."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return what :func:`codec_from_dict` needs."""
        ...


@dataclass(frozen=True)
class Flags:
    """Named flags; a content is the set of names that hold.

    Parameters
    ----------
    names : sequence of str
        One name for each bit.

    Raises
    ------
    InvalidInput
        If there are no names, or one is empty or used twice.

    Examples
    --------
    >>> flags = Flags(("red", "round", "sweet"))
    >>> sorted(flags.encode(["round", "red"]))
    [0, 1]
    """

    names: tuple[str, ...]
    kind = "flags"

    def __post_init__(self) -> None:
        if isinstance(self.names, str) or not all(isinstance(name, str) for name in self.names):
            raise InvalidInput("flags", "must be a list of names", got=repr(self.names))
        object.__setattr__(self, "names", tuple(name.strip() for name in self.names))
        if not self.names:
            raise InvalidInput(
                "flags", "need at least one name", fix="e.g. --flags red,round,sweet"
            )
        _check_bits(len(self.names))
        seen: set[str] = set()
        for i, name in enumerate(self.names):
            if not name or not name.isprintable() or "," in name:
                raise InvalidInput(
                    "flags", "names must be printable text without commas", got=repr(name), index=i
                )
            if name in seen:
                raise InvalidInput("flags", "names must differ", got=repr(name), index=i)
            seen.add(name)

    @property
    def size(self) -> int:
        """Number of flags."""
        return len(self.names)

    def encode(self, content: str | Iterable[str]) -> Bits:
        """Return the bits of a set of names (or of names joined by commas).

        Raises
        ------
        UnknownName
            If a name is not one of the flags.
        InvalidInput
            If there are none.
        """
        given = content.split(",") if isinstance(content, str) else content
        if not isinstance(given, Iterable) or not all(isinstance(name, str) for name in given):
            raise InvalidInput("content", "must be names of flags", got=repr(content))
        names = [name.strip() for name in given if name.strip()]
        for name in names:
            if name not in self.names:
                raise UnknownName("flags", name, self.names)
        if not names:
            raise InvalidInput(
                "content",
                "has no flags: nothing would spike",
                fix=f"name at least one of {', '.join(self.names[:8])}",
            )
        return frozenset(self.names.index(name) for name in names)

    def fragments(self, fragment: str | Iterable[str]) -> list[Fragment]:
        """Return the one reading of a set of names."""
        return [Fragment(self.encode(fragment))]

    def decode(self, bits: Bits) -> tuple[str, ...]:
        """Return the names, in their order."""
        return tuple(self.names[bit] for bit in sorted(bits))

    def show(self, bits: Bits) -> str:
        """Return the names joined by commas."""
        return ", ".join(self.decode(bits))

    def to_dict(self) -> dict[str, Any]:
        """Return the names."""
        return {"kind": self.kind, "names": list(self.names)}


@dataclass(frozen=True)
class Text:
    """Text of limited length: each byte of its UTF-8 form is two one-of-sixteen codes.

    Every byte has the same number of active bits, so overlap counts characters, not
    letters that happen to have many ones.

    Parameters
    ----------
    length : int
        Longest text, in bytes of UTF-8.

    Raises
    ------
    InvalidInput
        If the length is not positive or too large.

    Examples
    --------
    >>> text = Text(8)
    >>> text.decode(text.encode("spike"))
    'spike'
    """

    length: int
    kind = "text"

    def __post_init__(self) -> None:
        if isinstance(self.length, bool) or not isinstance(self.length, int) or self.length < 1:
            raise InvalidInput("text length", "must be a positive integer", got=repr(self.length))
        _check_bits(self.size)

    @property
    def size(self) -> int:
        """Number of bits: 32 per byte."""
        return 32 * self.length

    def encode(self, content: str) -> Bits:
        """Return the bits of a whole text.

        Raises
        ------
        InvalidInput
            If it is empty or too long.
        """
        data = self._bytes(content)
        return self._at(list(data), 0)

    def fragments(self, fragment: str) -> list[Fragment]:
        """Return the readings of a fragment of text.

        ``?`` stands for one unknown byte (a letter like é has two); with it the fragment
        begins where the text begins. Without it the fragment may be anywhere: one
        reading per position.

        Raises
        ------
        InvalidInput
            If it is empty, too long, or all unknown.
        """
        data = list(self._bytes(fragment))
        if "?" in fragment:
            bits = self._at([None if byte == ord("?") else byte for byte in data], 0)
            if not bits:
                raise InvalidInput(
                    "fragment",
                    "has no known character",
                    got=repr(fragment),
                    fix="give at least one",
                )
            return [Fragment(bits)]
        return [
            Fragment(self._at(data, start), f"at position {start}")
            for start in range(self.length - len(data) + 1)
        ]

    def decode(self, bits: Bits) -> str:
        """Return the text; a byte of which not exactly two halves spiked becomes U+FFFD."""
        grid = np.zeros((self.length, 2, 16), bool)
        grid.reshape(-1)[list(bits)] = True
        data = b""
        ends = np.flatnonzero(grid.any(axis=(1, 2)))
        for position in range(ends[-1] + 1 if ends.size else 0):
            halves = [np.flatnonzero(half) for half in grid[position]]
            if all(half.size == 1 for half in halves):
                data += bytes([int(halves[0][0]) << 4 | int(halves[1][0])])
            else:
                data += b"\xff"
        return data.decode("utf-8", errors="replace")

    def show(self, bits: Bits) -> str:
        """Return the text in quotes."""
        return repr(self.decode(bits))

    def to_dict(self) -> dict[str, Any]:
        """Return the length."""
        return {"kind": self.kind, "length": self.length}

    def _bytes(self, content: object) -> bytes:
        if not isinstance(content, str):
            raise InvalidInput("content", "must be text", got=type(content).__name__)
        try:
            data = content.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(
                "content", "holds a character that is not text", got=repr(content)
            ) from error
        if not data:
            raise InvalidInput("content", "is empty: nothing would spike")
        if len(data) > self.length:
            raise self._too_long(content, len(data))
        return data

    def _too_long(self, content: str, size: int) -> InvalidInput:
        return InvalidInput(
            "text",
            f"must not exceed {self.length} bytes of UTF-8",
            got=f"{size} bytes: {content[:24]!r}",
            fix="shorten it, or make a memory with a larger --text length",
        )

    @staticmethod
    def _at(data: Sequence[int | None], start: int) -> Bits:
        bits: set[int] = set()
        for position, byte in enumerate(data, start):
            if byte is not None:
                bits |= {32 * position + (byte >> 4), 32 * position + 16 + (byte & 15)}
        return frozenset(bits)


@dataclass(frozen=True)
class Bitmap:
    """A small black-and-white picture; the bits that are on are the dark pixels.

    Parameters
    ----------
    width, height : int
        Pixels.

    Raises
    ------
    InvalidInput
        If a side is not positive or the picture too large.
    """

    width: int
    height: int
    kind = "image"

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput(f"image {name}", "must be a positive integer", got=repr(value))
        _check_bits(self.size)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def encode(self, content: Picture | str | os.PathLike[str]) -> Bits:
        """Return the dark pixels of a picture.

        Parameters
        ----------
        content : ndarray of bool, shape (height, width), or path
            True is on. A file is read with Pillow; transparent counts as white,
            and pixels darker than middle grey are on.

        Raises
        ------
        InvalidInput
            If the size is wrong, no pixel is on, or the file is not a picture.
        """
        if isinstance(content, str | os.PathLike):
            content = read_picture(content)
        picture = np.asarray(content)
        if picture.shape != (self.height, self.width):
            got = "x".join(str(n) for n in reversed(picture.shape))
            raise InvalidInput(
                "image",
                f"must be {self.width}x{self.height} pixels",
                got=got,
                fix="resize it, or make a memory of that size",
            )
        if picture.dtype != np.bool_:
            raise InvalidInput(
                "image", "must be an array of booleans", got=picture.dtype, fix="e.g. picture > 0.5"
            )
        if not picture.any():
            raise InvalidInput("image", "has no dark pixel: nothing would spike")
        return frozenset(np.flatnonzero(picture).tolist())

    def fragments(self, fragment: Picture | str | os.PathLike[str]) -> list[Fragment]:
        """Return the one reading of a partly covered picture."""
        return [Fragment(self.encode(fragment))]

    def decode(self, bits: Bits) -> Picture:
        """Return the picture, shape (height, width)."""
        picture = np.zeros(self.size, bool)
        picture[list(bits)] = True
        return picture.reshape(self.height, self.width)

    def show(self, bits: Bits) -> str:
        """Return the picture drawn with half blocks, two rows of pixels a line."""
        picture = self.decode(bits)
        padded = np.vstack([picture, np.zeros((picture.shape[0] % 2, picture.shape[1]), bool)])
        glyphs = np.array([[" ", "▄"], ["▀", "█"]])
        rows = glyphs[padded[0::2].astype(int), padded[1::2].astype(int)]
        return "\n".join("".join(row) for row in rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the size."""
        return {"kind": self.kind, "width": self.width, "height": self.height}


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a picture file as booleans, True where it is darker than middle grey.

    Raises
    ------
    InvalidInput
        If the file is missing or not a picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode.startswith("I;16"):  # Pillow would cut 16 bits off at 255
                return np.asarray(image) < 128 * 256
            layer = image.convert("RGBA")
            paper = Image.new("RGBA", layer.size, "white")
            grey = np.asarray(Image.alpha_composite(paper, layer).convert("L"))
    except FileNotFoundError:
        raise InvalidInput("image", "file does not exist", got=os.fspath(path)) from None
    except Exception as error:  # whatever Pillow raises over foreign bytes
        raise InvalidInput(
            "image", "cannot be read", got=f"{os.fspath(path)}: {error}", fix="give a PNG file"
        ) from error
    dark: Picture = grey < 128  # noqa: PLR2004 - middle of 0 .. 255
    return dark


def write_picture(picture: Picture, path: str | os.PathLike[str]) -> None:
    """Write booleans as a black-and-white PNG, atomically.

    Raises
    ------
    FileRefused
        If the file cannot be written.
    """
    from PIL import Image

    from spikecore.files import atomic_write

    with atomic_write(Path(path)) as file:
        Image.fromarray(np.where(picture, 0, 255).astype(np.uint8)).save(file, format="PNG")


def codec_from_dict(data: dict[str, Any]) -> Codec:
    """Return the codec that :meth:`Codec.to_dict` described.

    Raises
    ------
    UnknownName
        If the kind does not exist.
    """
    kind = data.get("kind")
    if kind == "flags":
        return Flags(tuple(data["names"]))
    if kind == "text":
        return Text(data["length"])
    if kind == "image":
        return Bitmap(data["width"], data["height"])
    raise UnknownName("kind of content", str(kind), ("flags", "text", "image"))


def _check_bits(size: int) -> None:
    if size > MAX_BITS:
        raise InvalidInput("content", f"must not need more than {MAX_BITS} bits", got=size)
