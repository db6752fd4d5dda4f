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

// Settings is what a pass is told anew for every step: it lies in the device's memory, so
// that a graph of the kernels need not be made anew. The comments name who reads it.
struct Settings {
    double limit;                 // gate, scale_gradients: of the norm of all gradients; 0 for none
    double trust, tiny;           // lars
    double correction;            // adamw: 1 - Beta1^step
    float lr, factor;             // factor: scale_gradients, where there is no limit
    float momentum, keep, decay;  // sgd, lars; decay: adamw, too
    int nesterov, first;          // first: the first step
    float beta1, rest1, beta2, rest2, root, eps; // adamw, as optim.AdamW has it
    int mean;                     // average: the slot
    float mean_keep, mean_rest;
    int sum;                      // sum_gradients: the slot
    float weight;
    int phase;
};
static_assert(sizeof(Settings) == 112, "the device writes 112 bytes");

// Gate says whether the passes of a step may be made, and what they multiply the gradients by.
struct Gate {
    int open, passes; // passes: made before the one that it was asked for last
    float factor;
    int unused;
};

// closed says that a pass is not to be made; one without a gate always is.
DEVICE bool closed(const Gate *gate) { return gate && !gate->open; }

// Opens the gate of a pass where the loss and the sum of the squares of all gradients are
// finite, unless that of a pass before it was closed. The factor is optim.ClipFactor.
KERNEL(gate)(const float *loss, const double *squares, const Settings *settings, Gate *gate, int pass) {
    if (threadIdx.x != 0 || (pass > 0 && !gate->open)) return;
    double sum = *squares, factor = settings->limit / (sqrt(sum) + 1e-6);
    float l = loss ? *loss : 0;
    gate->open = sum - sum == 0 && l - l == 0;
    gate->passes = pass;
    gate->factor = factor > 1 ? 1 : (float)factor;
}

DEVICE void descend(const Piece &p, int i, float g, float rate, float decay, const Settings &t) {
    if (decay != 0) g = __fadd_rn(g, __fmul_rn(decay, p.param[i]));
    if (t.momentum != 0) {
        float b = t.first ? g : __fadd_rn(__fmul_rn(t.momentum, p.slot[0][i]), __fmul_rn(t.keep, g));
        p.slot[0][i] = b;
        g = t.nesterov ? __fadd_rn(g, __fmul_rn(t.momentum, b)) : b;
    }
    p.param[i] = __fsub_rn(p.param[i], __fmul_rn(rate, g));
}

KERNEL(sgd)(const Piece *pieces, const Stretch *stretches, const Gate *gate, const Settings *settings) {
    if (closed(gate)) return;
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    const Settings t = *settings;
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) descend(p, i, p.grad[i], t.lr * p.rate, t.decay, t);
}

// The sums of the squares of a stretch of a parameter and of its gradient, for lars.
KERNEL(lars_norms)(const Piece *pieces, const Stretch *stretches, const Gate *gate, double *part) {
    if (closed(gate)) return;
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
KERNEL(lars)(const Piece *pieces, const Stretch *stretches, const Gate *gate, const Settings *settings, const double *part) {
    if (closed(gate)) return;
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    const Settings t = *settings;
    double a = 0, b = 0;
    for (int k = threadIdx.x; k < p.stretches; k += blockDim.x) a += part[2 * (p.first + k)], b += part[2 * (p.first + k) + 1];
    a = sqrt(block_sum(a));
    b = sqrt(block_sum(b));
    float ratio = a > 0 && b > 0 ? (float)(t.trust * a / (b + (double)t.decay * a + t.tiny)) : 1;
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) {
        float g = __fmul_rn(__fadd_rn(p.grad[i], __fmul_rn(t.decay, p.param[i])), ratio);
        p.grad[i] = g;
        descend(p, i, g, t.lr * p.rate, 0, t);
    }
}

// grad = factor grad.
KERNEL(scale_gradients)(const Piece *pieces, const Stretch *stretches, const Gate *gate, const Settings *settings) {
    if (closed(gate)) return;
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    float factor = settings->limit > 0 ? gate->factor : settings->factor;
    if (factor == 1) return;
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) p.grad[i] *= factor;
}

// optim.Averaged's average: mean = keep mean + rest param.
KERNEL(average)(const Piece *pieces, const Stretch *stretches, const Gate *gate, const Settings *settings) {
    if (closed(gate)) return;
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    const Settings t = *settings;
    float *mean = p.slot[t.mean];
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x)
        mean[i] = __fadd_rn(__fmul_rn(t.mean_keep, mean[i]), __fmul_rn(t.mean_rest, p.param[i]));
}

enum { BEGINS, GROWS, REPLACES };

// optim.Sum.
KERNEL(sum_gradients)(const Piece *pieces, const Stretch *stretches, const Gate *gate, const Settings *settings) {
    if (closed(gate)) return;
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    const Settings t = *settings;
    float *sum = p.slot[t.sum];
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) {
        if (t.phase == REPLACES)
            p.grad[i] = __fmul_rn(sum[i], t.weight);
        else
            sum[i] = __fadd_rn(t.phase == BEGINS ? 0 : sum[i], __fmul_rn(p.grad[i], t.weight));
    }
}

KERNEL(adamw)(const Piece *pieces, const Stretch *stretches, const Gate *gate, const Settings *settings) {
    if (closed(gate)) return;
    Stretch s = stretches[blockIdx.x];
    const Piece &p = pieces[s.piece];
    const Settings t = *settings;
    float rate = t.lr * p.rate;
    float size = (float)((double)rate / t.correction), keep = (float)(1 - (double)rate * (double)t.decay);
    for (int i = s.from + threadIdx.x; i < end_of(p, s); i += blockDim.x) {
        float g = p.grad[i];
        float m = __fadd_rn(__fmul_rn(t.beta1, p.slot[0][i]), __fmul_rn(t.rest1, g));
        float v = __fadd_rn(__fmul_rn(t.beta2, p.slot[1][i]), __fmul_rn(__fmul_rn(t.rest2, g), g));
        p.slot[0][i] = m;
        p.slot[1][i] = v;
        float step = __fdiv_rn(__fmul_rn(size, m), __fadd_rn(__fdiv_rn(__fsqrt_rn(v), t.root), t.eps));
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
