// The network on a GPU: two kernels a tick, one for neurons and one for deliveries, and one more
// for each projection that learns and each probe. Compiled at run time; the host defines
//   REAL            double or float: states, gains, thresholds, plastic weights
//   ACC, UACC       long long or int: sums of arrivals in whole steps, and its unsigned twin
//   COUNTED         1: arrivals are counted too, so that a state is committed where the definition
//                   says so even if the sum is 0; 0: a sum of 0 counts as no arrival
//   DELAY_BITS      bits of the delay in a synapse of 8 bytes; 0: synapses of 16 bytes
//   STATES_0, PORTS_0, ...  sizes of each kind of unit, and CASES(f): f(0) f(1) ...
// Sums are whole numbers, so the order in which they are made does not matter: every run, grid and
// batch gives the same bits. No operation is fused (--fmad=false): states are those of `clocked`.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

struct Population {
    i64 first;       // place of its first neuron among all, each population filled up to whole blocks
    i64 size;
    i64 number;      // of its first neuron
    i64 kinds;       // 1, or size: tables for each neuron
    i64 radix_bits, positions;
    i64 kind;        // of unit: which STATES_, PORTS_
    i64 cell[4];     // first cell of each port, -1: nothing arrives there
    double step[4];  // what a whole step of each port is worth
    const REAL *free, *held, *gain, *gain_held, *h, *threshold, *reset, *jump;
    const i64 *refractory;
    i64 reset_mask;
    const int *drive_row;   // inputs drawn here: for each neuron its rows in drive_*, or null
    i64 x;           // where the states of the population begin
};

struct Drive {       // a synapse from an input that is drawn here
    u32 key, neuron; // of the generator; number of the source within the input
    int delay, port;
    int steps, begin;  // thresholds in drive_steps
    i64 weight;      // whole steps
};

struct Net {
    i64 items, slots, cells, words, neurons, populations;
    const Population *population;
    const int *block_population;
    const i64 *row;          // synapses of neuron i: row[i] .. row[i+1] - 1
    const u32 *synapse;
    ACC *ring;
    u32 *due;
    REAL *x;
    i64 *last, *until;
    u32 *count;              // spikes of this tick, the next and the one before
    u32 *list;               // item * neurons + neuron
    u32 *bits;               // one for each tick of the block and neuron
    u64 *bad;                // for each item: tick and neuron of the first state that is not finite
    const i64 *clock;        // [0]: tick of the graph's first step, [1]: first tick of the block
    const i64 *source_row;   // given spikes of each tick of the block
    const u32 *source;
    const Drive *drive;
    const u64 *drive_steps;
    u32 *drawn;              // events of drives, for each neuron and item
    unsigned char *fired;    // [slot of history][item][neuron], where something learns
    i64 history;
};

__device__ __forceinline__ u64 philox(u32 a, u32 b, u32 key) {
#pragma unroll
    for (int i = 0; i < 10; i++) {
        u64 product = (u64)a * 0xD256D193u;
        a = (u32)(product >> 32) ^ key ^ b;
        b = (u32)product;
        key += 0x9E3779B9u;
    }
    return (u64)a << 32 | b;
}

template <int S>
__device__ __forceinline__ void propagate(REAL *x, i64 gap, const REAL *table, int bits) {
    const i64 radix = 1ll << bits;
    for (; gap > 0; gap >>= bits, table += radix * S * (S + 1)) {
        const i64 digit = gap & (radix - 1);
        if (digit == 0) continue;
        const REAL *m = table + digit * S * (S + 1);
        REAL moved[S];
#pragma unroll
        for (int i = 0; i < S; i++) {
            REAL total = m[i * (S + 1) + S];
#pragma unroll
            for (int j = 0; j < S; j++) total = total + m[i * (S + 1) + j] * x[j];
            moved[i] = total;
        }
#pragma unroll
        for (int i = 0; i < S; i++) x[i] = moved[i];
    }
}

__device__ __forceinline__ i64 max0(i64 a) { return a > 0 ? a : 0; }

// The state in tick t, from the one of the last event.
template <int S>
__device__ __forceinline__ void state_at(REAL *x, i64 t, i64 last, i64 until, i64 kind,
                                         const Population &p) {
    const i64 table = kind * p.positions * (1ll << p.radix_bits) * S * (S + 1);
    const i64 hold = max0((t < until ? t : until) - last);
    propagate<S>(x, hold, p.held + table, (int)p.radix_bits);
    propagate<S>(x, t - last - hold, p.free + table, (int)p.radix_bits);
}

