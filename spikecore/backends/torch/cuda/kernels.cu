// The network on a GPU: two kernels a tick, one for neurons and one for deliveries, and one more
// for each projection that learns and each probe; or, where nothing learns or is probed and all
// neurons find room in registers, one kernel for many ticks. Compiled at run time; the host defines
//   REAL            double or float: states, gains, thresholds, plastic weights
//   ACC, UACC       long long or int: sums of arrivals in whole steps, and its unsigned twin
//   COUNTED         1: arrivals are counted too, so that a state is committed where the definition
//                   says so even if the sum is 0; 0: a sum of 0 counts as no arrival
//   DELAY_BITS      bits of the delay in a synapse of 8 bytes; 0: synapses of 16 bytes
//   STATES_0, PORTS_0, ...  sizes of each kind of unit; CASES(f): f(0) f(1) ...; MOST_STATES, MOST_PORTS
//   BLOCK           threads that populations are filled up to
//   RESIDENT        threads of a block of run_resident; 0: leave it out
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
    const int *refractory;
    i64 reset_mask;
    i64 drive_first, drives; // inputs drawn here: so many for each neuron, from there on
    i64 x;           // where the states of the population begin
};

struct Drive {       // a synapse from an input that is drawn here
    u32 key, neuron; // of the generator; number of the source within the input
    int delay, port;
    int steps, begin;  // thresholds in drive_steps; no steps: an empty place
    i64 weight;      // whole steps
};

