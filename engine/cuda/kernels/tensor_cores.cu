#include "sources.cuh"

// Convolutions of bfloat16 where channels come in eights (or pictures have one): the same
// sums as in conv.cu, on the tensor cores, and fed by copies that go on beside them. Weights
// are in bfloat16 here, in their order; pack makes them. Of a block's shape no bit depends.

// Moments of 32 rows of y at a time, for each channel: their mean, and the sum of the squares
// of what they differ from it. merge_moments puts them together.
enum { MOMENT_ROWS = 32 };

// shelf is where the block keeps its results before they are stored, line after line; chunks
// are in changing order as in the windows.
template <class T> DEVICE int shelf(int row, int column) { return across<T::N>(row, column / 8) + column % 8; }

// put_away rounds the block's results and puts them on the shelf. F is what becomes of the sum
// for row and column of y; both are below rows and columns.
template <class T, class F> DEVICE void put_away(const T &block, u16 *stages, int rows, int columns, const F &f) {
#pragma unroll
    for (int i = 0; i < T::TILES_M; i++)
#pragma unroll
        for (int j = 0; j < T::TILES_N; j++)
#pragma unroll
            for (int e = 0; e < 4; e += 2) {
                int row = T::row(i, e), column = T::column(j, e);
                float low = 0, high = 0;
                if (row < rows && column < columns) f.make(row, column, block.sums[i][j] + e, &low, &high);
                *(unsigned *)(stages + shelf<T>(row, column)) = to_bf16x2(low, high);
            }
    __syncthreads();
}

// store copies the shelf to y, of which the block's corner is at to.
template <class T> DEVICE void store(const u16 *stages, u16 *to, int line, int rows, int columns) {
    for (int i = threadIdx.x; i < T::M * T::N / 8; i += T::THREADS) {
        int row = i / (T::N / 8), column = i % (T::N / 8) * 8;
        if (row < rows && column < columns) *(uint4 *)(to + (long long)row * line + column) = *(const uint4 *)(stages + shelf<T>(row, column));
    }
}

// Result is what becomes of the sums of a forward convolution, as in forward: v becomes
// (v + bias - mean) factor + beta, with 0, 0, 1 and 0 where there is none.
template <class T> struct Result {
    float bias[T::N], mean[T::N], factor[T::N], beta[T::N]; // of the block's columns
    const u16 *residual;                                    // at the block's corner, or 0
    int line, relu;

    // prepare is for all threads; a barrier must follow.
    METHOD void prepare(const Epilogue &e, int channels, int o, int columns) {
        for (int i = threadIdx.x; i < columns; i += T::THREADS) {
            bias[i] = e.bias ? e.bias[o + i] : 0;
            mean[i] = e.stats ? e.stats[o + i] : 0;
            factor[i] = e.stats ? e.gamma[o + i] / sqrtf(e.stats[channels + o + i] + e.eps) : 1;
            beta[i] = e.stats ? e.beta[o + i] : 0;
        }
    }
    METHOD float finish(float v, int column) const { return (v + bias[column] - mean[column]) * factor[column] + beta[column]; }
    METHOD void make(int row, int column, const float *sums, float *low, float *high) const {
        *low = finish(sums[0], column), *high = finish(sums[1], column + 1);
        if (residual) {
            unsigned r = *(const unsigned *)(residual + (long long)row * line + column);
            *low += widen(r & 0xffff), *high += widen(r >> 16);
        }
        if (relu) *low = rectified(*low), *high = rectified(*high);
    }
};

