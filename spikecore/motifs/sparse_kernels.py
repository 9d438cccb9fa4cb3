"""The compiled heart of the event-by-event layer.

Each pixel keeps a word of bits: which of the last ticks had an event, for each polarity.
The ring of bits never moves; instead the masks that say where weights lie are turned once
a tick. An event then costs one pass over the words of its neighbourhood, and one row of
weights for each earlier event that a weight applies to. Cost follows the events, not the
pixels, the ticks, or the places where a weight could have been.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["run"]


@intrinsic
def _ones(_typing: Any, _word: Any) -> Any:
    """Return the number of set bits of a 64-bit word."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), emit


@intrinsic
def _lowest(_typing: Any, _word: Any) -> Any:
    """Return the position of the lowest set bit of a word that is not zero."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), emit


@intrinsic
def _power_of_two(_typing: Any, _exponent: Any) -> Any:
    """Return 2 to an integer from -126 to 127, as float32."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        biased = builder.add(arguments[0], ir.Constant(word, 127))
        return builder.bitcast(builder.shl(biased, ir.Constant(word, 23)), ir.FloatType())

    return types.float32(types.int32), emit


_inner = njit(  # type: ignore[call-overload]
    no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False
)

ZERO, ONE = np.uint64(0), np.uint64(1)


