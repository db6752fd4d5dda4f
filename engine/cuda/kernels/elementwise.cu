#include "wide.cuh"

// What an operation is called here and in ../compute.go. COPY and EXPAND are SCALE and FILL
// by other numbers.
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
    }
    return alpha; // FILL
}

// Operands of n packs; one that the operation does not have is 0.
struct Operands {
    const void *a, *b;
    void *out;
    float alpha;
    int ah, bh, oh;
};

template <class K, int OP> DEVICE void each(unsigned n, const Operands &p, float alpha) {
    enum { W = K::WIDTH, SECOND = OP == RELU_GRAD || OP == SIGMOID_GRAD || OP == TANH_GRAD || OP == ADD || OP == MUL };
#pragma unroll 1
    for (unsigned i = index(); i < n; i += gridDim.x * blockDim.x) {
        typename K::Pack a, b;
        if (OP != FILL) a = K::load(p.a, p.ah, i);
        if (SECOND) b = K::load(p.b, p.bh, i);
        float v[W];
#pragma unroll
        for (int k = 0; k < W; k++) v[k] = element(OP, alpha, OP != FILL ? K::at(a, k) : 0, SECOND ? K::at(b, k) : 0);
        K::store(p.out, p.oh, i, v);
    }
}

// out[i] = op(a[i], b[i]); out may be a or b. EXPAND takes a[0] throughout.
template <class K> DEVICE void elements(int op, int n, const Operands &p) {
    float alpha = p.alpha;
    switch (op) {
    case RELU: return each<K, RELU>(n, p, alpha);
    case RELU_GRAD: return each<K, RELU_GRAD>(n, p, alpha);
    case ADD: return each<K, ADD>(n, p, alpha);
    case MUL: return each<K, MUL>(n, p, alpha);
    case COPY: alpha = 1; // goes on
    case SCALE: return each<K, SCALE>(n, p, alpha);
    case EXPAND: alpha = get(p.a, p.ah, 0); // goes on
    case FILL: return each<K, FILL>(n, p, alpha);
    }
}

// slow are operations that take long to compute, or are rare.
DEVICE void slow(int op, int n, const Operands &p) {
    switch (op) {
    case SIGMOID: return each<Any, SIGMOID>(n, p, 0);
    case SIGMOID_GRAD: return each<Any, SIGMOID_GRAD>(n, p, 0);
    case TANH: return each<Any, TANH>(n, p, 0);
    case TANH_GRAD: return each<Any, TANH_GRAD>(n, p, 0);
    }
}

KERNEL(elementwise)(int op, int n, Operands p) {
    elements<Any>(op, n, p);
    slow(op, n, p);
}
KERNEL(elementwise_fp32)(int op, int n, Operands p) { elements<Floats>(op, n, p); }
KERNEL(elementwise_bf16)(int op, int n, Operands p) { elements<Halves>(op, n, p); }

// An order of elements: how far apart neighbours lie along up to four dimensions.
struct Order {
    int size[4], stride[4];
};

DEVICE long long offset(const Order &o, int i) {
    long long at = 0;
    for (int d = 3; d >= 0; d--) {
        if (o.size[d] == 1) continue;
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
template <class K> DEVICE void resize_rows(int rows, const void *x, int xh, int in, void *y, int yh, int out) {
    enum { W = K::WIDTH };
    Share s = share_of(rows, out / W);
    if (s.at >= s.end) return;
    bool kept = s.lane * W < (unsigned)in;
#pragma unroll 1
    for (unsigned i = s.at; i < s.end; i += s.stride) {
        float v[W] = {};
        if (kept) {
            typename K::Pack a = K::load(x, xh, (long long)(i / (out / W)) * (in / W) + s.lane);
            for (int k = 0; k < W; k++) v[k] = K::at(a, k);
        }
        K::store(y, yh, i, v);
    }
}

KERNEL(channels)(int rows, const void *x, int xh, int in, void *y, int yh, int out) { resize_rows<Any>(rows, x, xh, in, y, yh, out); }
KERNEL(channels_fp32)(int rows, const void *x, int xh, int in, void *y, int yh, int out) { resize_rows<Floats>(rows, x, xh, in, y, yh, out); }
KERNEL(channels_bf16)(int rows, const void *x, int xh, int in, void *y, int yh, int out) { resize_rows<Halves>(rows, x, xh, in, y, yh, out); }

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
    if (i < n) out[i] = moved(running[i], row[i], momentum, unbiased);
}