// moments writes those of the block's channels; a thread takes two channels of 32 rows.
template <class T> DEVICE void moments(const u16 *stages, float *to, int all, int channels, int m0, int rows, int o, int columns) {
    for (int i = threadIdx.x; i < T::N / 2 * (T::M / MOMENT_ROWS); i += T::THREADS) {
        int column = i % (T::N / 2) * 2, first = i / (T::N / 2) * MOMENT_ROWS, count = min(rows - first, (int)MOMENT_ROWS);
        if (column >= columns || count <= 0) continue;
        // Sums of what differs from the first row, which is near enough to the mean.
        float pivot[2], sum[2] = {}, squares[2] = {};
        for (int r = 0; r < count; r++) {
            unsigned pair = *(const unsigned *)(stages + shelf<T>(first + r, column));
            float v[2] = {widen(pair & 0xffff), widen(pair >> 16)};
            for (int k = 0; k < 2; k++) {
                if (r == 0) pivot[k] = v[k];
                float d = v[k] - pivot[k];
                sum[k] += d;
                squares[k] += d * d;
            }
        }
        float *mean = to + (long long)((m0 + first) / MOMENT_ROWS) * channels + o + column;
        for (int k = 0; k < 2; k++) {
            mean[k] = pivot[k] + sum[k] / count;
            mean[(long long)all * channels + k] = fmaxf(squares[k] - sum[k] * (sum[k] / count), 0);
        }
    }
}

// forward_block makes y and, unless it is 0, the moments of y. A is Pixels or GreyPixels.
template <class T, class A> DEVICE void forward_block(const u16 *x, const u16 *w, u16 *y, float *to, const Conv &p, const Epilogue &e) {
    DYNAMIC_SHARED(stages);
    __shared__ int list[MOST_TAPS];
    T block;
    int group = blockIdx.z, outs = p.o / p.groups, m0 = blockIdx.x * T::M, n0 = blockIdx.y * T::N, all = p.oh * p.ow * p.n;
    Depth walk = {list, list_taps<T, false>(p, m0, list), p.c / p.groups, 0, 0};
    sum_products(block, A(x, p, m0, group), Filters<T>(w, p, n0, group), walk, stages);
    int rows = min(all - m0, (int)T::M), columns = min(outs - n0, (int)T::N), o = group * outs + n0;
    long long at = (long long)m0 * p.o + o;
    __shared__ Result<T> result;
    result.prepare(e, p.o, o, columns);
    if (threadIdx.x == 0) result.residual = e.residual ? (const u16 *)e.residual + at : 0, result.line = p.o, result.relu = e.relu;
    __syncthreads();
    put_away(block, stages, rows, columns, result);
    store<T>(stages, y + at, p.o, rows, columns);
    if (to) moments<T>(stages, to, (all + MOMENT_ROWS - 1) / MOMENT_ROWS, p.o, m0, rows, o, columns);
}

// Added is the sum, and what was there.
struct Added {
    const u16 *base; // at the block's corner, or 0
    int line;

    METHOD void make(int row, int column, const float *sums, float *low, float *high) const {
        *low = sums[0], *high = sums[1];
        if (base) {
            unsigned r = *(const unsigned *)(base + (long long)row * line + column);
            *low += widen(r & 0xffff), *high += widen(r >> 16);
        }
    }
};

// backward_block makes dx (+ base, which may be dx).
template <class T> DEVICE void backward_block(const u16 *w, const u16 *dy, const u16 *base, u16 *dx, const Conv &p) {
    DYNAMIC_SHARED(stages);
    __shared__ int list[MOST_TAPS];
    T block;
    int group = blockIdx.z, ins = p.c / p.groups, m0 = blockIdx.x * T::M, n0 = blockIdx.y * T::N;
    Depth walk = {list, list_taps<T, true>(p, m0, list), p.o / p.groups, 0, 0};
    sum_products(block, Pixels<T, true>(dy, p, m0, group), FiltersBack<T>(w, p, n0, group), walk, stages);
    int rows = min(p.h * p.w * p.n - m0, (int)T::M), columns = min(ins - n0, (int)T::N);
    long long at = (long long)m0 * p.c + group * ins + n0;
    put_away(block, stages, rows, columns, Added{base ? base + at : 0, p.c});
    store<T>(stages, dx + at, p.c, rows, columns);
}

