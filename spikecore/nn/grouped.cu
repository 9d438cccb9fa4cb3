// Leaky integrate-and-fire neurons whose spikes reach the others of their group a tick later, one
// thread for each neuron, groups of GROUP neighbours; hard reset to 0, no gradient through it.
// The host defines REAL, WIDE, HALF and SLOPE(x) as for lif.cu, and
//   GROUP           2, 4, 8, 16 or 32: a part of a warp, which exchanges spikes by shuffles
//   GRADED          1: a spike has the height of the membrane, not 1; to its group, at most 1
// Every CHUNK-th state is kept, the others are computed again on the way back.

#define CHUNK 8
#define FROM(value, lane) __shfl_sync(0xffffffffu, value, lane, GROUP)

// What this neuron gets from its group.
__device__ __forceinline__ WIDE gathered(WIDE mine, const WIDE (&weights)[GROUP]) {
    WIDE sum = 0;
#pragma unroll
    for (int k = 0; k < GROUP; k++) sum += FROM(mine, k) * weights[k];
    return sum;
}

__device__ __forceinline__ void tick(WIDE drive, WIDE decay, WIDE threshold, const WIDE (&into)[GROUP],
                                     WIDE &h, WIDE &v, WIDE &s) {
    h = drive + decay * v + gathered(s < 1 ? s : (WIDE)1, into);
    const bool fires = h >= threshold;
    s = !fires ? (WIDE)0 : GRADED ? h : (WIDE)1;
    v = fires ? (WIDE)0 : h;
}

extern "C" __global__ void __launch_bounds__(128)
    forward(const int ticks, const int size, const int neurons, const REAL *__restrict__ drive,
            const WIDE *decay, const WIDE *threshold, const WIDE *synapses, const WIDE *start,
            const WIDE *started, REAL *spikes, WIDE *kept, WIDE *kept_spikes, WIDE *last,
            WIDE *fired) {
    // threads beyond the end do the work of others, so that all lanes of a warp take part
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, i = thread % size, n = i % neurons;
    const int lane = n % GROUP, group = n / GROUP;
    WIDE into[GROUP], h, v = start[i], s = started[i];
#pragma unroll
    for (int k = 0; k < GROUP; k++) into[k] = synapses[(group * GROUP + k) * GROUP + lane];
    for (int t0 = 0; t0 < ticks; t0 += CHUNK) {
        const size_t chunk = (size_t)(t0 / CHUNK) * size + i;
        kept[chunk] = v;
        kept_spikes[chunk] = s;
        REAL in[CHUNK];
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            if (t0 + j < ticks) in[j] = drive[(size_t)(t0 + j) * size + i];
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            if (t0 + j < ticks) {
                tick(wide(in[j]), decay[n], threshold[n], into, h, v, s);
                spikes[(size_t)(t0 + j) * size + i] = narrow(s);
            }
    }
    last[i] = v;
    fired[i] = s;
}

extern "C" __global__ void __launch_bounds__(128)
    backward(const int ticks, const int size, const int neurons, const REAL *__restrict__ drive,
             const REAL *__restrict__ grad, const WIDE *decay, const WIDE *threshold,
             const WIDE *synapses, const WIDE *kept, const WIDE *kept_spikes, REAL *by_drive,
             WIDE *by_synapses) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, i = thread % size, n = i % neurons;
    const int lane = n % GROUP, group = n / GROUP;
    const WIDE fades = decay[n], level = threshold[n], per_height = 1 / level;
    WIDE into[GROUP], from[GROUP], sums[GROUP], later = 0;  // d loss / d h of the tick after
#pragma unroll
    for (int k = 0; k < GROUP; k++) {
        into[k] = synapses[(group * GROUP + k) * GROUP + lane];
        from[k] = synapses[(group * GROUP + lane) * GROUP + k];
        sums[k] = 0;
    }
    for (int t0 = (ticks - 1) / CHUNK * CHUNK; t0 >= 0; t0 -= CHUNK) {
        const size_t chunk = (size_t)(t0 / CHUNK) * size + i;
        REAL in[CHUNK], out[CHUNK];
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            if (t0 + j < ticks) {
                in[j] = drive[(size_t)(t0 + j) * size + i];
                out[j] = grad[(size_t)(t0 + j) * size + i];
            }
        WIDE h[CHUNK], before[CHUNK], v = kept[chunk], s = kept_spikes[chunk];
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            if (t0 + j < ticks) {
                before[j] = s;
                tick(wide(in[j]), fades, level, into, h[j], v, s);
            }
#pragma unroll
        for (int j = CHUNK - 1; j >= 0; j--)
            if (t0 + j < ticks) {
                const bool spike = h[j] >= level;
                const WIDE x = (h[j] - level) * per_height;
                const WIDE slope = (WIDE)(SLOPE(x)) * per_height;
                // of a graded spike: that of its height, and of the jump to the threshold
                const WIDE shows = GRADED ? (spike ? (WIDE)1 : (WIDE)0) + level * slope : slope;
                const WIDE back = gathered(later, from);  // of a height beyond 1 nothing is heard
                const WIDE heard = GRADED && spike && h[j] > 1 ? (WIDE)0 : back;
                const WIDE by_spike = shows * (wide(out[j]) + heard);
                later = by_spike + (spike ? (WIDE)0 : fades) * later;
                const WIDE came = before[j] < 1 ? before[j] : (WIDE)1;
#pragma unroll
                for (int k = 0; k < GROUP; k++) sums[k] += FROM(came, k) * later;
                by_drive[(size_t)(t0 + j) * size + i] = narrow(later);
            }
    }
#pragma unroll
    for (int k = 0; k < GROUP; k++) by_synapses[(size_t)(i - lane + k) * GROUP + lane] = sums[k];
}
