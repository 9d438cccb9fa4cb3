// Neurons that hold a state by gates and send how it changed (nn/gated.py), one block for each
// sample. The host defines REAL, WIDE, HALF and SLOPE(x) as for lif.cu, and
//   NEURONS         a multiple of 4
//   THREADS         of a block: at least 3/4 NEURONS
//   THRESHOLD       a change that is sent
// Between ticks a block multiplies what its neurons have sent by the matrix of synapses, which stays
// in the cache of its multiprocessor; each thread has four columns and a part of the rows.

#define KEPT 5

struct alignas(4 * sizeof(REAL)) Four {
    REAL v[4];
};

// Sums over ROWS of in[row] * matrix[row][column], in parts.
template <int ROWS, int COLUMNS> struct Product {
    static constexpr int across = COLUMNS / 4, most = THREADS / across,
                         each = (ROWS + most - 1) / most, parts = (ROWS + each - 1) / each;

    static __device__ __forceinline__ void begin(const REAL *matrix, const WIDE *in, WIDE *sums) {
        const int column = threadIdx.x % across * 4, part = threadIdx.x / across;
        if (part >= parts) return;
        WIDE sum[4] = {0, 0, 0, 0};
#pragma unroll 8
        for (int k = 0; k < each; k++) {
            const int row = part * each + k;
            if (row >= ROWS) break;
            const Four four = *(const Four *)(matrix + (size_t)row * COLUMNS + column);
            const WIDE x = in[row];
#pragma unroll
            for (int i = 0; i < 4; i++) sum[i] = fma(x, wide(four.v[i]), sum[i]);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) sums[part * COLUMNS + column + i] = sum[i];
    }

    static __device__ __forceinline__ WIDE end(const WIDE *sums, int column) {
        WIDE sum = 0;
#pragma unroll
        for (int part = 0; part < parts; part++) sum += sums[part * COLUMNS + column];
        return sum;
    }
};

__device__ __forceinline__ WIDE opened(WIDE x) { return 1 / (1 + exp(-x)); }
__device__ __forceinline__ WIDE magnitude(WIDE x) { return x < 0 ? -x : x; }

extern "C" __global__ void __launch_bounds__(THREADS)
    forward(const int ticks, const int batch, const REAL *__restrict__ drive,
            const REAL *__restrict__ synapses, const WIDE *start, const WIDE *started, REAL *sent,
            REAL *kept, WIDE *last, WIDE *last_sent) {
    using Arriving = Product<NEURONS, 3 * NEURONS>;
    __shared__ WIDE before[NEURONS], sums[4 * THREADS];
    const int n = threadIdx.x;
    const bool neuron = n < NEURONS;
    const size_t at = (size_t)blockIdx.x * NEURONS + n;
    WIDE c = 0, y = 0, in[3] = {0, 0, 0};
    if (neuron) {
        c = start[at];
        before[n] = y = started[at];
    }
    __syncthreads();
    for (int t = 0; t < ticks; t++) {
        const size_t row = (size_t)t * batch + blockIdx.x;
        if (neuron) {
#pragma unroll
            for (int g = 0; g < 3; g++) in[g] = wide(drive[(row * 3 + g) * NEURONS + n]);
        }
        Arriving::begin(synapses, before, sums);
        __syncthreads();
        if (neuron) {
            const WIDE u = opened(in[0] + Arriving::end(sums, n));
            const WIDE r = opened(in[1] + Arriving::end(sums, NEURONS + n));
            const WIDE s = Arriving::end(sums, 2 * NEURONS + n);
            const WIDE z = tanh(in[2] + r * s);
            c = u * c + (1 - u) * z;
            if (magnitude(c - y) >= (WIDE)THRESHOLD) y = c;
            before[n] = y;
            sent[row * NEURONS + n] = narrow(y);
            const WIDE values[KEPT] = {c, u, r, s, z};
#pragma unroll
            for (int k = 0; k < KEPT; k++)
                kept[(row * KEPT + k) * NEURONS + n] = narrow(values[k]);
        }
        __syncthreads();
    }
    if (neuron) {
        last[at] = c;
        last_sent[at] = y;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    backward(const int ticks, const int batch, const REAL *__restrict__ grad,
             const REAL *__restrict__ transposed, const WIDE *start, const WIDE *started,
             const REAL *__restrict__ sent, const REAL *__restrict__ kept, REAL *by_drive) {
    using Leaving = Product<3 * NEURONS, NEURONS>;
    __shared__ WIDE later[3 * NEURONS], sums[4 * THREADS];
    const int n = threadIdx.x;
    const bool neuron = n < NEURONS;
    const size_t at = (size_t)blockIdx.x * NEURONS + n;
    WIDE by_state = 0, by_held = 0;  // d loss / d c and y of the tick before, but for synapses
    for (int i = n; i < 3 * NEURONS; i += THREADS) later[i] = 0;
    __syncthreads();
    for (int t = ticks - 1; t >= 0; t--) {
        const size_t row = (size_t)t * batch + blockIdx.x;
        WIDE out = 0, k[KEPT] = {0, 0, 0, 0, 0}, y = 0, earlier = 0, held = 0;
        if (neuron) {
#pragma unroll
            for (int i = 0; i < KEPT; i++) k[i] = wide(kept[(row * KEPT + i) * NEURONS + n]);
            y = wide(sent[row * NEURONS + n]);
            out = wide(grad[row * NEURONS + n]) + by_held;
            earlier = t ? wide(kept[(row - batch) * KEPT * NEURONS + n]) : start[at];
            held = t ? wide(sent[(row - batch) * NEURONS + n]) : wide(narrow(started[at]));
        }
        Leaving::begin(transposed, later, sums);
        __syncthreads();
        if (neuron) {
            const WIDE c = k[0], u = k[1], r = k[2], s = k[3], z = k[4];
            out += Leaving::end(sums, n);
            const WIDE x = magnitude(c - held) / (WIDE)THRESHOLD - 1;
            // of what was sent by the state: that of its value, and of the jump of THRESHOLD
            const WIDE slope = SLOPE(x), shows = y != held ? 1 + slope : slope;
            const WIDE by_c = shows * out + by_state;
            by_held = (1 - shows) * out;
            by_state = by_c * u;
            const WIDE by_u = by_c * (earlier - z) * u * (1 - u);
            const WIDE by_z = by_c * (1 - u) * (1 - z * z);
            const WIDE by[3] = {by_u, by_z * s * r * (1 - r), by_z};
#pragma unroll
            for (int g = 0; g < 3; g++) {
                later[g * NEURONS + n] = g == 2 ? by_z * r : by[g];
                by_drive[(row * 3 + g) * NEURONS + n] = narrow(by[g]);
            }
        }
        __syncthreads();
    }
}
