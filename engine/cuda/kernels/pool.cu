#include "wide.cuh"

// Pools over [H][W][lanes], a lane being a channel of an image. A block has 8 pixels at a
// time, so that windows that overlap are found in its cache, and of each 32 packs of lanes
// or more.

struct Pool {
    int h, w, oh, ow; // of the input and the output
    int kh, kw, sh, sw, ph, pw, dh, dw;
};

enum { BLOCK_PACKS = 32, BLOCK_PIXELS = 8 };

// A thread's pixels and its packs of each: what is computed of a pixel serves some packs.
DEVICE int first_pixel() { return blockIdx.y * BLOCK_PIXELS + threadIdx.x / BLOCK_PACKS; }
DEVICE int next_pixel(int pixel) { return pixel + gridDim.y * BLOCK_PIXELS; }
DEVICE int first_pack() { return blockIdx.x * BLOCK_PACKS + threadIdx.x % BLOCK_PACKS; }
DEVICE int next_pack(int pack) { return pack + gridDim.x * BLOCK_PACKS; }

// PoolTaps are a few taps of a window, of a pack of lanes: loads of all of them are on their
// way together. Those outside the image are as low as can be.
template <class K> struct PoolTaps {
    enum { COUNT = K::WIDTH == 1 ? 3 : 9 };
    typename K::Pack x[COUNT];
};

// PoolWindow is a walk through the taps of an output pixel, in row-major order: how many
// are left, and of the next one the place in the image, the column in the window and, in
// packs, where it lies.
struct PoolWindow {
    int left, h, w, v, at;
};

DEVICE PoolWindow window_of(const Pool &p, int pixel, int packs) {
    int h = pixel / p.ow * p.sh - p.ph, w = pixel % p.ow * p.sw - p.pw;
    PoolWindow k = {p.kh * p.kw, h, w, 0, (h * p.w + w) * packs};
    return k;
}

// take loads the next taps of a window.
template <class K> DEVICE void take(PoolTaps<K> &taps, PoolWindow &k, const Pool &p, const void *x, int xh, int packs) {
    int across = p.dw * packs, down = (p.dh * p.w - p.kw * p.dw) * packs;
#pragma unroll
    for (int j = 0; j < PoolTaps<K>::COUNT; j++) {
        bool in = (k.left > j) & ((unsigned)k.h < (unsigned)p.h) & ((unsigned)k.w < (unsigned)p.w);
        taps.x[j] = in ? K::load(x, xh, k.at) : K::all(LOWEST);
        k.w += p.dw, k.at += across;
        if (++k.v == p.kw) k.v = 0, k.w -= p.kw * p.dw, k.h += p.dh, k.at += down;
    }
    k.left -= PoolTaps<K>::COUNT;
}

template <class K> DEVICE typename K::Pack largest(const PoolTaps<K> &taps, typename K::Pack most) {
#pragma unroll
    for (int j = 0; j < PoolTaps<K>::COUNT; j++) most = K::larger(most, taps.x[j]);
    return most;
}

template <class K> DEVICE void largest_of_windows(int lanes, const void *x, int xh, void *y, int yh, const Pool &p) {
    int packs = lanes / K::WIDTH;
#pragma unroll 1
    for (int pixel = first_pixel(); pixel < p.oh * p.ow; pixel = next_pixel(pixel)) {
        PoolWindow window = window_of(p, pixel, packs);
#pragma unroll 1
        for (int pack = first_pack(); pack < packs; pack = next_pack(pack)) {
            PoolWindow k = window;
            k.at += pack;
            typename K::Pack most = K::all(LOWEST);
#pragma unroll 1
            while (k.left > 0) {
                PoolTaps<K> taps;
                take<K>(taps, k, p, x, xh, packs);
                most = largest<K>(taps, most);
            }
            K::copy(y, yh, pixel * packs + pack, most);
        }
    }
}

KERNEL(max_pool)(int lanes, const void *x, int xh, void *y, int yh, Pool p) { largest_of_windows<Any>(lanes, x, xh, y, yh, p); }
KERNEL(max_pool_fp32)(int lanes, const void *x, int xh, void *y, int yh, Pool p) { largest_of_windows<Floats>(lanes, x, xh, y, yh, p); }
KERNEL(max_pool_bf16)(int lanes, const void *x, int xh, void *y, int yh, Pool p) { largest_of_windows<Halves>(lanes, x, xh, y, yh, p); }

