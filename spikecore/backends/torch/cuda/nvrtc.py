"""Compiling CUDA C++ with NVRTC and launching it through the driver, by ctypes.

Both libraries come with torch and the driver, so that nothing else has to be installed;
launches go to torch's current stream and can be captured into its graphs.
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikecore.errors import BackendUnavailable

__all__ = ["Module", "compile_cubin", "module"]


class Module:
    """Kernels of one source, loaded on the current device.

    Parameters
    ----------
    cubin : bytes
        From :func:`compile_cubin`.
    """

    def __init__(self, cubin: bytes) -> None:
        torch.zeros(1, device="cuda")  # the context has to exist
        self._driver = _library("the NVIDIA driver", ["libcuda.so.1"])
        self._cubin = cubin  # the driver may read it later
        self._context, self._module = ctypes.c_void_p(), ctypes.c_void_p()
        self._check(self._driver.cuCtxGetCurrent(ctypes.byref(self._context)))
        self._check(self._driver.cuModuleLoadData(ctypes.byref(self._module), cubin))
        self._functions: dict[str, ctypes.c_void_p] = {}

    def launch(
        self,
        name: str,
        grid: tuple[int, int],
        block: int,
        *arguments: torch.Tensor | np.generic,
        resident: bool = False,
    ) -> None:
        """Launch a kernel on torch's current stream.

        Parameters
        ----------
        name : str
        grid : (int, int)
        block : int
            Threads.
        *arguments : tensor or numpy scalar
            Tensors stand for their address; numpy scalars (structures too) are copied.
        resident : bool
            All blocks have to be on the device at the same time; refused if they cannot be.
        """
        values: list[Any] = [
            ctypes.c_void_p(a.data_ptr())
            if isinstance(a, torch.Tensor)
            else ctypes.create_string_buffer(a.tobytes(), a.nbytes)
            for a in arguments
        ]
        pointers = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        self._check(self._driver.cuCtxSetCurrent(self._context))  # autograd has its own threads
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        function = self._function(name)
        sizes = (*grid, 1, block, 1, 1, 0)
        if resident:
            self._check(self._driver.cuLaunchCooperativeKernel(function, *sizes, stream, pointers))
        else:
            self._check(self._driver.cuLaunchKernel(function, *sizes, stream, pointers, None))

    def blocks_per_multiprocessor(self, name: str, block: int) -> int:
        """Return how many blocks of ``block`` threads a multiprocessor has room for."""
        found = ctypes.c_int()
        self._check(self._driver.cuCtxSetCurrent(self._context))
        self._check(
            self._driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(
                ctypes.byref(found), self._function(name), block, ctypes.c_size_t(0)
            )
        )
        return found.value

    def _function(self, name: str) -> ctypes.c_void_p:
        if name not in self._functions:
            found = ctypes.c_void_p()
            self._check(
                self._driver.cuModuleGetFunction(ctypes.byref(found), self._module, name.encode())
            )
            self._functions[name] = found
        return self._functions[name]

    def _check(self, code: int) -> None:
        if code:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(code, ctypes.byref(text))
            raise RuntimeError(f"CUDA error {code}: {(text.value or b'?').decode()}")


@cache
def module(source: str, options: tuple[str, ...]) -> Module:
    """Return the compiled and loaded ``source``; each only once in a process."""
    major, minor = torch.cuda.get_device_capability()
    return Module(compile_cubin(source, (f"--gpu-architecture=sm_{major}{minor}", *options)))


def compile_cubin(source: str, options: tuple[str, ...]) -> bytes:
    """Compile CUDA C++ for a real architecture; needs no GPU.

    Raises
    ------
    BackendUnavailable
        If NVRTC is not installed.
    RuntimeError
        With the compiler's words, if the source is not accepted.
    """
    nvrtc = _library("NVRTC", _nvrtc_candidates())
    program = ctypes.c_void_p()

    def check(code: int) -> None:
        if code:
            size = ctypes.c_size_t()
            nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            nvrtc.nvrtcGetProgramLog(program, log)
            raise RuntimeError(f"NVRTC error {code}: {log.value.decode()}")

    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"k.cu", 0, None, None))
    try:
        encoded = [o.encode() for o in ("--std=c++17", *options)]
        check(nvrtc.nvrtcCompileProgram(program, len(encoded), _strings(encoded)))
        size = ctypes.c_size_t()
        check(nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)))
        cubin = ctypes.create_string_buffer(size.value)
        check(nvrtc.nvrtcGetCUBIN(program, cubin))
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return cubin.raw


def _strings(values: list[bytes]) -> Any:
    return (ctypes.c_char_p * len(values))(*values)


def _nvrtc_candidates() -> list[str]:
    """Return where NVRTC may be: in the packages that torch depends on, or in the system."""
    found: list[str] = []
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        found += sorted(
            str(path)
            for path in Path(folder).rglob("libnvrtc.so.*")
            if "builtins" not in path.name and ".alt." not in path.name
        )
    return [*found, "libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"]


def _library(what: str, candidates: list[str]) -> ctypes.CDLL:
    for path in candidates:
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise BackendUnavailable(
        "backend 'torch', device 'cuda'",
        f"needs {what}",
        got="no such library",
        fix="install torch with its CUDA packages, or use device='cpu'",
    )
