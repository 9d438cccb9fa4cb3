// Numbers as they are kept (REAL: float, double or bfloat16) and as they are computed with (WIDE).

#if HALF
// bfloat16 is the upper half of a float; rounded to nearest, ties to even.
__device__ __forceinline__ float wide(unsigned short v) { return __uint_as_float((unsigned)v << 16); }
__device__ __forceinline__ unsigned short narrow(float v) {
    const unsigned u = __float_as_uint(v);
    return (u + 0x7fff + (u >> 16 & 1)) >> 16;
}
#else
__device__ __forceinline__ WIDE wide(REAL v) { return v; }
__device__ __forceinline__ REAL narrow(WIDE v) { return v; }
#endif