// Winners are, for a pack of lanes, the number of the tap of a window that is the first
// largest, or else the first NaN: a byte each, or for Any a word.
template <class K> struct alignas(K::WIDTH) Winners {
    typedef unsigned char Number;
    unsigned w[K::WIDTH / 4];
    // set is called for every k in turn.
    DEVICE void set(Winners &a, int k, int tap) { a.w[k / 4] = (k % 4 ? a.w[k / 4] : 0) | (tap & 0xffu) << k % 4 * 8; }
    // packed is the number of a tap as won compares it.
    DEVICE unsigned packed(int tap) { return tap * 0x01010101u; }
    DEVICE bool won(const Winners &a, int k, unsigned tap) { return ((a.w[k / 4] ^ tap) & 0xffu << k % 4 * 8) == 0; }
};
template <> struct Winners<Any> {
    typedef int Number;
    int tap;
    DEVICE void set(Winners &a, int, int tap) { a.tap = tap; }
    DEVICE unsigned packed(int tap) { return tap; }
    DEVICE bool won(const Winners &a, int, unsigned tap) { return a.tap == (int)tap; }
};

// find gives the number, from first on, of the first of the taps that is most, or else -1.
template <class K> DEVICE int find(const PoolTaps<K> &taps, int k, float most, int first) {
    int found = -1;
#pragma unroll
    for (int j = PoolTaps<K>::COUNT - 1; j >= 0; j--)
        if (K::at(taps.x[j], k) == most) found = first + j;
    return found;
}

// find_one does by the element what find_winners does.
template <class K> DEVICE int find_one(const PoolWindow &k, const Pool &p, const void *x, int xh, int packs, int lane) {
    int best = -1;
    float most = 0;
#pragma unroll 1
    for (int tap = 0; tap < k.left; tap++) {
        int u = tap / p.kw * p.dh, v = tap % p.kw * p.dw;
        if (k.h + u < 0 || k.h + u >= p.h || k.w + v < 0 || k.w + v >= p.w) continue;
        float value = get(x, xh, ((long long)k.at + (u * p.w + v) * packs) * K::WIDTH + lane);
        if (best < 0 || exceeds(value, most)) best = tap, most = value;
    }
    return best;
}

// find_winners finds those of one window.
template <class K> DEVICE void find_winners(PoolWindow window, const Pool &p, const void *x, int xh, int packs, Winners<K> *to) {
    PoolWindow k = window;
    typename K::Pack most = K::all(LOWEST);
    int best[K::WIDTH], all = 0;
    for (int c = 0; c < K::WIDTH; c++) best[c] = -1;
#pragma unroll 1
    for (int first = 0; k.left > 0; first += PoolTaps<K>::COUNT) {
        PoolTaps<K> taps;
        take<K>(taps, k, p, x, xh, packs);
        typename K::Pack more = largest<K>(taps, most);
#pragma unroll
        for (int c = 0; c < K::WIDTH; c++)
            if (K::at(more, c) != K::at(most, c)) best[c] = find<K>(taps, c, K::at(more, c), first);
        most = more;
    }
    Winners<K> w;
#pragma unroll
    for (int c = 0; c < K::WIDTH; c++) Winners<K>::set(w, c, best[c]), all |= best[c];
    *to = w;
    if (all >= 0) return;
    // A NaN, or nothing above -inf.
#pragma unroll 1
    for (int c = 0; c < K::WIDTH; c++) ((typename Winners<K>::Number *)to)[c] = find_one<K>(window, p, x, xh, packs, c);
}

template <class K> DEVICE void winners_of_windows(int lanes, const void *x, int xh, void *winners, const Pool &p) {
    int packs = lanes / K::WIDTH;
#pragma unroll 1
    for (int pixel = first_pixel(); pixel < p.oh * p.ow; pixel = next_pixel(pixel)) {
        PoolWindow window = window_of(p, pixel, packs);
#pragma unroll 1
        for (int pack = first_pack(); pack < packs; pack = next_pack(pack)) {
            PoolWindow k = window;
            k.at += pack;
            find_winners<K>(k, p, x, xh, packs, (Winners<K> *)winners + (pixel * packs + pack));
        }
    }
}

KERNEL(max_pool_winners)(int lanes, const void *x, int xh, void *winners, Pool p) { winners_of_windows<Any>(lanes, x, xh, winners, p); }
KERNEL(max_pool_winners_fp32)(int lanes, const void *x, int xh, void *winners, Pool p) { winners_of_windows<Floats>(lanes, x, xh, winners, p); }
KERNEL(max_pool_winners_bf16)(int lanes, const void *x, int xh, void *winners, Pool p) { winners_of_windows<Halves>(lanes, x, xh, winners, p); }

// PoolRange is the windows, along one side, that a pixel may lie in.
struct PoolRange {
    int at, end;
};

DEVICE PoolRange windows_at(int pixel, int pad, int kernel, int stride, int dilation, int windows) {
    int below = pixel + pad - (kernel - 1) * dilation; // where the first one begins
    PoolRange r = {below <= 0 ? 0 : (below + stride - 1) / stride, min(windows, (pixel + pad) / stride + 1)};
    return r;
}

