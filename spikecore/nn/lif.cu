// Leaky integrate-and-fire neurons over time, forward and backward, one thread for VECTOR neighbours
// of the last axes. The host defines
//   REAL            float, double or __nv_bfloat16: what is read and written; sums are WIDE
//   WIDE            float or double
//   VECTOR          1, or 2 if the number of elements is even
//   HARD            1: a spike sets the membrane to `reset`; 0: it lowers it by threshold - reset
//   DETACH          1: no gradient through the reset
//   RESTS           1: refractory periods are given
//   SLOPE(x)        the surrogate, of x = (h - threshold) / (threshold - reset)
//   BY_DECAY        1: the gradient by the decay is wanted
//   LIFTS           1: `lift` is added to h where the threshold is tested, and nowhere else
//   GRADED          1: a spike has the height of what was tested, not 1
// Only every CHUNK-th state is kept; the backward pass computes the others again, from the same
// numbers by the same operations. That is less memory to move than keeping them.

#define CHUNK 16

struct alignas(VECTOR * sizeof(REAL)) Pack { REAL v[VECTOR]; };

struct Neuron { WIDE decay, threshold, reset, height, per_height; int rest; };

__device__ __forceinline__ Neuron neuron(int n, const WIDE *decay, const WIDE *threshold,
                                         const WIDE *reset, const int *rest) {
    const WIDE height = threshold[n] - reset[n];
    return {decay[n], threshold[n], reset[n], height, 1 / height, RESTS ? rest[n] : 0};
}

// One tick: h before the reset, v after it; returns the spike, and whether v was held.
__device__ __forceinline__ bool tick(WIDE drive, WIDE lift, WIDE &h, WIDE &v, int &left, bool &held,
                                     const Neuron &n) {
    held = RESTS && left > 0;
    h = drive + n.decay * v;
    if (HARD && held) h = v;
    const bool fires = (LIFTS ? h + lift : h) >= n.threshold && !held;
    v = !fires ? h : HARD ? n.reset : h - n.height;
    if (RESTS) left = fires ? n.rest : left > 0 ? left - 1 : 0;
    return fires;
}

extern "C" __global__ void __launch_bounds__(256)
    forward(const int ticks, const int size, const int neurons, const Pack *__restrict__ drive,
            const Pack *__restrict__ lift, const WIDE *decay, const WIDE *threshold, const WIDE *reset,
            const int *rest, Pack *spikes, WIDE *kept, int *kept_left, WIDE *last) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    Neuron n[VECTOR];
    WIDE v[VECTOR], h;
    int left[VECTOR];
    bool held;
#pragma unroll
    for (int k = 0; k < VECTOR; k++) {
        n[k] = neuron((i * VECTOR + k) % neurons, decay, threshold, reset, rest);
        v[k] = 0;
        left[k] = 0;
    }
    for (int t0 = 0; t0 < ticks; t0 += CHUNK) {
        const size_t chunk = (size_t)(t0 / CHUNK) * size + i;
#pragma unroll
        for (int k = 0; k < VECTOR; k++) {
            kept[chunk * VECTOR + k] = v[k];
            if (RESTS) kept_left[chunk * VECTOR + k] = left[k];
        }
        Pack in[CHUNK], up[LIFTS ? CHUNK : 1];
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            if (t0 + j < ticks) {
                in[j] = drive[(size_t)(t0 + j) * size + i];
                if (LIFTS) up[j] = lift[(size_t)(t0 + j) * size + i];
            }
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            if (t0 + j < ticks) {
                Pack out;
#pragma unroll
                for (int k = 0; k < VECTOR; k++) {
                    const WIDE above = LIFTS ? wide(up[LIFTS ? j : 0].v[k]) : 0;
                    const bool fires = tick(wide(in[j].v[k]), above, h, v[k], left[k], held, n[k]);
                    out.v[k] = narrow(!fires ? 0 : !GRADED ? 1 : LIFTS ? h + above : h);
                }
                spikes[(size_t)(t0 + j) * size + i] = out;
            }
    }
#pragma unroll
    for (int k = 0; k < VECTOR; k++) last[i * VECTOR + k] = v[k];
}

extern "C" __global__ void __launch_bounds__(256)
    backward(const int ticks, const int size, const int neurons, const Pack *__restrict__ drive,
             const Pack *__restrict__ grad, const Pack *__restrict__ lift, const WIDE *decay,
             const WIDE *threshold, const WIDE *reset, const int *rest, const WIDE *kept,
             const int *kept_left, Pack *by_drive, WIDE *by_decay, Pack *by_lift) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    Neuron n[VECTOR];
    WIDE later[VECTOR], sum[VECTOR], shown[VECTOR];  // d loss / d h of the tick after
    bool later_held[VECTOR];
