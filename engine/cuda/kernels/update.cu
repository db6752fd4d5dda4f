#include "prelude.cuh"

// Steps of optimisers over all parameters at once, by the formulas of package optim, every
// product rounded before it is added. A block takes a stretch of one parameter.

struct Piece {
    float *param, *grad;
    float *slot[4];
    int n;
    float rate;          // factor of the learning rate
    int first, stretches; // its own
};

struct Stretch {
    int piece, from;
};

enum { LENGTH = 4096 };

// end is where this block's stretch of a parameter ends.
DEVICE int end_of(const Piece &p, const Stretch &s) { return min(p.n, s.from + LENGTH); }

// Descent is what optim.SGD is made with.
struct Descent {
    float momentum, keep, decay;
    int nesterov, first; // first: the first step
};

DEVICE void descend(const Piece &p, int i, float g, float rate, const Descent &d) {
    if (d.decay != 0) g = __fadd_rn(g, __fmul_rn(d.decay, p.param[i]));
    if (d.momentum != 0) {
        float b = d.first ? g : __fadd_rn(__fmul_rn(d.momentum, p.slot[0][i]), __fmul_rn(d.keep, g));
        p.slot[0][i] = b;
        g = d.nesterov ? __fadd_rn(g, __fmul_rn(d.momentum, b)) : b;
    }
    p.param[i] = __fsub_rn(p.param[i], __fmul_rn(rate, g));
}

KERNEL(sgd)(const Piece *pieces, const Stretch *stretches, float lr, Descent d) {
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) descend(p, i, p.grad[i], lr * p.rate, d);
}

// The sums of the squares of a stretch of a parameter and of its gradient, for lars.
KERNEL(lars_norms)(const Piece *pieces, const Stretch *stretches, double *part) {
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    double a = 0, b = 0;
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) {
        a += (double)p.param[i] * p.param[i];
        b += (double)p.grad[i] * p.grad[i];
    }
    a = block_sum(a);
    b = block_sum(b);
    if (threadIdx.x == 0) part[2 * blockIdx.x] = a, part[2 * blockIdx.x + 1] = b;
}

// LARS: SGD, whose gradient is first scaled by the norms of the whole parameter. Like the
// host's it leaves the scaled gradient in the gradient's place.
KERNEL(lars)(const Piece *pieces, const Stretch *stretches, const double *part, float lr, Descent d, float decay, double trust, double eps) {
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    double a = 0, b = 0;
    for (int k = threadIdx.x; k < p.stretches; k += blockDim.x) a += part[2 * (p.first + k)], b += part[2 * (p.first + k) + 1];
    a = sqrt(block_sum(a));
    b = sqrt(block_sum(b));
    float ratio = a > 0 && b > 0 ? (float)(trust * a / (b + (double)decay * a + eps)) : 1;
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) {
        float g = __fmul_rn(__fadd_rn(p.grad[i], __fmul_rn(decay, p.param[i])), ratio);
        p.grad[i] = g;
        descend(p, i, g, lr * p.rate, d);
    }
}

// grad = factor grad.
KERNEL(scale_gradients)(const Piece *pieces, const Stretch *stretches, float factor) {
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) p.grad[i] *= factor;
}

// optim.Averaged's average: mean = keep mean + rest param.
KERNEL(average)(const Piece *pieces, const Stretch *stretches, int slot, float keep, float rest) {
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    float *mean = p.slot[slot];
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x)
        mean[i] = __fadd_rn(__fmul_rn(keep, mean[i]), __fmul_rn(rest, p.param[i]));
}

enum { BEGINS, GROWS, REPLACES };

// optim.Sum.
KERNEL(sum_gradients)(const Piece *pieces, const Stretch *stretches, int slot, float weight, int phase) {
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    float *sum = p.slot[slot];
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) {
        if (phase == REPLACES)
            p.grad[i] = __fmul_rn(sum[i], weight);
        else
            sum[i] = __fadd_rn(phase == BEGINS ? 0 : sum[i], __fmul_rn(p.grad[i], weight));
    }
}

// What AdamW needs to know of a step, in the order of optim.AdamW.
struct Adam {
    float beta1, rest1, beta2, rest2, root, eps, decay;
    double correction; // 1 - Beta1^step
};

KERNEL(adamw)(const Piece *pieces, const Stretch *stretches, float lr, Adam a) {
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    float rate = lr * p.rate;
    float size = (float)((double)rate / a.correction), keep = (float)(1 - (double)rate * (double)a.decay);
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) {
        float g = p.grad[i];
        float m = __fadd_rn(__fmul_rn(a.beta1, p.slot[0][i]), __fmul_rn(a.rest1, g));
        float v = __fadd_rn(__fmul_rn(a.beta2, p.slot[1][i]), __fmul_rn(__fmul_rn(a.rest2, g), g));
        p.slot[0][i] = m;
        p.slot[1][i] = v;
        float step = __fdiv_rn(__fmul_rn(size, m), __fadd_rn(__fdiv_rn(__fsqrt_rn(v), a.root), a.eps));
        p.param[i] = __fsub_rn(__fmul_rn(p.param[i], keep), step);
    }
}

// The sum of the squares of a stretch of a gradient, in float64.
KERNEL(squares)(const Piece *pieces, const Stretch *stretches, double *part) {
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    double sum = 0;
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) sum += (double)p.grad[i] * p.grad[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}

// *out = sum of part, by one block.
KERNEL(total)(const double *part, int n, double *out) {
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += part[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *out = sum;
}
