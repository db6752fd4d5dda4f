#include "prelude.cuh"

// Steps of optimisers over all parameters at once, by the formulas of package optim, every
// product rounded before it is added. A block takes a stretch of one parameter.

struct Piece {
    float *param, *grad;
    float *slot[2];
    int n;
    float rate; // factor of the learning rate
};

struct Stretch {
    int piece, from;
};

enum { LENGTH = 4096 };

// end is where this block's stretch of a parameter ends.
DEVICE int end_of(const Piece &p, const Stretch &s) { return min(p.n, s.from + LENGTH); }

// SGD; without momentum slot[0] is not used.
KERNEL(sgd)(const Piece *pieces, const Stretch *stretches, float lr, float momentum, float keep, float decay, int nesterov, int first) {
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    float rate = lr * p.rate;
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) {
        float g = p.grad[i];
        if (decay != 0) g = __fadd_rn(g, __fmul_rn(decay, p.param[i]));
        if (momentum != 0) {
            float b = first ? g : __fadd_rn(__fmul_rn(momentum, p.slot[0][i]), __fmul_rn(keep, g));
            p.slot[0][i] = b;
            g = nesterov ? __fadd_rn(g, __fmul_rn(momentum, b)) : b;
        }
        p.param[i] = __fsub_rn(p.param[i], __fmul_rn(rate, g));
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
