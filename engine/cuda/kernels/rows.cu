#include "prelude.cuh"

// Operations over the classes of an example: a block an example, sums in float64.

#define INFINITE __uint_as_float(0x7f800000)
#define NOT_A_NUMBER __uint_as_float(0x7fc00000)

// block_max is block_sum for the largest.
DEVICE float block_max(float v) {
    __shared__ float most[256];
    int t = threadIdx.x;
    most[t] = v;
    __syncthreads();
    for (int n = blockDim.x / 2; n > 0; n /= 2) {
        if (t < n) most[t] = fmaxf(most[t], most[t + n]);
        __syncthreads();
    }
    float result = most[0];
    __syncthreads();
    return result;
}

// log_sum is log sum exp of a row, in parts: the largest element, and the sum of the
// exponentials of what is left.
DEVICE double log_sum(const float *z, int k, float *largest) {
    float most = -INFINITE;
    for (int i = threadIdx.x; i < k; i += blockDim.x) most = fmaxf(most, z[i]);
    *largest = most = block_max(most);
    double sum = 0;
    for (int i = threadIdx.x; i < k; i += blockDim.x) sum += exp((double)z[i] - most);
    return block_sum(sum);
}

KERNEL(softmax)(const float *logits, float *out, int k) {
    const float *z = logits + (long long)blockIdx.x * k;
    float *y = out + (long long)blockIdx.x * k, most;
    double sum = log_sum(z, k, &most);
    for (int i = threadIdx.x; i < k; i += blockDim.x) y[i] = (float)(exp((double)z[i] - most) / sum);
}

// dz may be dy or y.
KERNEL(softmax_grad)(const float *dys, const float *ys, float *dzs, int k) {
    long long row = (long long)blockIdx.x * k;
    double dot = 0;
    for (int i = threadIdx.x; i < k; i += blockDim.x) dot += (double)dys[row + i] * ys[row + i];
    dot = block_sum(dot);
    for (int i = threadIdx.x; i < k; i += blockDim.x) dzs[row + i] = (float)(ys[row + i] * (dys[row + i] - dot));
}

// share is t of graph.CrossEntropy: what class i of a row is compared with.
DEVICE double share(const float *targets, const float *weight, int shares, double smoothing, int row, int i, int k) {
    double t = smoothing / k;
    if (shares)
        t += (1 - smoothing) * targets[(long long)row * k + i];
    else if ((int)targets[row] == i)
        t += 1 - smoothing;
    return weight ? t * weight[i] : t;
}

// divides is what a row adds to the divisor: NaN for a label that is no class.
DEVICE double divides(const float *targets, const float *weight, int shares, int row, int k) {
    if (shares) return 1;
    int label = (int)targets[row];
    if (label < 0 || label >= k) return NOT_A_NUMBER;
    return weight ? weight[label] : 1;
}

// CrossEntropy, of one row each: what it adds to the loss and to the divisor.
KERNEL(cross_entropy)(const float *logits, const float *targets, const float *weight, int shares, double smoothing, int k,
                      double *loss, double *divisor) {
    int row = blockIdx.x;
    const float *z = logits + (long long)row * k;
    float most;
    double total = log(log_sum(z, k, &most)) + most, sum = 0;
    for (int i = threadIdx.x; i < k; i += blockDim.x) {
        double t = share(targets, weight, shares, smoothing, row, i, k);
        if (t != 0) sum += t * (total - z[i]);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) loss[row] = sum, divisor[row] = divides(targets, weight, shares, row, k);
}

KERNEL(cross_entropy_grad)(const float *logits, const float *targets, const float *dloss, const float *weight, int shares,
                           double smoothing, int rows, int k, float *dlogits) {
    int row = blockIdx.x;
    const float *z = logits + (long long)row * k;
    float *dz = dlogits + (long long)row * k, most;
    double exps = log_sum(z, k, &most), divisor = 0, all = 0;
    for (int r = threadIdx.x; r < rows; r += blockDim.x) divisor += divides(targets, weight, shares, r, k);
    divisor = block_sum(divisor);
    for (int i = threadIdx.x; i < k; i += blockDim.x) all += share(targets, weight, shares, smoothing, row, i, k);
    all = block_sum(all);
    for (int i = threadIdx.x; i < k; i += blockDim.x) {
        double t = share(targets, weight, shares, smoothing, row, i, k);
        dz[i] = (float)(*dloss / divisor * (exp((double)z[i] - most) / exps * all - t));
    }
}

// CountCorrect, of one row each: 1 where the first largest logit is at the label.
KERNEL(correct)(const float *logits, const float *labels, int k, double *hits) {
    __shared__ int at[256];
    const float *z = logits + (long long)blockIdx.x * k;
    int t = threadIdx.x, best = min(t, k - 1);
    for (int i = t + blockDim.x; i < k; i += blockDim.x)
        if (exceeds(z[i], z[best])) best = i;
    at[t] = best;
    __syncthreads();
    for (int n = blockDim.x / 2; n > 0; n /= 2) {
        if (t < n) {
            int other = at[t + n];
            if (exceeds(z[other], z[at[t]]) || (!exceeds(z[at[t]], z[other]) && other < at[t])) at[t] = other;
        }
        __syncthreads();
    }
    if (t == 0) hits[blockIdx.x] = at[0] == (int)labels[blockIdx.x];
}

// *out = sum of a, or sum of a / sum of b, by one block.
KERNEL(quotient)(const double *a, const double *b, int n, float *out) {
    double x = 0, y = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        x += a[i];
        if (b) y += b[i];
    }
    x = block_sum(x);
    y = block_sum(y);
    if (threadIdx.x == 0) *out = (float)(b ? x / y : x);
}

// Sum, of a stretch each; quotient adds them up.
KERNEL(sum)(const void *x, int xh, int n, int stretch, double *part) {
    double sum = 0;
    int end = min(n, (int)(blockIdx.x + 1) * stretch);
    for (int i = blockIdx.x * stretch + threadIdx.x; i < end; i += blockDim.x) sum += get(x, xh, i);
    sum = block_sum(sum);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}
