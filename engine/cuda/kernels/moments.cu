#include "prelude.cuh"

// What goes before and after the convolutions of tensor_cores.cu.

// Packed is a weight to be rounded to bfloat16, of blocks of 2048 elements from `block` on.
struct Packed {
    const float *from;
    u16 *to;
    int n, block; // n is a multiple of 8
};

// pack rounds several weights; a thread takes 8 elements.
KERNEL(pack)(int weights, const Packed *list) {
    int low = 0, high = weights - 1; // the last that begins at this block or before
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (list[middle].block <= (int)blockIdx.x)
            low = middle;
        else
            high = middle - 1;
    }
    Packed w = list[low];
    int i = (((int)blockIdx.x - w.block) * 256 + threadIdx.x) * 8;
    if (i >= w.n) return;
    const float4 *from = (const float4 *)(w.from + i);
    float4 a = from[0], b = from[1];
    *(uint4 *)(w.to + i) = {to_bf16x2(a.x, a.y), to_bf16x2(a.z, a.w), to_bf16x2(b.x, b.y), to_bf16x2(b.z, b.w)};
}

// Running is what becomes of running statistics, of the mean and of the variance, with those
// of a batch: from and to are 0 where there are none.
struct Running {
    const float *from[2];
    float *to[2];
    double unbiased[2], momentum;
};

// column_total adds v of the 32 threads of each of a block's 8 columns, in a fixed order.
DEVICE double column_total(double v) {
    __shared__ double parts[32][8];
    int tx = threadIdx.x % 8, ty = threadIdx.x / 8;
    parts[ty][tx] = v;
    __syncthreads();
    for (int n = 16; n > 0; n /= 2) {
        if (ty < n) parts[ty][tx] += parts[ty + n][tx];
        __syncthreads();
    }
    double sum = parts[0][tx];
    __syncthreads(); // before the next one writes
    return sum;
}

// merge_moments puts together `each` neighbouring sets of moments of a channel, of `in` in all,
// of which every one but the last is of `size` rows; `rows` are all. from is float32, as moments
// writes it, or float64, as this kernel does. A block takes 8 channels. The squares are those of
// the sets, and of what the sets' means differ from that of all. The last time, out is 0 and
// stats becomes [2][channels], mean and biased variance, and running is told.
KERNEL(merge_moments)(const void *from, int wide, int in, int size, int rows, int channels, int each, double *out, float *stats,
                      Running running) {
    int c = blockIdx.x * 8 + threadIdx.x % 8, begin = blockIdx.y * each, end = min(in, begin + each);
    int first = c < channels ? begin + (int)threadIdx.x / 8 : end;
    double all = min(rows, end * size) - begin * size, sum = 0, squares = 0;
#pragma unroll 4
    for (int i = first; i < end; i += 32) {
        long long at = (long long)i * channels + c;
        double mean = wide ? ((const double *)from)[at] : ((const float *)from)[at];
        sum += min(size, rows - i * size) * mean;
    }
    double middle = column_total(sum) / all;
#pragma unroll 4
    for (int i = first; i < end; i += 32) {
        long long at = (long long)i * channels + c, second = at + (long long)in * channels;
        double mean = wide ? ((const double *)from)[at] : ((const float *)from)[at];
        double apart = mean - middle;
        squares += (wide ? ((const double *)from)[second] : ((const float *)from)[second]) + min(size, rows - i * size) * (apart * apart);
    }
    squares = column_total(squares);
    if (threadIdx.x >= 8 || c >= channels) return;
    if (out) {
        long long at = (long long)blockIdx.y * channels + c;
        out[at] = middle;
        out[at + (long long)gridDim.y * channels] = squares;
        return;
    }
    float of[2] = {(float)middle, (float)(squares / all)};
    for (int r = 0; r < 2; r++) {
        stats[r * channels + c] = of[r];
        if (running.to[r]) running.to[r][c] = moved(running.from[r][c], of[r], running.momentum, running.unbiased[r]);
    }
}
