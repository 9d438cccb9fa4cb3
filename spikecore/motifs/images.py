"""Pictures that scenes are made of: natural images, their filters, and drawn shapes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, UnidentifiedImageError

from spikecore.errors import BackendUnavailable, FileRefused
from spikecore.randomness import stream

__all__ = ["HEIGHT", "WIDTH", "draw_shapes", "load_images", "log_contrast", "standardise", "whiten"]

HEIGHT, WIDTH = 320, 480
"""All pictures of a bank have this size; larger ones give several."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")

PACKAGED = {
    "skimage": (
        "data",
        "astronaut brick camera cell chelsea clock_motion coffee coins grass gravel "
        "hubble_deep_field ihc moon motorcycle_left retina rocket",
    ),
    "sklearn": ("datasets/images", "china flower"),
}
"""Natural pictures that scikit-image and scikit-learn ship, by package and folder."""

FloatArray = npt.NDArray[np.float32]


def load_images(folder: str | os.PathLike[str] | None = None) -> FloatArray:
    """Read natural images as grey tiles of one size.

    Parameters
    ----------
    folder : path, optional
        Pictures in any common format. Default: those that scikit-image and scikit-learn
        ship.

    Returns
    -------
    ndarray of float32, shape (N, 320, 480)
        Grey, 0 to 255, in the order of the file names. A picture that is too small is
        enlarged; a large one gives several tiles that do not overlap.

    Raises
    ------
    FileRefused
        If the folder is missing or has no picture, or a picture cannot be read.
    BackendUnavailable
        If no folder is given and neither package is installed.
    """
    tiles: list[FloatArray] = []
    for path in _packaged_paths() if folder is None else _paths_in(Path(folder)):
        try:
            with Image.open(path) as picture:
                grey = np.asarray(picture.convert("L"), np.float32)
        except (OSError, UnidentifiedImageError) as error:
            raise FileRefused(
                str(path), "is not a picture", got=str(error), fix="remove it from the folder"
            ) from error
        tiles += _tiles(grey)
    return np.stack(tiles)


def _paths_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileRefused(str(folder), "is not a folder", fix="name a folder with pictures")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise FileRefused(
            str(folder), "holds no pictures", fix=f"put {', '.join(PICTURE_SUFFIXES)} files there"
        )
    return paths


def _packaged_paths() -> list[Path]:
    paths: list[Path] = []
    for package, (folder, names) in PACKAGED.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        home = Path(spec.origin).parent / folder
        found = {p.stem: p for p in sorted(home.iterdir()) if p.suffix in PICTURE_SUFFIXES}
        paths += [found[name] for name in names.split() if name in found]
    if not paths:
        raise BackendUnavailable(
            "images",
            "needs pictures, and neither scikit-image nor scikit-learn is installed",
            fix="pip install 'spikecore[motion]', or give a folder of pictures",
        )
    return paths


def _tiles(grey: FloatArray) -> list[FloatArray]:
    """Cut a picture into tiles of HEIGHT x WIDTH, enlarging it if it is smaller."""
    if grey.shape[0] > grey.shape[1]:
        grey = grey.T
    scale = max(HEIGHT / grey.shape[0], WIDTH / grey.shape[1])
    if scale > 1.0:
        size = (max(WIDTH, round(grey.shape[1] * scale)), max(HEIGHT, round(grey.shape[0] * scale)))
        picture = Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS)
        grey = np.asarray(picture, np.float32)
    rows, columns = grey.shape[0] // HEIGHT, grey.shape[1] // WIDTH
    return [
        np.ascontiguousarray(grey[r * HEIGHT :, c * WIDTH :][:HEIGHT, :WIDTH])
        for r in range(rows)
        for c in range(columns)
    ]


def standardise(images: FloatArray) -> FloatArray:
    """Return each image with mean 0 and standard deviation 1."""
    centred = images - images.mean((1, 2), keepdims=True)
    scaled: FloatArray = centred / np.maximum(centred.std((1, 2), keepdims=True), 1e-6)
    return scaled


def log_contrast(images: FloatArray) -> FloatArray:
    """Return the standardised logarithm of each image, as an event camera sees it."""
    return standardise(np.log(images + np.float32(12.0)))


def whiten(images: FloatArray) -> FloatArray:
    """Return each image with its spectrum flattened, then cut off at high frequencies.

    The filter is ``f exp(-(f / 0.4)^4)``, f in cycles a pixel (Olshausen & Field 1997).
    """
    height, width = images.shape[1:]
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    spectrum = np.fft.rfft2(images) * (f * np.exp(-((f / 0.4) ** 4)))
    return standardise(np.fft.irfft2(spectrum, s=(height, width)).astype(np.float32))


def draw_shapes(count: int, seed: int = 0) -> FloatArray:
    """Draw random polygons, ellipses, arcs and strokes on plain ground.

    Cameras often look at few edges on an even background, which natural images lack.

    Returns
    -------
    ndarray of float32, shape (count, 320, 480)
        Standardised.
    """
    rng = stream(seed, "motifs/shapes")
    return standardise(np.stack([_draw_one(rng) for _ in range(count)]))


def _draw_one(rng: np.random.Generator) -> FloatArray:
    ground = int(rng.integers(256))
    picture = Image.new("L", (2 * WIDTH, 2 * HEIGHT), ground)  # drawn at twice the size
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(15, 90))):
        grey = int(ground + rng.integers(50, 206)) % 256
        centre = rng.uniform((0, 0), (2 * WIDTH, 2 * HEIGHT))
        radius = float(np.exp(rng.uniform(np.log(12), np.log(90))))
        thick = int(rng.integers(3, 16))
        kind = rng.integers(4)
        if kind == 0:
            corners = centre + radius * rng.standard_normal((int(rng.integers(3, 6)), 2))
            draw.polygon([tuple(c) for c in corners], fill=grey)
        elif kind == 1:
            half = radius * rng.uniform(0.3, 1.0, 2)
            draw.ellipse([*(centre - half), *(centre + half)], fill=grey)
        elif kind == 2:  # noqa: PLR2004
            half = radius * np.array([1.0, rng.uniform(0.4, 1.0)])
            start, stop = rng.uniform(0, 360), rng.uniform(360, 700)
            draw.arc([*(centre - half), *(centre + half)], start, stop, fill=grey, width=thick)
        else:
            steps = radius * rng.standard_normal((int(rng.integers(1, 4)), 2))
            points: Sequence[tuple[float, ...]] = [
                tuple(p) for p in np.vstack([centre, centre + np.cumsum(steps, 0)])
            ]
            draw.line(list(points), fill=grey, width=thick, joint="curve")
    blurred = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.6, 2.4))))
    return np.asarray(blurred.resize((WIDTH, HEIGHT), Image.Resampling.BOX), np.float32)