// What the drives of a neuron add in tick t; returns the number of events.
__device__ __forceinline__ u32 driven(const Net &net, const Population &p, i64 local, i64 t,
                                      ACC *sum) {
    u32 events = 0;
    for (int r = p.drive_row[local]; r < p.drive_row[local + 1]; r++) {
        const Drive d = net.drive[r];
        if (t < d.delay) continue;
        const u64 bits = philox(d.neuron, (u32)(t - d.delay), d.key);
        u32 n = 0;
        while (n < (u32)d.steps && bits >= net.drive_steps[d.begin + n]) n++;
        events += n;
        sum[d.port] += (ACC)(d.weight * n);
    }
    return events;
}

template <int S, int P>
__device__ bool neuron(const Net &net, const Population &p, i64 local, i64 item, i64 t) {
    const i64 own = p.x + item * p.size * S + local;
    const i64 unit = item * net.neurons + p.number + local;
    const i64 kind = p.kinds > 1 ? local : 0;
    ACC sum[P];
    bool hit = false;
    const i64 slot = ((t % net.slots) * net.items + item) * net.cells;
#pragma unroll
    for (int port = 0; port < P; port++) {
        sum[port] = 0;
        if (p.cell[port] < 0) continue;
        const i64 cell = slot + p.cell[port] + local;
        sum[port] = net.ring[cell];
        if (sum[port] != 0) net.ring[cell] = 0;
#if COUNTED
        const u32 due = net.due[cell];
        if (due != 0) { net.due[cell] = 0; hit = true; }
#endif
    }
    if (p.drive_row) {
        const u32 events = driven(net, p, local, t, sum);
        if (events) { hit = true; net.drawn[unit] += events; }
    }
#if !COUNTED
#pragma unroll
    for (int port = 0; port < P; port++) hit = hit || sum[port] != 0;
#endif
    REAL x[S];
#pragma unroll
    for (int i = 0; i < S; i++) x[i] = net.x[own + i * p.size];
    const i64 last = net.last[unit], until = net.until[unit];
    state_at<S>(x, t, last, until, kind, p);
    const bool holds = t <= until;
    if (hit) {
        const REAL *gain = (holds ? p.gain_held : p.gain) + kind * P * S;
#pragma unroll
        for (int port = 0; port < P; port++) {
            if (p.cell[port] < 0 && !p.drive_row) continue;
            const REAL amount = (REAL)((double)sum[port] * p.step[port]);
#pragma unroll
            for (int i = 0; i < S; i++) x[i] = x[i] + gain[port * S + i] * amount;
        }
    }
    REAL level = 0;
#pragma unroll
    for (int i = 0; i < S; i++) level = level + p.h[i] * x[i];
    const REAL threshold = p.threshold[kind];
    const bool fires = level >= threshold && isfinite(threshold) && !holds;
    if (hit || fires) {
        bool finite = true;
#pragma unroll
        for (int i = 0; i < S; i++) finite = finite && isfinite(x[i]);
        if (!finite) atomicMin(net.bad + item, (u64)t << 32 | (u32)(p.number + local));
        if (fires) {
#pragma unroll
            for (int i = 0; i < S; i++)
                x[i] = p.reset_mask >> i & 1 ? p.reset[kind * S + i] : x[i] + p.jump[kind * S + i];
            net.until[unit] = t + p.refractory[p.kinds > 1 ? local : 0];
        }
#pragma unroll
        for (int i = 0; i < S; i++) net.x[own + i * p.size] = x[i];
        net.last[unit] = t;
    }
    return fires;
}

extern "C" __global__ void move_neurons(const Net net, const int ahead) {
    const i64 t = net.clock[0] + ahead, item = blockIdx.y;
    const Population &p = net.population[net.block_population[blockIdx.x]];
    const i64 place = (i64)blockIdx.x * blockDim.x + threadIdx.x, local = place - p.first;
    if (blockIdx.x == 0 && item == 0 && threadIdx.x == 0) net.count[(t + 1) % 3] = 0;
    bool fires = false;
    if (local < p.size) {
        switch (p.kind) {
#define CASE(k) case k: fires = neuron<STATES_##k, PORTS_##k>(net, p, local, item, t); break;
            CASES(CASE)
        }
        if (net.history) {
            const i64 slot = (t % net.history) * net.items + item;
            net.fired[slot * net.neurons + p.number + local] = fires;
        }
    }
    const int lane = threadIdx.x & 31;
    const u32 mask = __ballot_sync(~0u, fires);
    if (lane == 0)
        net.bits[((t - net.clock[1]) * net.items + item) * net.words + place / 32] = mask;
    if (mask) {
        u32 at = 0;
        if (lane == 0) at = atomicAdd(net.count + t % 3, __popc(mask));
        at = __shfl_sync(~0u, at, 0) + __popc(mask & ((1u << lane) - 1));
        if (fires) net.list[at] = (u32)(item * net.neurons + p.number + local);
    }
}