struct Net {
    i64 items, slots, cells, words, neurons;
    const Population *population;
    const int *block_population;
    const i64 *row;          // synapses of neuron i: row[i] .. row[i+1] - 1
    const u32 *synapse;
    ACC *ring;
    u32 *due;
    REAL *x;
    int *last, *until;
    u32 *count;              // spikes of this tick, the next and the one before
    int4 *list;              // spikes of populations: see Row
    int *who;                // and item * neurons + neuron of each
    u32 *bits;               // one for each tick of the block and neuron
    u64 *bad;                // for each item: tick and neuron of the first state that is not finite
    const int *clock;        // [0]: tick of the graph's first step, [1]: first tick of the block
    const int *source_row;   // given spikes of each tick of the block
    const u32 *source;
    const Drive *drive;
    const u64 *drive_steps;
    u32 *drawn;              // events of drives, for each warp or so
    unsigned char *fired;    // [slot of history][item][neuron], where something learns
    i64 history;
    i64 steps;               // length of drive_steps
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
__device__ __forceinline__ void apply(REAL *x, const REAL *m) {
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

template <int S>
__device__ __forceinline__ void propagate(REAL *x, int gap, const REAL *table, int bits) {
    const int radix = 1 << bits;
    for (; gap > 0; gap >>= bits, table += radix * S * (S + 1)) {
        const int digit = gap & (radix - 1);
        if (digit) apply<S>(x, table + digit * S * (S + 1));
    }
}

// The state in tick t, from the one of the last event.
template <int S>
__device__ __forceinline__ void state_at(REAL *x, int t, int last, int until, i64 kind,
                                         const Population &p) {
    const i64 table = (kind * p.positions << p.radix_bits) * S * (S + 1);
    const int hold = max(min(t, until) - last, 0);
    propagate<S>(x, hold, p.held + table, (int)p.radix_bits);
    propagate<S>(x, t - last - hold, p.free + table, (int)p.radix_bits);
}

// What a drive adds in tick t; returns the number of events. `steps` is where its thresholds are.
template <int P>
__device__ __forceinline__ u32 driven(const Drive &d, const u64 *steps, int t, ACC *sum) {
    if (t < d.delay || d.steps == 0) return 0;
    const u64 bits = philox(d.neuron, (u32)(t - d.delay), d.key);
    const u64 *step = steps + d.begin;
    u32 n = 0;
    for (int k = 0; k < d.steps; k += 4) {  // four at a time: their loads overlap
        u64 s[4];
#pragma unroll
        for (int i = 0; i < 4; i++) s[i] = step[min(k + i, d.steps - 1)];
#pragma unroll
        for (int i = 0; i < 4; i++) n += bits >= s[i] && k + i < d.steps;
        if (bits < s[3]) break;
    }
#pragma unroll
    for (int port = 0; port < P; port++)
        if (port == d.port) sum[port] += (ACC)(d.weight * n);
    return n;
}

// One neuron as a thread holds it: its state, and what never changes.
struct Neuron {
    REAL x[MOST_STATES], h[MOST_STATES], one_tick[MOST_STATES * (MOST_STATES + 1)];
    REAL gain[MOST_PORTS * MOST_STATES], threshold;
    int last, until;
    Drive drive;         // the first of its drives
    const u64 *steps;    // thresholds of drives
};

template <int S, int P>
__device__ __forceinline__ void load(Neuron &n, const Net &net, const Population &p, u32 local,
                                     u32 item) {
    const u32 size = (u32)p.size, own = (u32)p.x + item * size * S + local;
    const u32 unit = item * (u32)net.neurons + (u32)p.number + local;
    const u32 kind = p.kinds > 1 ? local : 0;
    n.last = net.last[unit];
    n.until = net.until[unit];
#pragma unroll
    for (int i = 0; i < S; i++) n.x[i] = net.x[own + i * size];
    const REAL *table = p.free + (i64)kind * ((u32)p.positions << p.radix_bits) * (S * (S + 1));
#pragma unroll
    for (int i = 0; i < S * (S + 1); i++) n.one_tick[i] = __ldg(table + S * (S + 1) + i);
#pragma unroll
    for (int i = 0; i < P * S; i++) n.gain[i] = __ldg(p.gain + kind * P * S + i);
#pragma unroll
    for (int i = 0; i < S; i++) n.h[i] = __ldg(p.h + i);
    n.threshold = __ldg(p.threshold + kind);
    n.steps = net.drive_steps;
    if (p.drives) n.drive = net.drive[p.drive_first + local * p.drives];
}

template <int S>
__device__ __forceinline__ void store(const Neuron &n, const Net &net, const Population &p,
                                      u32 local, u32 item) {
    const u32 size = (u32)p.size, own = (u32)p.x + item * size * S + local;
    const u32 unit = item * (u32)net.neurons + (u32)p.number + local;
#pragma unroll
    for (int i = 0; i < S; i++) net.x[own + i * size] = n.x[i];
    net.last[unit] = n.last;
    net.until[unit] = n.until;
}

// Moves one neuron to tick t; returns whether it fires. What memory holds of it changes only by
// store(). A thread stops at the first use of what it waits for, so the arrivals are asked for
// before the drives are drawn.
template <int S, int P>
__device__ __forceinline__ bool move(Neuron &n, bool &changed, u32 &events, const Net &net,
                                     const Population &p, u32 local, u32 item, int t, i64 slot) {
    const u32 kind = p.kinds > 1 ? local : 0;
    ACC sum[P], drive[P];
    bool hit = false;
    ACC *ring = net.ring + slot + local;
#pragma unroll
    for (int port = 0; port < P; port++)
        sum[port] = p.cell[port] < 0 ? 0 : __ldcg(ring + p.cell[port]);
#if COUNTED
    u32 *arrivals = net.due + slot + local;
    u32 due[P];
#pragma unroll
    for (int port = 0; port < P; port++)
        due[port] = p.cell[port] < 0 ? 0 : __ldcg(arrivals + p.cell[port]);
#endif
#pragma unroll
    for (int port = 0; port < P; port++) drive[port] = 0;
    if (p.drives) {
        u32 drawn = driven<P>(n.drive, n.steps, t, drive);
        for (int r = 1; r < p.drives; r++)
            drawn += driven<P>(net.drive[p.drive_first + local * p.drives + r], n.steps, t, drive);
        hit = drawn != 0;
        events += drawn;
    }
#if COUNTED
#pragma unroll
    for (int port = 0; port < P; port++)
        if (due[port] != 0) {
            __stcg(arrivals + p.cell[port], 0u);
            hit = true;
        }
#endif
#pragma unroll
    for (int port = 0; port < P; port++) {
        if (sum[port] != 0) __stcg(ring + p.cell[port], (ACC)0);
        sum[port] += drive[port];
    }
#if !COUNTED
#pragma unroll
    for (int port = 0; port < P; port++) hit = hit || sum[port] != 0;
#endif
    REAL x[S];
#pragma unroll
    for (int i = 0; i < S; i++) x[i] = n.x[i];
    const bool holds = t <= n.until;
    if (t - n.last == 1 && !holds)
        apply<S>(x, n.one_tick);  // what nearly always happens in a busy network
    else
        state_at<S>(x, t, n.last, n.until, kind, p);
    if (hit) {
#pragma unroll
        for (int port = 0; port < P; port++) {
            if (p.cell[port] < 0) continue;
            const REAL amount = (REAL)((double)sum[port] * p.step[port]);
#pragma unroll
            for (int i = 0; i < S; i++) {
                const int g = port * S + i;
                const REAL gain = holds ? __ldg(p.gain_held + kind * P * S + g) : n.gain[g];
                x[i] = x[i] + gain * amount;
            }
        }
    }
    REAL level = 0;
#pragma unroll
    for (int i = 0; i < S; i++) level = level + n.h[i] * x[i];
    const bool fires = level >= n.threshold && isfinite(n.threshold) && !holds;
    changed = hit || fires;
    if (changed) {
        bool finite = true;
#pragma unroll
        for (int i = 0; i < S; i++) finite = finite && isfinite(x[i]);
        if (!finite) atomicMin(net.bad + item, (u64)(u32)t << 32 | (u32)(p.number + local));
        if (fires) {
#pragma unroll
            for (int i = 0; i < S; i++)
                x[i] = p.reset_mask >> i & 1 ? p.reset[kind * S + i] : x[i] + p.jump[kind * S + i];
            n.until = t + p.refractory[kind];
        }
#pragma unroll
        for (int i = 0; i < S; i++) n.x[i] = x[i];
        n.last = t;
    }
    return fires;
}

// The synapses of a spike; in a list: x and y begin, z item, w length.
struct Row { i64 begin; int length, item; };

__device__ __forceinline__ Row row_of(const Net &net, int item, i64 number) {
    const i64 begin = net.row[number];
    return {begin, (int)(net.row[number + 1] - begin), item};
}

// Asks for the synapses of a spike while the other neurons are still being moved.
__device__ __forceinline__ void prefetch(const Net &net, const Row &r) {
#if __CUDA_ARCH__ >= 900
    const u64 size = DELAY_BITS ? 8 : 16;
    const u64 begin = (u64)net.synapse + r.begin * size, bytes = r.length * size + 15 & ~15ull;
    if (bytes)
        asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(begin & ~15ull),
                     "r"((u32)bytes) : "memory");
#endif
}

__device__ __forceinline__ u32 modulo(int t, i64 m) { return (u32)t % (u32)m; }

// Counts what a warp has drawn; one addition, which nobody waits for.
__device__ __forceinline__ void count_drawn(const Net &net, u32 events, u32 place) {
    const u32 all = __reduce_add_sync(~0u, events);
    if (all && (threadIdx.x & 31) == 0) atomicAdd(net.drawn + place / 32, all);
}

// Records who fires in tick t, the `tick`-th of the block; `place` is that of the thread among all,
// populations filled up, `r` the synapses of its neuron.
__device__ __forceinline__ void record(const Net &net, bool fires, int t, int tick, u32 place,
                                       u32 unit, const Row &r) {
    const u32 lane = threadIdx.x & 31, mask = __ballot_sync(~0u, fires);
    if (lane == 0)
        net.bits[((i64)tick * net.items + r.item) * net.words + place / 32] = mask;
    if (mask == 0) return;
    u32 at = 0;
    if (lane == 0) at = atomicAdd(net.count + t % 3, __popc(mask));
    at = __shfl_sync(~0u, at, 0) + __popc(mask & ((1u << lane) - 1));
    if (fires) {
        __stcg(net.list + at, make_int4((int)r.begin, (int)(r.begin >> 32), r.item, r.length));
        __stcg(net.who + at, (int)unit);
        prefetch(net, r);
    }
}

extern "C" __global__ void __launch_bounds__(BLOCK, 6) move_neurons(const Net net, const int ahead) {
    const u32 item = blockIdx.y, place = blockIdx.x * BLOCK + threadIdx.x;
    const Population p = net.population[net.block_population[blockIdx.x]];
    const u32 local = place - (u32)p.first;
    const int t = net.clock[0] + ahead;
    if (place == 0 && item == 0) net.count[(t + 1) % 3] = 0;
    bool fires = false, changed = false;
    u32 events = 0;
    if (local < p.size) {
        const i64 slot = (modulo(t, net.slots) * net.items + item) * net.cells;
        Neuron n;
        switch (p.kind) {
#define CASE(k)                                                                               \
    case k:                                                                                   \
        load<STATES_##k, PORTS_##k>(n, net, p, local, item);                                  \
        fires = move<STATES_##k, PORTS_##k>(n, changed, events, net, p, local, item, t, slot); \
        if (changed) store<STATES_##k>(n, net, p, local, item);                               \
        break;
            CASES(CASE)
        }
        if (net.history) {
            const i64 now = modulo(t, net.history) * net.items + item;
            net.fired[now * net.neurons + p.number + local] = fires;
        }
    }
    if (p.drives) count_drawn(net, events, item * (u32)net.words * 32 + place);
    Row r = {0, 0, (int)item};
    if (fires) r = row_of(net, item, p.number + local);
    const u32 unit = item * (u32)net.neurons + (u32)p.number + local;
    record(net, fires, t, t - net.clock[1], place, unit, r);
}

struct Spikes { u32 own, all; int given; };

__device__ __forceinline__ Spikes spikes_of(const Net &net, int t) {
    const int tick = t - net.clock[1], given = net.source_row[tick];
    const u32 own = __ldcg(net.count + t % 3);
    return {own, own + (u32)(net.source_row[tick + 1] - given), given};
}

// Sends the spikes of tick t along their rows, as one of `warps` warps.
__device__ __forceinline__ void send(const Net &net, const Spikes &spikes, int t, u32 warp,
                                     u32 warps) {
    if (spikes.all == 0) return;
    const u32 lane = threadIdx.x & 31;
    const u32 parts = spikes.all < warps ? warps / spikes.all : 1;  // warps that share a row
    const int slot = modulo(t, net.slots);
    for (u32 w = warp; w < spikes.all * parts; w += warps) {
        const u32 i = w / parts, part = w - i * parts;
        Row r;
        if (i < spikes.own) {
            const int4 entry = __ldcg(net.list + i);
            r = {(i64)entry.y << 32 | (u32)entry.x, entry.w, entry.z};
        } else {
            const u32 who = net.source[spikes.given + (i - spikes.own)];
            const int item = who / (u32)net.neurons;
            r = row_of(net, item, who - item * net.neurons);
        }
        const i64 base = r.item * net.cells, turn = net.items * net.cells;
#pragma unroll 4
        for (u32 j = part * 32 + lane; j < (u32)r.length; j += parts * 32) {
#if DELAY_BITS
            const uint2 s = __ldg((const uint2 *)net.synapse + r.begin + j);
            int arrives = slot + (s.x & ((1u << DELAY_BITS) - 1));
            const u32 cell = s.x >> DELAY_BITS;
            const ACC weight = (ACC)(int)s.y;
#else
            const uint4 s = __ldg((const uint4 *)net.synapse + r.begin + j);
            int arrives = slot + s.y;
            const u32 cell = s.x;
            const ACC weight = (ACC)((u64)s.w << 32 | s.z);
#endif
            if (arrives >= net.slots) arrives -= net.slots;
            const i64 at = arrives * turn + base + cell;
            atomicAdd((UACC *)net.ring + at, (UACC)weight);
#if COUNTED
            atomicAdd(net.due + at, 1u);
#endif
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) deliver(const Net net, const int ahead) {
    const u32 warp = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    const int t = net.clock[0] + ahead;
    send(net, spikes_of(net, t), t, warp, (gridDim.x * blockDim.x) >> 5);
}

#if RESIDENT
#define SHARED_STEPS 1024

// All blocks wait for one another; every block has to be on the device (a cooperative launch).
__device__ __forceinline__ void meet(u32 *gate, u32 target) {
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(gate) : "memory");
        u32 arrived;
        do asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(arrived) : "l"(gate) : "memory");
        while (arrived < target);
    }
    __syncthreads();
}

