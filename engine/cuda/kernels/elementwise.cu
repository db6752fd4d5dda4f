#include "prelude.cuh"

// What an operation is called here and in ../compute.go.
enum { COPY, RELU, RELU_GRAD, SIGMOID, SIGMOID_GRAD, TANH, TANH_GRAD, ADD, MUL, SCALE, FILL, EXPAND };

DEVICE float element(int op, float alpha, float a, float b) {
    switch (op) {
    case RELU: return rectified(a);
    case RELU_GRAD: return b <= 0 ? 0 : a;
    case SIGMOID: return 1 / (1 + expf(-a));
    case SIGMOID_GRAD: return a * b * (1 - b);
    case TANH: return tanhf(a);
    case TANH_GRAD: return a * (1 - b * b);
    case ADD: return a + b;
    case MUL: return a * b;
    case SCALE: return alpha * a;
    case FILL: return alpha;
    }
    return a; // COPY, EXPAND
}

// out[i] = op(a[i], b[i]); out may be a or b. EXPAND takes a[0] throughout; an operand
// that the operation does not have is not read and may be 0.
KERNEL(elementwise)(int op, int n, float alpha, const void *a, int ah, const void *b, int bh, void *out, int oh) {
    int i = index();
    if (i >= n) return;
    float x = a ? get(a, ah, op == EXPAND ? 0 : i) : 0;
    float y = b ? get(b, bh, i) : 0;
    put(out, oh, i, element(op, alpha, x, y));
}

// An order of elements: how far apart neighbours lie along up to four dimensions.
struct Order {
    int size[4], stride[4];
};

DEVICE long long offset(const Order &o, int i) {
    long long at = 0;
    for (int d = 3; d >= 0; d--) {
        at += (long long)(i % o.size[d]) * o.stride[d];
        i /= o.size[d];
    }
    return at;
}

// Element i of the row-major order goes from its place in one order to that in another:
// Relayout, Reshape, and the way from and to the host.
KERNEL(gather)(int n, void *dst, int dh, Order to, const void *src, int sh, Order from) {
    int i = index();
    if (i < n) put(dst, dh, offset(to, i), get(src, sh, offset(from, i)));
}

// PadChannels and TakeChannels: rows of `in` channels become rows of `out`.
KERNEL(channels)(int rows, const void *x, int xh, int in, void *y, int yh, int out) {
    int i = index();
    if (i >= rows * out) return;
    int row = i / out, c = i % out;
    put(y, yh, i, c < in ? get(x, xh, (long long)row * in + c) : 0);
}

DEVICE u64 mix64(u64 z) {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

// kept is graph.DropoutKeep.
DEVICE bool kept(u64 key, u64 stream, u64 i, double p) {
    u64 h = mix64(mix64(mix64(key) + stream) + i);
    return (double)(h >> 11) / 9007199254740992.0 >= p;
}

// Dropout, of elements [pixels][images][channels] whose row-major index is that of
// [images][channels][pixels], and with whole = 1 StochasticDepth, of whole images.
KERNEL(dropout)(int n, const void *x, int xh, void *y, int yh, const u64 *key, u64 stream, double p, float scale,
                int images, int channels, int pixels, int whole) {
    int i = index();
    if (i >= n) return;
    int c = i % channels, image = i / channels % images, pixel = i / channels / images;
    u64 at = whole ? image : ((u64)image * channels + c) * pixels + pixel;
    put(y, yh, i, kept(*key, stream, at, p) ? get(x, xh, i) * scale : 0);
}

// RunningStats.
KERNEL(running_stats)(int n, const float *running, const float *row, float *out, double momentum, double unbiased) {
    int i = index();
    if (i < n) out[i] = (float)((1 - momentum) * running[i] + momentum * (row[i] * unbiased));
}
