#include "wide.cuh"

// Sums over the rows of [rows][channels], for all channels, and what is computed of each
// element and of numbers of its channel: batch normalisation and the gradients of biases.

enum { SUM, SQUARES, PRODUCTS };

// What column_sums adds up. SUM: sum x. SQUARES: sum (x-mean)^2. PRODUCTS:
// sum g (x-mean)/sqrt(var+eps), and sum g, where g is dy behind a ReLU whose result is mask,
// if there is one; where gamma and beta are given in its place, the result of the ReLU is that
// of the normalised x. stats is [2][channels], mean and variance; part is
// [2][gridDim.x][channels]. A block adds up a stretch of rows for side packs of channels,
// with 256/side threads for each of them.
struct Columns {
    const void *x, *dy, *mask;
    const float *stats, *gamma, *beta;
    double *part;
    float eps;
    int xh, dh, mh, stretch, side;
};

// masked is element k of g, where the ReLU gave mask.
template <class K> DEVICE float masked(const typename K::Pack &dy, float mask, int k) { return mask <= 0 ? 0 : K::at(dy, k); }

// scales are by what x-mean is multiplied, and what is added then, to normalise it.
template <class K>
DEVICE void scales(const float *gamma, const float *beta, const float *var, float eps, float scale[K::WIDTH], float shift[K::WIDTH]) {
    float v[K::WIDTH];
    constants<K>(var, v);
    constants<K>(gamma, scale);
    constants<K>(beta, shift);
#pragma unroll
    for (int k = 0; k < K::WIDTH; k++) scale[k] /= sqrtf(v[k] + eps);
}

// total adds up what the threads of a block have for a column, in float64; the threads of
// columns below side * WIDTH have the sums of theirs.
template <class K> DEVICE double total(const float v[K::WIDTH], int side) {
    __shared__ float sums[256 * K::WIDTH];
    __shared__ double parts[256];
    int t = threadIdx.x, columns = side * K::WIDTH, rows = 256 / side, shares = 256 / columns;
    for (int k = 0; k < K::WIDTH; k++) sums[t * K::WIDTH + k] = v[k];
    __syncthreads();
    double sum = 0;
    if (t < shares * columns)
#pragma unroll 1
        for (int r = t / columns; r < rows; r += shares) sum += sums[r * columns + t % columns];
    parts[t] = sum;
    __syncthreads();
    sum = 0;
    if (t < columns)
#pragma unroll 1
        for (int s = 0; s < shares; s++) sum += parts[s * columns + t];
    __syncthreads(); // before the next one writes
    return sum;
}

template <class K, bool TWO> DEVICE void column_stretch(unsigned rows, int channels, const Columns &a, int mode) {
    enum { W = K::WIDTH, ROWS = W == 1 ? 2 : 4 }; // whose loads are on their way together
    typedef typename K::Pack Pack;
    int lanes = channels / W, t = threadIdx.x, first = blockIdx.y * a.side, lane = first + t % a.side, step = 256 / a.side;
    unsigned begin = blockIdx.x * a.stretch, end = begin + a.stretch;
    if (end > rows) end = rows;
    float mean[W] = {}, sum[W] = {}, other[W] = {}, scale[W] = {}, shift[W] = {};
    bool normal = TWO && a.gamma;
    if (lane < lanes && t < step * a.side) {
        if (mode != SUM) constants<K>(a.stats + lane * W, mean);
        if (normal) scales<K>(a.gamma + lane * W, a.beta + lane * W, a.stats + channels + lane * W, a.eps, scale, shift);
#pragma unroll 1
        for (unsigned r = begin + t / a.side; r < end; r += ROWS * step) {
            Pack x[ROWS], dy[ROWS], mask[ROWS];
            float few[W] = {}, others[W] = {}; // float32 for a few rows, then for some of those, then float64
#pragma unroll
            for (int j = 0; j < ROWS; j++)
                if (r + j * step < end) x[j] = K::load(a.x, a.xh, (long long)(r + j * step) * lanes + lane);
            if (TWO) {
#pragma unroll
                for (int j = 0; j < ROWS; j++)
                    if (r + j * step < end) dy[j] = K::load(a.dy, a.dh, (long long)(r + j * step) * lanes + lane);
#pragma unroll
                for (int j = 0; j < ROWS; j++)
                    mask[j] = a.mask && r + j * step < end ? K::load(a.mask, a.mh, (long long)(r + j * step) * lanes + lane) : K::all(1);
            }
#pragma unroll
            for (int j = 0; j < ROWS; j++) {
                if (r + j * step >= end) continue;
#pragma unroll
                for (int k = 0; k < W; k++) {
                    float d = K::at(x[j], k) - mean[k];
                    if (TWO) {
                        float g = masked<K>(dy[j], normal ? d * scale[k] + shift[k] : K::at(mask[j], k), k);
                        few[k] += g * d;
                        others[k] += g;
                    } else {
                        few[k] += d * (mode == SQUARES ? d : 1);
                    }
                }
            }
#pragma unroll
            for (int k = 0; k < W; k++) sum[k] += few[k], other[k] += others[k];
        }
    }
    int c = first * W + t;
    bool mine = t < a.side * W && c < channels;
    double result = total<K>(sum, a.side);
    if (TWO && mine) result *= 1 / sqrtf(a.stats[channels + c] + a.eps);
    double *part = a.part + (long long)blockIdx.x * channels + c;
    if (mine) *part = result;
    if (!TWO) return;
    result = total<K>(other, a.side);
    if (mine) part[(long long)gridDim.x * channels] = result;
}