// Many ticks in one kernel: each thread keeps its neuron in registers. Groups of BLOCK threads
// stand for the blocks of move_neurons; RESIDENT is the number of threads of a block.
extern "C" __global__ void __launch_bounds__(RESIDENT, 1)
    run_resident(const Net net, const int ticks, const int groups, u32 *gate) {
    const u32 group = (blockIdx.x * RESIDENT + threadIdx.x) / BLOCK;
    const bool used = group < (u32)groups * net.items;
    const u32 item = used ? group / groups : 0, block = used ? group - item * groups : 0;
    const u32 place = block * BLOCK + threadIdx.x % BLOCK;
    const Population p = net.population[net.block_population[block]];
    const u32 local = place - (u32)p.first;
    const bool active = used && local < p.size;
    const u32 warp = (blockIdx.x * RESIDENT + threadIdx.x) >> 5;
    const u32 warps = gridDim.x * RESIDENT >> 5;
    const int start = net.clock[0];
    // Meeting the other blocks empties the caches, so what every tick needs is kept elsewhere.
    __shared__ u64 steps[SHARED_STEPS];
    const bool shared = net.steps <= SHARED_STEPS;
    for (int i = threadIdx.x; shared && i < net.steps; i += RESIDENT) steps[i] = net.drive_steps[i];
    Neuron n;
    Row row = {0, 0, (int)item};
    const u32 unit = item * (u32)net.neurons + (u32)p.number + local;
    if (active) {
        switch (p.kind) {
#define LOAD(k) case k: load<STATES_##k, PORTS_##k>(n, net, p, local, item); break;
            CASES(LOAD)
        }
        row = row_of(net, item, p.number + local);
        if (shared) n.steps = steps;
    }
    __syncthreads();
    u32 events = 0, meetings = 0;
    int given = net.source_row[0];
    for (int tick = 0; tick < ticks; tick++) {
        const int t = start + tick, given_end = net.source_row[tick + 1];
        if (warp == 0 && threadIdx.x == 0) __stcg(net.count + (t + 1) % 3, 0u);
        bool fires = false, changed = false;
        if (active) {
            const i64 slot = (modulo(t, net.slots) * net.items + item) * net.cells;
            switch (p.kind) {
#define MOVE(k)                                                                                 \
    case k:                                                                                     \
        fires = move<STATES_##k, PORTS_##k>(n, changed, events, net, p, local, item, t, slot); \
        break;
                CASES(MOVE)
            }
        }
        if (used) record(net, fires, t, tick, place, unit, row);
        meet(gate, ++meetings * gridDim.x);
        const u32 own = __ldcg(net.count + t % 3);
        send(net, {own, own + (u32)(given_end - given), given}, t, warp, warps);
        given = given_end;
        meet(gate, ++meetings * gridDim.x);
    }
    if (active) switch (p.kind) {
#define STORE(k) case k: store<STATES_##k>(n, net, p, local, item); break;
        CASES(STORE)
    }
    if (used && p.drives) count_drawn(net, events, item * (u32)net.words * 32 + place);
}
#endif

