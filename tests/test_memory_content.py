"""Codecs: what people store, as bits and back."""

from __future__ import annotations

import io
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from spikecore import FileRefused, InvalidInput, SpikecoreError, UnknownName
from spikecore.memory import Bitmap, Flags, Text
from spikecore.memory.content import codec_from_dict, read_picture, write_picture

NAMES = ("red", "green", "blue", "round", "long", "sweet")

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
pictures = arrays(bool, (5, 7)).filter(np.any)


def only(fragments):
    (fragment,) = fragments
    return fragment.bits


# -- flags --------------------------------------------------------------------------------


@given(st.sets(st.sampled_from(NAMES), min_size=1))
def test_flags_round_trip(names):
    flags = Flags(NAMES)
    bits = flags.encode(names)
    assert len(bits) == len(names)
    assert set(flags.decode(bits)) == names
    assert flags.encode(flags.show(bits)) == bits
    assert only(flags.fragments(names)) == bits


def test_flags_take_text_with_spaces_and_empty_entries():
    flags = Flags((" red", "green "))
    assert flags.names == ("red", "green")
    assert flags.encode("green, red,,") == {0, 1}


def test_unknown_flag_is_named_with_the_nearest():
    with pytest.raises(UnknownName, match=r"'sweat'.*did you mean 'sweet'"):
        Flags(NAMES).encode("red,sweat")


@pytest.mark.parametrize("content", ["", " , ", [], None, 3, [3], [["red"]]])
def test_flags_refuse_what_names_no_flag(content):
    with pytest.raises(InvalidInput, match="content"):
        Flags(NAMES).encode(content)


@pytest.mark.parametrize(
    ("names", "index"),
    [(("a", ""), 1), (("a", "b", " a"), 2), (("a,b",), 0), (("a", "b\n c"), 1), (("\ud800",), 0)],
)
def test_flags_refuse_bad_names_and_say_which(names, index):
    with pytest.raises(InvalidInput) as caught:
        Flags(names)
    assert caught.value.index == index


@pytest.mark.parametrize("names", [(), "abc", (1, 2), [str(n) for n in range(65_537)]])
def test_flags_refuse_what_is_no_list_of_names(names):
    with pytest.raises(InvalidInput, match=r"flags|65536"):
        Flags(names)


# -- text ---------------------------------------------------------------------------------


@given(words)
def test_text_round_trip(word):
    text = Text(48)
    bits = text.encode(word)
    assert len(bits) == 2 * len(word.encode())
    assert text.decode(bits) == word
    assert text.show(bits) == repr(word)


@given(words, st.integers(0, 10), st.data())
def test_text_fragment_fits_where_the_word_is(word, start, data):
    text = Text(48)
    inside = data.draw(st.integers(0, len(word) - 1))
    part = word[inside:]
    if "?" in part:
        return  # a wildcard
    offset = len(word[:inside].encode())
    fragments = text.fragments(part)
    assert fragments[offset].bits <= text.encode(word)
    assert fragments[offset].note == f"at position {offset}"
    assert len(fragments) == 48 - len(part.encode()) + 1


def test_question_marks_stand_for_unknown_bytes():
    text = Text(8)
    second_and_fourth = {*range(32, 64), *range(96, 128)}
    assert only(text.fragments("s?i?e")) == text.encode("spike") - second_and_fourth
    assert only(text.fragments("c??")) == only(text.fragments("c?????"))
    assert only(text.fragments("caf??")) <= text.encode("café")


def test_every_byte_has_the_same_number_of_bits():
    assert {len(Text(1).encode(chr(code))) for code in range(1, 128)} == {2}


@pytest.mark.parametrize("codec", [Text(4)])
@pytest.mark.parametrize("content", ["", "abcde", "éaé", None, 7, b"ab", "a\ud800", ["a"]])
def test_text_refuses(codec, content):
    for reading in (codec.encode, codec.fragments):
        with pytest.raises(InvalidInput, match=r"text|content"):
            reading(content)


@pytest.mark.parametrize("fragment", ["?", "????", "?????", "abcd?"])
def test_text_refuses_fragments_that_say_nothing_or_too_much(fragment):
    with pytest.raises(InvalidInput, match=r"no known character|must not exceed 4 bytes"):
        Text(4).fragments(fragment)


@pytest.mark.parametrize("length", [0, -1, 2.0, True, "8", 2049])
def test_text_length_refused(length):
    with pytest.raises(InvalidInput, match=r"length|bits"):
        Text(length)