template <class K> DEVICE void sum_columns(int mode, int rows, int channels, const Columns &a) {
    if (mode == PRODUCTS)
        column_stretch<K, true>(rows, channels, a, mode);
    else
        column_stretch<K, false>(rows, channels, a, mode);
}

KERNEL(column_sums)(int mode, int rows, int channels, Columns a) { sum_columns<Any>(mode, rows, channels, a); }
KERNEL(column_sums_fp32)(int mode, int rows, int channels, Columns a) { sum_columns<Floats>(mode, rows, channels, a); }
KERNEL(column_sums_bf16)(int mode, int rows, int channels, Columns a) { sum_columns<Halves>(mode, rows, channels, a); }

enum { FINISHED = 4 }; // columns that a block of column_finish adds up

// out[row][c] = the sum of part / count, for one row or two.
KERNEL(column_finish)(const double *part, int stretches, int channels, int rows, double count, float *out) {
    __shared__ double sums[256 / FINISHED][FINISHED];
    int tx = threadIdx.x % FINISHED, ty = threadIdx.x / FINISHED, i = blockIdx.x * FINISHED + tx;
    double sum = 0;
    if (i < rows * channels) {
        const double *p = part + (long long)(i / channels) * stretches * channels + i % channels;
#pragma unroll 8
        for (int s = ty; s < stretches; s += 256 / FINISHED) sum += p[(long long)s * channels];
    }
    sums[ty][tx] = sum;
    __syncthreads();
    for (int n = 128 / FINISHED; n > 0; n /= 2) {
        if (ty < n) sums[ty][tx] += sums[ty + n][tx];
        __syncthreads();
    }
    if (ty == 0 && i < rows * channels) out[i] = (float)(sums[0][tx] / count);
}

// BatchNorm: y = (x-mean)/sqrt(var+eps) gamma + beta (+ residual) (then ReLU). y may be x
// or the residual.
struct Norm {
    const void *x, *residual;
    void *y;
    const float *stats, *gamma, *beta;
    float eps;
    int relu, xh, rh, yh;
};

template <class K> DEVICE void normalise(int rows, int channels, const Norm &a) {
    enum { W = K::WIDTH, PACKS = W == 1 ? 2 : 4 };
    typedef typename K::Pack Pack;
    Share s = share_of(rows, channels / W);
    if (s.at >= s.end) return;
    float mean[W], scale[W], shift[W];
    int c = s.lane * W;
    constants<K>(a.stats + c, mean);
    scales<K>(a.gamma + c, a.beta + c, a.stats + channels + c, a.eps, scale, shift);
    bool relu = a.relu;
#pragma unroll 1
    for (unsigned i = s.at; i < s.end; i += PACKS * s.stride) {
        Pack x[PACKS], residual[PACKS];
#pragma unroll
        for (int j = 0; j < PACKS; j++)
            if (i + j * s.stride < s.end) x[j] = K::load(a.x, a.xh, i + j * s.stride);
#pragma unroll
        for (int j = 0; j < PACKS; j++)
            residual[j] = a.residual && i + j * s.stride < s.end ? K::load(a.residual, a.rh, i + j * s.stride) : K::all(0);
#pragma unroll
        for (int j = 0; j < PACKS; j++) {
            if (i + j * s.stride >= s.end) continue;
            float v[W];
#pragma unroll
            for (int k = 0; k < W; k++) {
                v[k] = (K::at(x[j], k) - mean[k]) * scale[k] + shift[k] + K::at(residual[j], k);
                v[k] = relu & (v[k] <= 0) ? 0 : v[k];
            }
            K::store(a.y, a.yh, i + j * s.stride, v);
        }
    }
}

