"""Kernels that need no more of CUDA than a thread number and shuffles, compiled for the CPU.

Where there is no GPU, this still shows what their source computes: one thread after the other;
where threads exchange values, those of a block at the same time.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import torch

HAS_COMPILER = shutil.which("g++") is not None

_BEFORE = """
#include <cmath>
#include <cstddef>
#include <cstring>
using std::exp;
using std::fabs;
using std::fma;
using std::tanh;
struct Place { int x, y, z; };
static thread_local Place blockIdx, blockDim = {1, 1, 1}, threadIdx = {0, 0, 0};
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(n)
static float __uint_as_float(unsigned u) { float f; std::memcpy(&f, &u, 4); return f; }
static unsigned __float_as_uint(float f) { unsigned u; std::memcpy(&u, &f, 4); return u; }
"""
_AFTER = """
#define THREADS for (blockIdx.x = 0; blockIdx.x < size; blockIdx.x++)
extern "C" void forward_all(int ticks, int size, int neurons, const Pack *drive, const Pack *lift,
        const WIDE *decay, const WIDE *threshold, const WIDE *reset, const int *rest, Pack *spikes,
        WIDE *kept, int *left, WIDE *last) {
    THREADS forward(ticks, size, neurons, drive, lift, decay, threshold, reset, rest, spikes, kept,
                    left, last);
}
extern "C" void backward_all(int ticks, int size, int neurons, const Pack *drive, const Pack *grad,
        const Pack *lift, const WIDE *decay, const WIDE *threshold, const WIDE *reset,
        const int *rest, const WIDE *kept, const int *left, Pack *by_drive, WIDE *by_decay,
        Pack *by_lift) {
    THREADS backward(ticks, size, neurons, drive, grad, lift, decay, threshold, reset, rest, kept,
                     left, by_drive, by_decay, by_lift);
}
extern "C" void leaky_all(int ticks, int size, int neurons, int reverse, const Pack *x,
        const WIDE *decay, Pack *y) {
    THREADS leaky(ticks, size, neurons, reverse, x, decay, y);
}
"""

_BEFORE_GROUPS = """
#include <barrier>
#include <thread>
#include <vector>
// a warp of two groups, so that there are lanes beyond the end
static std::barrier<> *warp;
template <typename T> T __shfl_sync(unsigned, T value, int lane, int width) {
    static T given[64];
    given[threadIdx.x] = value;
    warp->arrive_and_wait();
    const T found = given[threadIdx.x / width * width + lane];
    warp->arrive_and_wait();
    return found;
}
template <typename F> void in_warps(int size, F run) {
    std::barrier<> all(2 * GROUP);
    warp = &all;
    std::vector<std::thread> threads;
    for (int lane = 0; lane < 2 * GROUP; lane++)
        threads.emplace_back([=] {
            blockDim.x = 2 * GROUP;
            threadIdx.x = lane;
            for (int b = 0; b * 2 * GROUP < size; b++) {
                blockIdx.x = b;
                run();
            }
        });
    for (auto &thread : threads) thread.join();
}
"""
_AFTER_GROUPS = """
extern "C" void forward_all(int ticks, int size, int neurons, const REAL *drive, const WIDE *decay,
        const WIDE *threshold, const WIDE *synapses, const WIDE *start, const WIDE *started,
        REAL *spikes, WIDE *kept, WIDE *kept_spikes, WIDE *last, WIDE *fired) {
    in_warps(size, [=] { forward(ticks, size, neurons, drive, decay, threshold, synapses, start,
                                 started, spikes, kept, kept_spikes, last, fired); });
}
extern "C" void backward_all(int ticks, int size, int neurons, const REAL *drive, const REAL *grad,
        const WIDE *decay, const WIDE *threshold, const WIDE *synapses, const WIDE *kept,
        const WIDE *kept_spikes, REAL *by_drive, WIDE *by_synapses) {
    in_warps(size, [=] { backward(ticks, size, neurons, drive, grad, decay, threshold, synapses,
                                  kept, kept_spikes, by_drive, by_synapses); });
}
"""

_BEFORE_BLOCKS = """
#include <barrier>
#include <thread>
#include <vector>
#define __shared__ static
static std::barrier<> *block;
static void __syncthreads() { block->arrive_and_wait(); }
template <typename F> void in_blocks(int blocks, F run) {
    std::barrier<> all(THREADS);
    block = &all;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < THREADS; thread++)
        threads.emplace_back([=] {
            blockDim.x = THREADS;
            threadIdx.x = thread;
            for (int b = 0; b < blocks; b++) {
                blockIdx.x = b;
                run();
                __syncthreads();
            }
        });
    for (auto &thread : threads) thread.join();
}
"""
_AFTER_BLOCKS = """
extern "C" void forward_all(int ticks, int batch, const REAL *drive, const REAL *synapses,
        const WIDE *start, const WIDE *started, REAL *events, REAL *kept, WIDE *last, WIDE *sent) {
    in_blocks(batch, [=] { forward(ticks, batch, drive, synapses, start, started, events, kept,
                                   last, sent); });
}
extern "C" void backward_all(int ticks, int batch, const REAL *grad, const REAL *transposed,
        const WIDE *start, const WIDE *started, const REAL *events, const REAL *kept,
        REAL *by_drive) {
    in_blocks(batch, [=] { backward(ticks, batch, grad, transposed, start, started, events, kept,
                                    by_drive); });
}
"""


class Module:
    """Stands for :class:`spikecore.backends.torch.cuda.nvrtc.Module`."""

    def __init__(self, source, options, folder):
        defined = (o[2:].split("=", 1) for o in options if o.startswith("-D"))
        lines = [f"#define {name} {value}" for name, value in defined]
        path = folder / f"{abs(hash((source, options)))}.cpp"
        before, after = (_BEFORE, _AFTER)
        if "__shfl_sync" in source:
            before, after = _BEFORE + _BEFORE_GROUPS, _AFTER_GROUPS
        elif "__syncthreads" in source:
            before, after = _BEFORE + _BEFORE_BLOCKS, _AFTER_BLOCKS
        path.write_text("\n".join([*lines, before, source, after]))
        flags = ["-std=c++20", "-pthread", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-w"]
        built = path.with_suffix(".so")
        subprocess.run(["g++", *flags, "-o", str(built), str(path)], check=True)
        self.library = ctypes.CDLL(str(built))

    def launch(self, name, _grid, _block, *arguments):
        given = [
            ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else int(a)
            for a in arguments
        ]
        getattr(self.library, f"{name}_all")(*given)