#pragma unroll
    for (int k = 0; k < VECTOR; k++) {
        n[k] = neuron((i * VECTOR + k) % neurons, decay, threshold, reset, rest);
        later[k] = sum[k] = shown[k] = 0;
        later_held[k] = false;
    }
    for (int t0 = (ticks - 1) / CHUNK * CHUNK; t0 >= 0; t0 -= CHUNK) {
        const size_t chunk = (size_t)(t0 / CHUNK) * size + i;
        Pack in[CHUNK], out[CHUNK], up[LIFTS ? CHUNK : 1];
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            if (t0 + j < ticks) {
                in[j] = drive[(size_t)(t0 + j) * size + i];
                out[j] = grad[(size_t)(t0 + j) * size + i];
                if (LIFTS) up[j] = lift[(size_t)(t0 + j) * size + i];
            }
#pragma unroll
        for (int k = 0; k < VECTOR; k++) {
            WIDE h[CHUNK], v = kept[chunk * VECTOR + k];
            int left = RESTS ? kept_left[chunk * VECTOR + k] : 0;
            unsigned fired = 0, held = 0;
#pragma unroll
            for (int j = 0; j < CHUNK; j++) {
                bool holds = false;
                const WIDE above = LIFTS && t0 + j < ticks ? wide(up[LIFTS ? j : 0].v[k]) : 0;
                if (t0 + j < ticks && tick(wide(in[j].v[k]), above, h[j], v, left, holds, n[k]))
                    fired |= 1u << j;
                held |= (unsigned)holds << j;
            }
#pragma unroll
            for (int j = CHUNK - 1; j >= 0; j--) {
                if (t0 + j >= ticks) continue;
                const bool spike = fired >> j & 1, holds = held >> j & 1;
                const WIDE tested = LIFTS ? h[j] + wide(up[LIFTS ? j : 0].v[k]) : h[j];
                const WIDE x = (tested - n[k].threshold) * n[k].per_height;
                const WIDE slope = RESTS && holds ? (WIDE)0 : (WIDE)(SLOPE(x)) * n[k].per_height;
                // of a graded spike: that of its height, and of the jump to the threshold
                const WIDE shows = GRADED ? (spike ? (WIDE)1 : (WIDE)0) + n[k].threshold * slope : slope;
                const WIDE by_spike = shows * wide(out[j].v[k]);
                // d v / d h, then d h of the next tick / d v
                WIDE through = HARD ? (spike ? (WIDE)0 : (WIDE)1) : (WIDE)1;
                if (!DETACH) through += (HARD ? n[k].reset - h[j] : -n[k].height) * slope;
                if (BY_DECAY)
                    sum[k] += shown[k] * (!spike ? h[j] : HARD ? n[k].reset : h[j] - n[k].height);
                const WIDE through_decay = HARD && RESTS && later_held[k] ? (WIDE)1 : n[k].decay;
                through *= through_decay;
                WIDE by_reset = 0;
                if (LIFTS && !DETACH) by_reset = (HARD ? n[k].reset - h[j] : -n[k].height) * slope;
                if (LIFTS) up[LIFTS ? j : 0].v[k] = narrow(by_spike + by_reset * through_decay * later[k]);
                later[k] = by_spike + through * later[k];
                later_held[k] = holds;
                shown[k] = HARD && RESTS && holds ? (WIDE)0 : later[k];
                out[j].v[k] = narrow(shown[k]);
            }
        }
#pragma unroll
        for (int j = 0; j < CHUNK; j++)
            if (t0 + j < ticks) {
                by_drive[(size_t)(t0 + j) * size + i] = out[j];
                if (LIFTS) by_lift[(size_t)(t0 + j) * size + i] = up[LIFTS ? j : 0];
            }
    }
#pragma unroll
    for (int k = 0; k < VECTOR && BY_DECAY; k++) by_decay[i * VECTOR + k] = sum[k];
}

// y[t] = decay * y[t - 1] + x[t], forwards or backwards in time.
extern "C" __global__ void __launch_bounds__(256)
    leaky(const int ticks, const int size, const int neurons, const int reverse,
          const Pack *__restrict__ x, const WIDE *decay, Pack *y) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    WIDE state[VECTOR], factor[VECTOR];
#pragma unroll
    for (int k = 0; k < VECTOR; k++) {
        state[k] = 0;
        factor[k] = decay[(i * VECTOR + k) % neurons];
    }
#pragma unroll 8
    for (int s = 0; s < ticks; s++) {
        const size_t at = (size_t)(reverse ? ticks - 1 - s : s) * size + i;
        const Pack in = x[at];
        Pack out;
#pragma unroll
        for (int k = 0; k < VECTOR; k++) {
            state[k] = wide(in.v[k]) + factor[k] * state[k];
            out.v[k] = narrow(state[k]);
        }
        y[at] = out;
    }
}