// tap_at is the tap of a window that pixel lies under, or -1.
DEVICE int tap_at(int pixel, int pad, int window, int stride, int dilation) {
    int offset = pixel + pad - window * stride;
    if (dilation == 1) return offset;
    return offset % dilation ? -1 : offset / dilation;
}

// Every pixel takes dy of the windows that it has won.
template <class K> DEVICE void gradient_of_winners(int lanes, const void *winners, const void *dy, int dyh, void *dx, int dxh, const Pool &p) {
    int packs = lanes / K::WIDTH;
#pragma unroll 1
    for (int pixel = first_pixel(); pixel < p.h * p.w; pixel = next_pixel(pixel)) {
        int h = pixel / p.w, w = pixel % p.w;
        PoolRange down = windows_at(h, p.ph, p.kh, p.sh, p.dh, p.oh), across = windows_at(w, p.pw, p.kw, p.sw, p.dw, p.ow);
#pragma unroll 1
        for (int pack = first_pack(); pack < packs; pack = next_pack(pack)) {
            float sum[K::WIDTH] = {};
#pragma unroll 1
            for (int i = down.at; i < down.end; i++) {
                int u = tap_at(h, p.ph, i, p.sh, p.dh);
#pragma unroll 1
                for (int j = across.at; j < across.end; j++) {
                    int v = tap_at(w, p.pw, j, p.sw, p.dw);
                    if (u < 0 || v < 0) continue;
                    int at = (i * p.ow + j) * packs + pack;
                    Winners<K> best = ((const Winners<K> *)winners)[at];
                    typename K::Pack d = K::load(dy, dyh, at);
                    unsigned tap = Winners<K>::packed(u * p.kw + v);
#pragma unroll
                    for (int k = 0; k < K::WIDTH; k++)
                        if (Winners<K>::won(best, k, tap)) sum[k] += K::at(d, k);
                }
            }
            K::store(dx, dxh, pixel * packs + pack, sum);
        }
    }
}

KERNEL(max_pool_grad)(int lanes, const void *winners, const void *dy, int dyh, void *dx, int dxh, Pool p) {
    gradient_of_winners<Any>(lanes, winners, dy, dyh, dx, dxh, p);
}
KERNEL(max_pool_grad_fp32)(int lanes, const void *winners, const void *dy, int dyh, void *dx, int dxh, Pool p) {
    gradient_of_winners<Floats>(lanes, winners, dy, dyh, dx, dxh, p);
}
KERNEL(max_pool_grad_bf16)(int lanes, const void *winners, const void *dy, int dyh, void *dx, int dxh, Pool p) {
    gradient_of_winners<Halves>(lanes, winners, dy, dyh, dx, dxh, p);
}

// Average pools and their gradients: pixel q of y is the sum of weight[k] x[source[k]]
// for k from start[q] to start[q+1].
template <class K>
DEVICE void weighted_pixels(int lanes, int pixels, const void *x, int xh, void *y, int yh, const int *start, const int *source, const float *weight) {
    int packs = lanes / K::WIDTH;
#pragma unroll 1
    for (int pixel = first_pixel(); pixel < pixels; pixel = next_pixel(pixel)) {
        int begin = start[pixel], end = start[pixel + 1];
#pragma unroll 1
        for (int pack = first_pack(); pack < packs; pack = next_pack(pack)) {
            float sum[K::WIDTH] = {};
#pragma unroll(K::WIDTH == 1 ? 1 : 4)
            for (int k = begin; k < end; k++) {
                typename K::Pack a = K::load(x, xh, source[k] * packs + pack);
                float w = weight[k];
                for (int c = 0; c < K::WIDTH; c++) sum[c] += w * K::at(a, c);
            }
            K::store(y, yh, pixel * packs + pack, sum);
        }
    }
}

KERNEL(weigh)(int lanes, int pixels, const void *x, int xh, void *y, int yh, const int *start, const int *source, const float *weight) {
    weighted_pixels<Any>(lanes, pixels, x, xh, y, yh, start, source, weight);
}
KERNEL(weigh_fp32)(int lanes, int pixels, const void *x, int xh, void *y, int yh, const int *start, const int *source, const float *weight) {
    weighted_pixels<Floats>(lanes, pixels, x, xh, y, yh, start, source, weight);
}
KERNEL(weigh_bf16)(int lanes, int pixels, const void *x, int xh, void *y, int yh, const int *start, const int *source, const float *weight) {
    weighted_pixels<Halves>(lanes, pixels, x, xh, y, yh, start, source, weight);
}