struct Learning {
    i64 synapses, source_first, target_first, cell_first;
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
    const int t = net.clock[0] + ahead, tick = t - net.clock[1], item = blockIdx.y;
    unsigned char *fired = net.fired + (modulo(t, net.history) * net.items + item) * net.neurons;
    for (int i = threadIdx.x; i < inputs; i += blockDim.x) fired[i] = 0;
    __syncthreads();
    for (int i = net.source_row[tick] + threadIdx.x; i < net.source_row[tick + 1]; i += blockDim.x)
        if (net.source[i] / (u32)net.neurons == item)
            fired[net.source[i] - item * net.neurons] = 1;
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
    const int t = net.clock[0] + ahead, item = blockIdx.y;
    const i64 s = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (s >= l.synapses) return;
    const i64 now = (modulo(t, net.history) * net.items + item) * net.neurons;
    const int then = t - l.lag[s];
    const i64 post = (modulo(max(then, 0), net.history) * net.items + item) * net.neurons;
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
    const int t = net.clock[0] + ahead;
    const Spikes spikes = spikes_of(net, t);
    const u32 lane = threadIdx.x & 31, warps = (gridDim.x * blockDim.x) >> 5;
    const int slot = modulo(t, net.slots);
    for (u32 i = (blockIdx.x * blockDim.x + threadIdx.x) >> 5; i < spikes.all; i += warps) {
        const u32 who = i < spikes.own ? (u32)__ldcg(net.who + i)
                                       : net.source[spikes.given + (i - spikes.own)];
        const i64 item = who / (u32)net.neurons, source = who - item * net.neurons - l.source_first;
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
__device__ REAL shown(const Net &net, const Population &p, int local, int item, int t, int state) {
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
    const int t = net.clock[0] + ahead, item = blockIdx.y, every = (int)q.every;
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (t % every || i >= q.neurons) return;
    const Population &p = net.population[q.population];
    const int row = t / every - (net.clock[1] + every - 1) / every;
    REAL value = 0;
    switch (p.kind) {
#define SHOW(k) case k: value = shown<STATES_##k>(net, p, q.neuron[i], item, t, q.state); break;
        CASES(SHOW)
    }
    q.out[(item * q.rows + row) * q.neurons + i] = value;
}

extern "C" __global__ void advance_clock(int *clock, const int ticks) { clock[0] += ticks; }