// One spike of tick t: those of populations first, then those that were given.
__device__ __forceinline__ u32 spike(const Net &net, u32 i, u32 own, i64 given) {
    return i < own ? __ldcg(net.list + i) : net.source[given + (i - own)];
}

extern "C" __global__ void deliver(const Net net, const int ahead) {
    const i64 t = net.clock[0] + ahead, tick = t - net.clock[1];
    const i64 given = net.source_row[tick];
    const u32 own = __ldcg(net.count + t % 3);
    const u32 spikes = own + (u32)(net.source_row[tick + 1] - given);
    if (spikes == 0) return;
    const u32 lane = threadIdx.x & 31;
    const u32 warp = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    const u32 warps = (gridDim.x * blockDim.x) >> 5;
    const u32 parts = spikes < warps ? warps / spikes : 1;  // warps that share a row
    const i64 slot = t % net.slots;
    for (u32 w = warp; w < spikes * parts; w += warps) {
        const u32 i = w / parts, part = w - i * parts;
        const u32 who = spike(net, i, own, given);
        const i64 item = who / net.neurons, source = who - item * net.neurons;
        const i64 end = net.row[source + 1];
#pragma unroll 4
        for (i64 j = net.row[source] + part * 32 + lane; j < end; j += parts * 32) {
#if DELAY_BITS
            const uint2 s = __ldg((const uint2 *)net.synapse + j);
            i64 arrives = slot + (s.x & ((1u << DELAY_BITS) - 1));
            const u32 cell = s.x >> DELAY_BITS;
            const ACC weight = (ACC)(int)s.y;
#else
            const uint4 s = __ldg((const uint4 *)net.synapse + j);
            i64 arrives = slot + s.y;
            const u32 cell = s.x;
            const ACC weight = (ACC)((u64)s.w << 32 | s.z);
#endif
            if (arrives >= net.slots) arrives -= net.slots;
            const i64 at = (arrives * net.items + item) * net.cells + cell;
            atomicAdd((UACC *)net.ring + at, (UACC)weight);
#if COUNTED
            atomicAdd(net.due + at, 1u);
#endif
        }
    }
}

struct Learning {
    i64 synapses, source_first, target_first, cell_first, slots_lag;
    double per_unit;              // whole steps in a unit of weight
    const i64 *row;               // synapses of each source
    const int *source, *target, *delay, *lag;
    REAL *weight, *sent, *x, *y;  // [item][synapse]
    i64 *x_at, *y_at;
    const REAL *k_plus, *k_minus; // windows; the last entry is 0
    i64 last_plus, last_minus;
    double a_plus, a_minus, low, high;
    i64 source_size, nearest, multiplicative, clamp_pair, coincidence;  // 0 depress 1 potentiate 2 ignore
};

// Given spikes leave their mark in the history, which move_neurons writes for populations.
extern "C" __global__ void mark_sources(const Net net, const int ahead, const int inputs) {
    const i64 t = net.clock[0] + ahead, tick = t - net.clock[1], item = blockIdx.y;
    unsigned char *fired = net.fired + ((t % net.history) * net.items + item) * net.neurons;
    for (int i = threadIdx.x; i < inputs; i += blockDim.x) fired[i] = 0;
    __syncthreads();
    for (i64 i = net.source_row[tick] + threadIdx.x; i < net.source_row[tick + 1]; i += blockDim.x)
        if (net.source[i] / net.neurons == item) fired[net.source[i] - item * net.neurons] = 1;
}

__device__ __forceinline__ REAL read(REAL trace, i64 at, i64 t, const REAL *k, i64 last) {
    const i64 age = t - at;
    return trace * k[age < last ? age : last];
}

__device__ __forceinline__ REAL clip(REAL w, REAL low, REAL high) {
    return w < low ? low : w > high ? high : w;
}