// weights_block makes stretch blockIdx.z / groups of dw, as weights does. A is Patches or
// GreyPatches.
template <class T, class A> DEVICE void weights_block(const u16 *x, const u16 *dy, float *part, const Conv &p, int stretch) {
    DYNAMIC_SHARED(stages);
    T block;
    int ins = p.c / p.groups, outs = p.o / p.groups, group = blockIdx.z % p.groups, s = blockIdx.z / p.groups;
    int r0 = blockIdx.x * T::M, n0 = blockIdx.y * T::N, rows = p.kh * p.kw * ins, pixels = p.oh * p.ow * p.n;
    int tap = r0 / ins, last = (min(r0 + T::M, rows) - 1) / ins;
    Places walk(p, s * stretch, min(pixels, (s + 1) * stretch), tap == last ? tap / p.kw : -1, tap % p.kw);
    sum_products(block, A(x, p, r0, group), Gradients<T>(dy, p, n0, group), walk, stages);
    float *dw = part + (long long)s * rows * p.o + group * outs;
#pragma unroll
    for (int i = 0; i < T::TILES_M; i++)
#pragma unroll
        for (int j = 0; j < T::TILES_N; j++)
#pragma unroll
            for (int e = 0; e < 4; e += 2) {
                int row = r0 + T::row(i, e), column = n0 + T::column(j, e);
                if (row < rows && column < outs) *(float2 *)(dw + (long long)row * p.o + column) = {block.sums[i][j][e], block.sums[i][j][e + 1]};
            }
}

// The shapes of blocks. Which is fastest depends on how many blocks fill the GPU.
typedef Block<128, 128, 64, 64> Large;
typedef Block<256, 64, 64, 64> Tall;
typedef Block<128, 64, 64, 32> Medium;
typedef Block<64, 64, 32, 32> Small;
typedef Block<256, 32, 64, 32> Slim; // for few channels
typedef Block<64, 32, 32, 16> SlimWeights;

#define FORWARD const u16 *x, const u16 *w, u16 *y, float *to, Conv p, Epilogue e
KERNEL(forward_large)(FORWARD) { forward_block<Large, Pixels<Large, false>>(x, w, y, to, p, e); }
KERNEL(forward_tall)(FORWARD) { forward_block<Tall, Pixels<Tall, false>>(x, w, y, to, p, e); }
KERNEL(forward_medium)(FORWARD) { forward_block<Medium, Pixels<Medium, false>>(x, w, y, to, p, e); }
KERNEL(forward_small)(FORWARD) { forward_block<Small, Pixels<Small, false>>(x, w, y, to, p, e); }
KERNEL(forward_slim)(FORWARD) { forward_block<Slim, Pixels<Slim, false>>(x, w, y, to, p, e); }
KERNEL(forward_grey)(FORWARD) { forward_block<Medium, GreyPixels<Medium>>(x, w, y, to, p, e); }

#define BACKWARD const u16 *w, const u16 *dy, const u16 *base, u16 *dx, Conv p
KERNEL(backward_large)(BACKWARD) { backward_block<Large>(w, dy, base, dx, p); }
KERNEL(backward_tall)(BACKWARD) { backward_block<Tall>(w, dy, base, dx, p); }
KERNEL(backward_medium)(BACKWARD) { backward_block<Medium>(w, dy, base, dx, p); }
KERNEL(backward_small)(BACKWARD) { backward_block<Small>(w, dy, base, dx, p); }
KERNEL(backward_slim)(BACKWARD) { backward_block<Slim>(w, dy, base, dx, p); }

#define WEIGHTS const u16 *x, const u16 *dy, float *part, Conv p, int stretch
KERNEL(weights_large)(WEIGHTS) { weights_block<Large, Patches<Large>>(x, dy, part, p, stretch); }
KERNEL(weights_medium)(WEIGHTS) { weights_block<Medium, Patches<Medium>>(x, dy, part, p, stretch); }
KERNEL(weights_small)(WEIGHTS) { weights_block<Small, Patches<Small>>(x, dy, part, p, stretch); }
KERNEL(weights_slim)(WEIGHTS) { weights_block<SlimWeights, Patches<SlimWeights>>(x, dy, part, p, stretch); }
KERNEL(weights_grey)(WEIGHTS) { weights_block<Small, GreyPatches<Small>>(x, dy, part, p, stretch); }