@_inner
def _turn(masks: Any, turned: Any, ring: Any, tick: Any) -> None:
    """Turn masks (delay -> bit -delay) so that they fit the ring of bits at ``tick``."""
    by = np.uint64(tick) & np.uint64(ring - 1)
    rest = np.uint64(ring) - by
    full = ~ZERO if ring == 64 else (ONE << np.uint64(ring)) - ONE  # noqa: PLR2004
    for i in range(turned.shape[0]):
        word = ZERO
        for part in range(64 // ring):
            shift = np.uint64(part * ring)
            m = (masks[i] >> shift) & full
            if by != ZERO:
                m = ((m << by) | (m >> rest)) & full
            word |= m << shift
        turned[i] = word


@_inner
def _neighbours(
    history: Any, at: Any, spans: Any, taps: Any, window: Any, words: Any, places: Any
) -> Any:
    """Collect the words that weights apply to; return how many, and the events nearby.

    Unsigned indices throughout: numba would test signed ones for counting from the end,
    and LLVM would not use vector instructions.
    """
    found, near = ZERO, ZERO
    for s in range(spans.shape[0]):
        start = np.uint64(at + spans[s, 0])
        place = np.uint64(spans[s, 1])
        count = np.uint64(spans[s, 2])
        for i in range(count):
            near += _ones(history[start + i] & window[place + i])  # type: ignore[call-arg]
        for i in range(count):
            word = history[start + i] & taps[place + i]
            words[found] = word
            places[found] = place + i
            found += np.uint64(word != ZERO)
    return found, near


@_inner
def _pick_rows(
    words: Any, places: Any, found: Any, tick: Any, ring: Any, table: Any, picked: Any
) -> Any:
    """List the row of weights of every set bit; return how many."""
    mask = np.uint64(ring - 1)
    now = np.uint64(tick)
    pairs = ZERO
    for n in range(found):
        word = words[n]
        base = places[n] << np.uint64(6)
        while word != ZERO:
            bit: Any = _lowest(word)  # type: ignore[call-arg]
            word &= word - ONE
            picked[pairs] = table[base + (bit & ~mask) + ((now - bit) & mask)]
            pairs += ONE
    return pairs


@_inner
def _add_rows(picked: Any, pairs: Any, rows: Any, total: Any) -> None:
    """Add the picked rows of weights to ``total``.

    Four rows at a time, so that the sums are loaded and stored once for four; row 0 is
    all zeros and fills up the last four.
    """
    four, lanes = np.uint64(4), np.uint64(32)
    for extra in range(pairs, pairs + np.uint64(3)):
        picked[extra] = 0
    blocks = np.uint64(total.shape[0]) // lanes
    for n in range((pairs + np.uint64(3)) // four):
        a = np.uint64(picked[n * four])
        b = np.uint64(picked[n * four + ONE])
        c = np.uint64(picked[n * four + np.uint64(2)])
        d = np.uint64(picked[n * four + np.uint64(3)])
        for block in range(blocks):
            start = block * lanes
            for lane in range(lanes):
                k = start + lane
                total[k] += (rows[a, k] + rows[b, k]) + (rows[c, k] + rows[d, k])


@_inner
def _exp(x: Any) -> Any:
    """Return e to the power of x, for x from -87 to 0; relative error below 1e-5.

    Unlike a call of the library's function, LLVM can work on 16 of these at once.
    """
    y = x * np.float32(1.4426950408889634)
    whole = np.floor(y)
    f = y - whole
    p = np.float32(1.87757277e-03)
    p = p * f + np.float32(8.98934470e-03)
    p = p * f + np.float32(5.58263192e-02)
    p = p * f + np.float32(2.40153614e-01)
    p = p * f + np.float32(6.93153074e-01)
    p = p * f + np.float32(9.99999925e-01)
    return p * _power_of_two(np.int32(whole))  # type: ignore[call-arg]


@_inner
def _read_out(total: Any, bias: Any, classes: int, invariant: bool, scale: Any, out: Any) -> Any:
    """Turn sums into evidence in ``out``; return the class with most."""
    best = 0
    for c in range(classes):
        value = np.float32(total[c])
        if invariant:
            value = max(value, np.float32(total[classes + c]))
        out[c] = value * scale + bias[c]
    for c in range(1, classes):
        if out[c] > out[best]:
            best = c
    return best


@njit(cache=True, nogil=True)
def run(
    ticks: Any,
    pixels: Any,
    polarities: Any,
    cells: Any,
    first: int,
    every: int,
    phase: int,
    history: Any,
    depth: int,
    masks: Any,
    spans: Any,
    table: Any,
    rows: Any,
    zero_row: Any,
    bias: Any,
    norm: Any,
    ring: int,
    invariant: bool,
    log_posterior: Any,
    counts: Any,
    best: Any,
    confidence: Any,
    evidence: Any,
    floor: float,
) -> Any:
    """Put events into the history, tick by tick, and read the layer out at each.

    Events before ``first`` are in the history already; they are here so that their bits
    can be cleared when the ring comes round. Returns voxels, voxels read, and pairs.
    """
    classes = bias.shape[0]
    taps, window = np.empty_like(masks[0]), np.empty_like(masks[0])
    words, places = np.empty(taps.size + 1, np.uint64), np.empty(taps.size + 1, np.uint64)
    picked = np.empty(taps.size * 64 + 4, np.int32)
    total = zero_row.copy()
    out, shares = np.empty(classes, np.float32), np.empty(classes, np.float32)
    expired, i, n = 0, first, ticks.shape[0]
    voxels, read, pairs = 0, 0, ZERO
    while i < n:
        tick = ticks[i]
        while expired < i and ticks[expired] <= tick - ring:
            field = polarities[expired] * ring + (ticks[expired] & (ring - 1))
            history[pixels[expired] * depth + (field >> 6)] &= ~(ONE << np.uint64(field & 63))
            expired += 1
        j = i
        while j < n and ticks[j] == tick:
            field = polarities[j] * ring + (tick & (ring - 1))
            at = pixels[j] * depth + (field >> 6)
            bit = ONE << np.uint64(field & 63)
            best[j] = -2 if history[at] & bit else -1
            history[at] |= bit
            j += 1
        _turn(masks[0], taps, ring, tick)
        _turn(masks[1], window, ring, tick)
        for e in range(i, j):
            if best[e] == -2:  # noqa: PLR2004
                continue
            voxels += 1
            if cells[e] < 0 or (voxels + phase) % every:
                continue
            at = pixels[e] * depth
            found, near = _neighbours(history, at, spans, taps, window, words, places)
            count = _pick_rows(words, places, found, tick, ring, table, picked)
            total[:] = zero_row
            _add_rows(picked, count, rows, total)
            pairs += count
            read += 1
            scale = norm[min(np.int64(near), norm.shape[0] - 1)]
            top = _read_out(total, bias, classes, invariant, scale, out)
            best[e] = top
            if evidence.shape[0]:
                evidence[e, :] = out
            highest, total_p = out[top], np.float32(0.0)
            for c in range(classes):
                shares[c] = _exp(max(out[c] - highest, np.float32(-87.0)))
            for c in range(classes):
                total_p += shares[c]
            confidence[e] = np.float32(1.0) / total_p
            base = highest + np.log(total_p)
            for c in range(classes):
                log_posterior[cells[e], c] += max(out[c] - base, np.float32(floor))
            counts[cells[e]] += 1
        i = j
    return voxels, read, pairs
