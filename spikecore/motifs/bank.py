"""Images that windows are read from at any sub-pixel offset, on the device that trains."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["ImageBank"]

CHUNK = 16
"""Windows are read for so many movies at a time: each needs its image in full precision."""


class ImageBank:
    """Images, enlarged once, that windows can be read from at any sub-pixel offset.

    Parameters
    ----------
    images : ndarray of float32, shape (N, H, W)
        Filtered images (:func:`~spikecore.motifs.images.whiten`, ...).
    device : str
        Where the images and all that is made of them live.
    upsample : int
        Enlargement by exact Fourier interpolation; reading is bilinear between those
        samples. 8 keeps the error of a whitened image near 1 %.
    """

    def __init__(self, images: np.ndarray, device: str = "cpu", upsample: int = 8) -> None:
        self.upsample = upsample
        self.shape = images.shape[1:]
        self.images = torch.stack(
            [_enlarge(torch.as_tensor(image, device=device), upsample).half() for image in images]
        )

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @property
    def device(self) -> torch.device:
        """Where the images live."""
        return self.images.device

    def windows(self, index: Tensor, x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
        """Return windows of images, one for each time.

        Parameters
        ----------
        index : Tensor of int64, shape (B,)
            Which image.
        x, y : Tensor of float32, shape (B, T)
            Upper left corner, pixels of the original image.
        height, width : int
            Size of the window, pixels.

        Returns
        -------
        Tensor of float32, shape (B, T, height, width)
        """
        parts = [
            self._read(index[i : i + CHUNK], x[i : i + CHUNK], y[i : i + CHUNK], height, width)
            for i in range(0, len(index), CHUNK)
        ]
        return torch.cat(parts)

    def _read(self, index: Tensor, x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
        b, t = x.shape
        images = self.images[index].float()[:, None]
        rows = (y[:, :, None] + torch.arange(height, device=y.device)) * self.upsample
        columns = (x[:, :, None] + torch.arange(width, device=x.device)) * self.upsample
        rows = rows / (images.shape[2] - 1) * 2 - 1
        columns = columns / (images.shape[3] - 1) * 2 - 1
        shape = (b, t, height, width)
        grid = torch.stack(
            [columns[:, :, None, :].expand(shape), rows[:, :, :, None].expand(shape)], -1
        )
        read = torch.nn.functional.grid_sample(
            images, grid.reshape(b, t * height, width, 2), align_corners=True
        )
        return read.reshape(shape)


def _enlarge(image: Tensor, factor: int) -> Tensor:
    """Interpolate a real image exactly, by padding its spectrum with zeros."""
    height, width = image.shape
    spectrum = torch.fft.rfft2(image)
    wide = spectrum.new_zeros(factor * height, factor * width // 2 + 1)
    half = height // 2
    wide[:half, : spectrum.shape[1]] = spectrum[:half]
    wide[-half:, : spectrum.shape[1]] = spectrum[-half:]
    size = (factor * height, factor * width)
    return torch.fft.irfft2(wide, s=size) * factor**2