@given(st.frozensets(st.integers(0, 32 * 6 - 1)))
def test_any_bits_decode_to_a_text_with_gaps_shown(bits):
    shown = Text(6).decode(bits)
    clean = all(len({b for b in bits if b // 16 == half}) in (0, 1) for half in range(12)) and all(
        any(b // 16 == 2 * byte for b in bits) == any(b // 16 == 2 * byte + 1 for b in bits)
        for byte in range(6)
    )
    if not clean:
        assert "\N{REPLACEMENT CHARACTER}" in shown


# -- pictures -----------------------------------------------------------------------------


@given(pictures)
def test_bitmap_round_trip(picture):
    bitmap = Bitmap(7, 5)
    bits = bitmap.encode(picture)
    assert len(bits) == picture.sum()
    assert (bitmap.decode(bits) == picture).all()
    assert only(bitmap.fragments(picture)) == bits
    drawn = bitmap.show(bits).split("\n")
    assert [len(line) for line in drawn] == [7, 7, 7]
    dark = {" ": 0, "▀": 1, "▄": 1, "█": 2}
    assert sum(dark[glyph] for line in drawn for glyph in line) == picture.sum()


@settings(max_examples=20)
@given(pictures)
def test_png_out_and_in(tmp_path_factory, picture):
    path = tmp_path_factory.mktemp("png") / "picture.png"
    write_picture(picture, path)
    with Image.open(path) as image:
        assert (np.asarray(image) == np.where(picture, 0, 255)).all()
    assert (read_picture(path) == picture).all()
    assert Bitmap(7, 5).encode(str(path)) == Bitmap(7, 5).encode(picture)


@pytest.mark.parametrize(
    ("mode", "light", "dark"),
    [
        ("1", 1, 0),
        ("L", 128, 127),
        ("RGB", (255, 255, 0), (0, 0, 255)),
        ("I;16", 32768, 32767),
        ("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)),  # transparent is paper, whatever its colour
        ("RGBA", (0, 0, 0, 120), (0, 0, 0, 140)),
        ("LA", (0, 0), (0, 255)),
    ],
)
def test_dark_pixels_of_every_kind_of_png(tmp_path, mode, light, dark):
    image = Image.new(mode, (2, 1), light)
    image.putpixel((1, 0), dark)
    image.save(tmp_path / "p.png")
    assert read_picture(tmp_path / "p.png").tolist() == [[False, True]]


def test_transparent_palette(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 0, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png", transparency=0)
    assert read_picture(tmp_path / "p.png").tolist() == [[False, True]]


def test_bitmap_refuses(tmp_path):
    bitmap = Bitmap(4, 2)
    Image.new("L", (2, 4)).save(tmp_path / "turned.png")
    Image.new("L", (4, 2), "white").save(tmp_path / "white.png")
    (tmp_path / "text.png").write_text("not a picture")
    for content, message in (
        (tmp_path / "turned.png", "must be 4x2 pixels (got 2x4)"),
        (tmp_path / "white.png", "no dark pixel"),
        (tmp_path / "text.png", "cannot be read"),
        (tmp_path, "cannot be read"),
        (tmp_path / "absent.png", "does not exist"),
        (np.ones((2, 4)), "must be an array of booleans (got float64)"),
        (np.ones((2, 4, 3), bool), "must be 4x2 pixels"),
        (np.ones(8, bool), "must be 4x2 pixels"),
        (np.zeros((2, 4), bool), "no dark pixel"),
        (None, "must be 4x2 pixels"),
    ):
        with pytest.raises(InvalidInput, match=re.escape(message)):
            bitmap.encode(content)
    for size in ((0, 2), (2, -1), (2.0, 2), (True, 2), (257, 256)):
        with pytest.raises(InvalidInput):
            Bitmap(*size)
    with pytest.raises(FileRefused, match="does not exist"):
        write_picture(np.ones((2, 4), bool), tmp_path / "absent" / "p.png")


def test_damaged_pictures_are_refused_or_read_never_worse(tmp_path):
    good = io.BytesIO()
    Image.fromarray(np.eye(9, dtype=np.uint8) * 255).save(good, "PNG")
    rng, path, refused = random.Random(1), tmp_path / "p.png", 0
    for _ in range(800):
        damaged = bytearray(good.getvalue())
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.randrange(len(damaged))] if rng.random() < 0.2 else damaged)
        try:
            assert read_picture(path).dtype == bool
        except SpikecoreError:
            refused += 1
    assert refused > 400


@pytest.mark.parametrize("codec", [Flags(NAMES), Text(9), Bitmap(3, 4)])
def test_codec_describes_itself(codec):
    assert codec_from_dict(codec.to_dict()) == codec


def test_unknown_kind_of_content():
    with pytest.raises(UnknownName, match="'sound'"):
        codec_from_dict({"kind": "sound"})