KERNEL(batch_norm)(int rows, int channels, Norm a) { normalise<Any>(rows, channels, a); }
KERNEL(batch_norm_fp32)(int rows, int channels, Norm a) { normalise<Floats>(rows, channels, a); }
KERNEL(batch_norm_bf16)(int rows, int channels, Norm a) { normalise<Halves>(rows, channels, a); }

// BatchNormGrad. dx may be x or dy; handed, where the masked gradient goes, may be dy or 0.
// reduced is what PRODUCTS gave. sums, if not 0, is [channels]: what dx sums to over the rows.
// Unless frozen that is nothing: g less its mean sums to 0, and so does x-mean, as the
// statistics are those of x.
struct NormGrad {
    const void *x, *dy, *mask;
    void *dx, *handed;
    const float *stats, *gamma, *beta, *reduced; // beta where the mask is that of x, as for column_sums, or 0
    float *sums;
    float eps;
    int frozen, xh, dh, mh, dxh, hh;
};

template <class K> DEVICE void normalise_grad(int rows, int channels, const NormGrad &a) {
    enum { W = K::WIDTH, PACKS = 2 };
    typedef typename K::Pack Pack;
    Share s = share_of(rows, channels / W);
    if (s.at >= s.end) return;
    // dx = factor (g - away - (x-mean) slope)
    float mean[W] = {}, factor[W], away[W] = {}, slope[W] = {}, part = 1 / (float)rows, normal_scale[W] = {}, shift[W] = {};
    int c = s.lane * W;
    if (a.beta) scales<K>(a.gamma + c, a.beta + c, a.stats + channels + c, a.eps, normal_scale, shift);
    constants<K>(a.gamma + c, factor);
    {
        float scale[W];
        constants<K>(a.stats + channels + c, scale);
        if (!a.frozen) {
            constants<K>(a.stats + c, mean);
            constants<K>(a.reduced + c, slope);
            constants<K>(a.reduced + channels + c, away);
        }
#pragma unroll
        for (int k = 0; k < W; k++) {
            scale[k] = 1 / sqrtf(scale[k] + a.eps);
            factor[k] *= scale[k];
            slope[k] *= part * scale[k];
            away[k] *= part;
        }
    }
    if (a.sums && s.at == s.lane) {
#pragma unroll 1
        for (int k = c; k < c + W; k++)
            a.sums[k] = a.frozen ? a.gamma[k] / sqrtf(a.stats[channels + k] + a.eps) * a.reduced[channels + k] : 0;
    }
#pragma unroll 1
    for (unsigned i = s.at; i < s.end; i += PACKS * s.stride) {
        Pack x[PACKS], dy[PACKS], mask[PACKS];
#pragma unroll
        for (int j = 0; j < PACKS; j++)
            if (i + j * s.stride < s.end) dy[j] = K::load(a.dy, a.dh, i + j * s.stride);
        if (!a.frozen) {
#pragma unroll
            for (int j = 0; j < PACKS; j++)
                if (i + j * s.stride < s.end) x[j] = K::load(a.x, a.xh, i + j * s.stride);
        }
#pragma unroll
        for (int j = 0; j < PACKS; j++)
            mask[j] = a.mask && i + j * s.stride < s.end ? K::load(a.mask, a.mh, i + j * s.stride) : K::all(1);
#pragma unroll
        for (int j = 0; j < PACKS; j++) {
            if (i + j * s.stride >= s.end) continue;
            float g[W], d[W];
#pragma unroll
            for (int k = 0; k < W; k++) {
                float apart = a.frozen ? 0 : K::at(x[j], k) - mean[k];
                d[k] = g[k] = masked<K>(dy[j], a.beta ? apart * normal_scale[k] + shift[k] : K::at(mask[j], k), k);
                if (!a.frozen) d[k] -= away[k] + apart * slope[k];
                d[k] *= factor[k];
            }
            K::store(a.dx, a.dxh, i + j * s.stride, d);
            if (a.handed) K::store(a.handed, a.hh, i + j * s.stride, g);
        }
    }
}

KERNEL(batch_norm_grad)(int rows, int channels, NormGrad a) { normalise_grad<Any>(rows, channels, a); }
KERNEL(batch_norm_grad_fp32)(int rows, int channels, NormGrad a) { normalise_grad<Floats>(rows, channels, a); }
KERNEL(batch_norm_grad_bf16)(int rows, int channels, NormGrad a) { normalise_grad<Halves>(rows, channels, a); }
