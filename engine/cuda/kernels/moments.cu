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

// Moments are of some values: how many, their mean, and the sum of the squares of what they
// differ from it. Those of two sets are put together as Chan, Golub and LeVeque do (1979).
struct Moments {
    double count, mean, squares;

    METHOD void add(double n, double m, double s) {
        if (n == 0) return;
        double all = count + n, d = m - mean;
        mean += d * (n / all);
        squares += s + d * d * (count * n / all);
        count = all;
    }
};

// Running is what becomes of running statistics, of the mean and of the variance, with those
// of a batch: from and to are 0 where there are none.
struct Running {
    const float *from[2];
    float *to[2];
    double unbiased[2], momentum;
};

// merge_moments puts together `each` neighbouring sets of a channel, of `in` in all, of which
// every one but the last is of `size` rows; `rows` are all. from is float32, as moments writes
// it, or float64, as this kernel does. A block of 32 by 8 threads takes 32 channels. The last
// time, out is 0 and stats becomes [2][channels], mean and biased variance, and running is told.
KERNEL(merge_moments)(const void *from, int wide, int in, int size, int rows, int channels, int each, double *out, float *stats,
                      Running running) {
    __shared__ Moments part[8][32];
    int tx = threadIdx.x % 32, ty = threadIdx.x / 32, c = blockIdx.x * 32 + tx, begin = blockIdx.y * each, end = min(in, begin + each);
    Moments m = {0, 0, 0};
    if (c < channels)
        for (int i = begin + ty; i < end; i += 8) {
            long long at = (long long)i * channels + c, second = at + (long long)in * channels;
            double mean = wide ? ((const double *)from)[at] : ((const float *)from)[at];
            double squares = wide ? ((const double *)from)[second] : ((const float *)from)[second];
            m.add(min(size, rows - i * size), mean, squares);
        }
    part[ty][tx] = m;
    __syncthreads();
    if (ty > 0 || c >= channels) return;
    for (int k = 1; k < 8; k++) m.add(part[k][tx].count, part[k][tx].mean, part[k][tx].squares);
    if (out) {
        long long at = (long long)blockIdx.y * channels + c;
        out[at] = m.mean;
        out[at + (long long)gridDim.y * channels] = m.squares;
    } else {
        float of[2] = {(float)m.mean, (float)(m.squares / m.count)};
        for (int r = 0; r < 2; r++) {
            stats[r * channels + c] = of[r];
            if (running.to[r]) running.to[r][c] = moved(running.from[r][c], of[r], running.momentum, running.unbiased[r]);
        }
    }
}