// Pair STDP as `clocked` does it: every synapse, every tick.
extern "C" __global__ void learn(const Net net, const int ahead, const Learning l) {
    const i64 t = net.clock[0] + ahead, item = blockIdx.y;
    const i64 s = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (s >= l.synapses) return;
    const i64 now = ((t % net.history) * net.items + item) * net.neurons;
    const i64 then = t - l.lag[s];
    const i64 post = ((then % net.history) * net.items + item) * net.neurons;
    const bool reached = then >= 0 && net.fired[post + l.target_first + l.target[s]];
    const bool sent = net.fired[now + l.source_first + l.source[s]];
    if (!reached && !sent) return;
    const i64 at = item * l.synapses + s;
    const REAL low = (REAL)l.low, high = (REAL)l.high;
    REAL w = l.weight[at], x = l.x[at], y = l.y[at];
    i64 x_at = l.x_at[at], y_at = l.y_at[at];
    const REAL y_before = y;
    const i64 y_at_before = y_at;
    for (int half = 0; half < 2; half++) {
        if ((half == 0) != (l.coincidence == 1)) {  // the post spike
            if (!reached) continue;
            REAL gain = (REAL)l.a_plus * read(x, x_at, t, l.k_plus, l.last_plus);
            if (l.multiplicative) gain = gain / high * (high - w);
            w = w + gain;
            if (l.clamp_pair) w = clip(w, low, high);
            y = l.nearest ? (REAL)1 : read(y, y_at, t, l.k_minus, l.last_minus) + (REAL)1;
            y_at = t;
        } else if (sent) {
            const bool old = l.coincidence == 2;
            REAL loss = (REAL)l.a_minus *
                        read(old ? y_before : y, old ? y_at_before : y_at, t, l.k_minus, l.last_minus);
            if (l.multiplicative) loss = loss / high * (w - low);
            w = clip(w - loss, low, high);
            x = l.nearest ? (REAL)1 : read(x, x_at, t, l.k_plus, l.last_plus) + (REAL)1;
            x_at = t;
            l.sent[at] = w;
        }
    }
    l.weight[at] = w;
    l.x[at] = x; l.y[at] = y;
    l.x_at[at] = x_at; l.y_at[at] = y_at;
}

extern "C" __global__ void deliver_learned(const Net net, const int ahead, const Learning l) {
    const i64 t = net.clock[0] + ahead, tick = t - net.clock[1];
    const i64 given = net.source_row[tick];
    const u32 own = __ldcg(net.count + t % 3);
    const u32 spikes = own + (u32)(net.source_row[tick + 1] - given);
    const u32 lane = threadIdx.x & 31, warps = (gridDim.x * blockDim.x) >> 5;
    const i64 slot = t % net.slots;
    for (u32 i = (blockIdx.x * blockDim.x + threadIdx.x) >> 5; i < spikes; i += warps) {
        const u32 who = spike(net, i, own, given);
        const i64 item = who / net.neurons, source = who - item * net.neurons - l.source_first;
        if (source < 0 || source >= l.source_size) continue;
        for (i64 s = l.row[source] + lane; s < l.row[source + 1]; s += 32) {
            i64 arrives = slot + l.delay[s];
            if (arrives >= net.slots) arrives -= net.slots;
            const i64 at = (arrives * net.items + item) * net.cells + l.cell_first + l.target[s];
            const ACC weight = (ACC)llrint((double)l.sent[item * l.synapses + s] * l.per_unit);
            atomicAdd((UACC *)net.ring + at, (UACC)weight);
#if COUNTED
            atomicAdd(net.due + at, 1u);
#endif
        }
    }
}

struct Probe {
    i64 population, state, every, neurons;
    const int *neuron;
    double *out;                  // [item][row of the block][neuron]
    i64 rows;
};

template <int S>
__device__ REAL shown(const Net &net, const Population &p, i64 local, i64 item, i64 t, i64 state) {
    REAL x[S];
#pragma unroll
    for (int i = 0; i < S; i++) x[i] = net.x[p.x + item * p.size * S + local + i * p.size];
    const i64 unit = item * net.neurons + p.number + local;
    state_at<S>(x, t, net.last[unit], net.until[unit], p.kinds > 1 ? local : 0, p);
    REAL value = 0;
#pragma unroll
    for (int i = 0; i < S; i++) if (i == state) value = x[i];
    return value;
}

extern "C" __global__ void show(const Net net, const int ahead, const Probe q) {
    const i64 t = net.clock[0] + ahead, item = blockIdx.y;
    const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (t % q.every || i >= q.neurons) return;
    const Population &p = net.population[q.population];
    const i64 row = t / q.every - (net.clock[1] + q.every - 1) / q.every;
    REAL value = 0;
    switch (p.kind) {
#define SHOW(k) case k: value = shown<STATES_##k>(net, p, q.neuron[i], item, t, q.state); break;
        CASES(SHOW)
    }
    q.out[(item * q.rows + row) * q.neurons + i] = value;
}

extern "C" __global__ void advance_clock(i64 *clock, const int ticks) { clock[0] += ticks; }
