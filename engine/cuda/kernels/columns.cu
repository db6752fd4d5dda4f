#include "prelude.cuh"

// Sums over the rows of [rows][channels], for all channels: batch normalisation and the
// gradients of biases. A block of 32 by 8 threads adds up 32 channels of a stretch of
// rows; column_finish adds the stretches up in their order.

enum { SUM, SQUARES, PRODUCTS };

// g is the gradient behind a ReLU whose result is mask, if there is one.
DEVICE float masked(const void *dy, int dh, const void *mask, int mh, long long i) {
    return mask && get(mask, mh, i) <= 0 ? 0 : get(dy, dh, i);
}

// SUM: sum x. SQUARES: sum (x-mean)^2. PRODUCTS: sum g (x-mean)/sqrt(var+eps), and sum g.
// stats is [2][channels], mean and variance; part is [2][gridDim.y][channels].
KERNEL(column_sums)(int mode, const void *x, int xh, const void *dy, int dh, const void *mask, int mh,
                    const float *stats, float eps, int rows, int channels, int stretch, double *part) {
    __shared__ double sums[2][8][33];
    int tx = threadIdx.x % 32, ty = threadIdx.x / 32, c = blockIdx.x * 32 + tx;
    double first = 0, second = 0;
    if (c < channels) {
        float mean = stats && mode != SUM ? stats[c] : 0;
        float scale = mode == PRODUCTS ? 1 / sqrtf(stats[channels + c] + eps) : 0;
        int end = min(rows, (int)(blockIdx.y + 1) * stretch);
        for (int r = blockIdx.y * stretch + ty; r < end;) {
            float a = 0, b = 0; // float32 for a few rows, float64 for many
            for (int k = 0; k < 16 && r < end; k++, r += 8) {
                long long i = (long long)r * channels + c;
                if (mode == SUM) {
                    a += get(x, xh, i);
                } else if (mode == SQUARES) {
                    float d = get(x, xh, i) - mean;
                    a += d * d;
                } else {
                    float g = masked(dy, dh, mask, mh, i);
                    a += g * ((get(x, xh, i) - mean) * scale);
                    b += g;
                }
            }
            first += a;
            second += b;
        }
    }
    sums[0][ty][tx] = first;
    sums[1][ty][tx] = second;
    __syncthreads();
    if (ty > 1 || c >= channels || (ty == 1 && mode != PRODUCTS)) return;
    double sum = 0;
    for (int k = 0; k < 8; k++) sum += sums[ty][k][tx];
    part[((long long)ty * gridDim.y + blockIdx.y) * channels + c] = sum;
}

// out[row][c] = the sum of part / count, for one row or two.
KERNEL(column_finish)(const double *part, int stretches, int channels, int rows, double count, float *out) {
    int i = index();
    if (i >= rows * channels) return;
    int row = i / channels, c = i % channels;
    double sum = 0;
    for (int s = 0; s < stretches; s++) sum += part[((long long)row * stretches + s) * channels + c];
    out[i] = (float)(sum / count);
}

// BatchNorm: y = (x-mean)/sqrt(var+eps) gamma + beta (+ residual) (then ReLU). y may be x
// or the residual.
KERNEL(batch_norm)(int n, int channels, const void *x, int xh, const void *residual, int rh, void *y, int yh,
                   const float *stats, const float *gamma, const float *beta, float eps, int relu) {
    int i = index();
    if (i >= n) return;
    int c = i % channels;
    float v = (get(x, xh, i) - stats[c]) * (gamma[c] / sqrtf(stats[channels + c] + eps)) + beta[c];
    if (residual) v += get(residual, rh, i);
    put(y, yh, i, relu ? rectified(v) : v);
}

// BatchNormGrad, of m values a channel. dx may be x or dy; handed, where the masked
// gradient goes, may be dy or 0.
KERNEL(batch_norm_grad)(int n, int channels, const void *x, int xh, const void *dy, int dh, const void *mask, int mh,
                        void *dx, int dxh, void *handed, int hh, const float *stats, const float *gamma,
                        const float *reduced, float eps, float m, int frozen) {
    int i = index();
    if (i >= n) return;
    int c = i % channels;
    float g = masked(dy, dh, mask, mh, i), scale = 1 / sqrtf(stats[channels + c] + eps), d = g;
    if (!frozen) {
        float normal = (get(x, xh, i) - stats[c]) * scale;
        d -= reduced[channels + c] / m + normal * (reduced[c] / m);
    }
    put(dx, dxh, i, gamma[c] * scale * d);
    if (handed) put(handed, hh, i, g);
}
