// Where the convolutions on tensor cores find the windows of their operands. A source's
// threads copy one chunk of 8 elements each at a time; what lies outside is zero.
#pragma once
#include "blocks.cuh"

// Taps are the taps of a window that reach into the image from some pixel of a block, as
// row << 16 | column. The others add nothing.
enum { MOST_TAPS = 128, FAR = -(1 << 14) };

// reached is where tap (u, v) of output pixel (y, x) lies in the image: -1 outside.
DEVICE int reached(const Conv &p, int y, int x, int u, int v) {
    int h = y * p.sh - p.ph + u * p.dh, w = x * p.sw - p.pw + v * p.dw;
    return (unsigned)h < (unsigned)p.h && (unsigned)w < (unsigned)p.w ? h * p.w + w : -1;
}

// divided is a / s where s divides a >= 0, and else -1.
DEVICE int divided(int a, int s) {
    if (s == 1 || a < 0) return a < 0 ? -1 : a;
    if (s == 2) return a & 1 ? -1 : a >> 1;
    return a % s ? -1 : a / s;
}

// reached_back is the output pixel whose tap (u, v) is input pixel (y, x), or -1.
DEVICE int reached_back(const Conv &p, int y, int x, int u, int v) {
    int h = divided(y + p.ph - u * p.dh, p.sh), w = divided(x + p.pw - v * p.dw, p.sw);
    return h >= 0 && h < p.oh && w >= 0 && w < p.ow ? h * p.ow + w : -1;
}

// list_taps lists the taps of the pixels that rows m0.. of the block belong to: all where
// these are many. It returns how many there are.
template <class T, bool BACK> DEVICE int list_taps(const Conv &p, int m0, int *list) {
    __shared__ unsigned char used[MOST_TAPS];
    int taps = p.kh * p.kw, width = BACK ? p.w : p.ow, rows = (BACK ? p.h : p.oh) * width * p.n;
    int first = m0 / p.n, last = (min(m0 + T::M, rows) - 1) / p.n, mine = threadIdx.x, u = mine / p.kw, v = mine % p.kw;
    if (mine < taps) {
        bool any = last - first > 1;
        for (int pixel = first; pixel <= last && !any; pixel++) {
            int y = pixel / width, x = pixel % width;
            any = (BACK ? reached_back(p, y, x, u, v) : reached(p, y, x, u, v)) >= 0;
        }
        used[mine] = any;
    }
    __syncthreads();
    int count = 0, at = 0;
    for (int t = 0; t < taps; t++) {
        if (t == mine) at = count;
        count += used[t];
    }
    if (mine < taps && used[mine]) list[at] = u << 16 | v;
    __syncthreads();
    return count;
}

// Depth goes over the listed taps and, within each, over channels.
struct Depth {
    const int *list;
    int count, channels, tap, c;

    METHOD bool more() const { return tap < count; }
    METHOD void next() { c = split(c + WINDOW, &tap); }
    // split brings channel c of the tap at hand, or of one behind it, into its own.
    METHOD int split(int at, int *tap) const {
        if (at >= channels) {
            int over = at / channels;
            *tap += over;
            at -= over * channels;
        }
        return at;
    }
};

// Pixels are rows of images at pixels, and channels along them: the input of a convolution
// at a tap and, BACK, the gradient of its output.
template <class T, bool BACK> struct Pixels {
    enum { ALONG = 1, STEP = T::THREADS / 4, COUNT = T::M / STEP };
    const u16 *from;
    const Conv &p;
    int size;   // of a pixel of all images, in elements
    int linear; // taps are neighbours, as they are not back through strides
    int base[COUNT], at[COUNT]; // where tap (0, 0) lies, and its y << 16 | x

    METHOD Pixels(const u16 *x, const Conv &p, int m0, int group) : from(x), p(p) {
        int width = BACK ? p.w : p.ow, rows = (BACK ? p.h : p.oh) * width * p.n, channels = BACK ? p.o : p.c;
        from += group * (channels / p.groups);
        size = p.n * channels;
        linear = !BACK || (p.sh == 1 && p.sw == 1);
        for (int i = 0; i < COUNT; i++) {
            int m = m0 + threadIdx.x / 4 + i * STEP, pixel = m / p.n;
            int y = pixel / width, x = pixel % width;
            if (BACK)
                y += p.ph, x += p.pw;
            else
                y = y * p.sh - p.ph, x = x * p.sw - p.pw;
            if (m >= rows) y = FAR;
            base[i] = m % p.n * channels + (linear ? (y * (BACK ? p.ow : p.w) + x) * size : 0);
            at[i] = y << 16 | (x & 0xffff);
        }
    }
    METHOD void load(u16 *tile, const Depth &k) const {
        int chunk = threadIdx.x % 4, tap = k.tap, c = k.split(k.c + chunk * 8, &tap);
        bool in = tap < k.count;
        int uv = k.list[in ? tap : 0], u = (uv >> 16) * p.dh, v = (uv & 0xffff) * p.dw;
        if (BACK) u = -u, v = -v;
        int height = in ? BACK ? p.oh : p.h : 0, width = BACK ? p.ow : p.w, offset = (u * width + v) * size + c;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            int y = (at[i] >> 16) + u, x = (short)at[i] + v;
            if (!linear) {
                y = divided(y, p.sh), x = divided(x, p.sw);
                offset = (y * width + x) * size + c;
            }
            bool inside = (unsigned)y < (unsigned)height && (unsigned)x < (unsigned)width;
            copy16(tile + along(threadIdx.x / 4 + i * STEP, chunk), from + (inside ? base[i] + offset : 0), inside);
        }
    }
};

// Filters are the weights of the taps, [k][output channel].
template <class T> struct Filters {
    enum { ALONG = 0, CHUNKS = T::N / 8, STEP = T::THREADS / CHUNKS, COUNT = WINDOW / STEP };
    const u16 *from;
    const Conv &p;
    bool in;

    METHOD Filters(const u16 *w, const Conv &p, int n0, int group) : p(p) {
        int outs = p.o / p.groups, column = n0 + threadIdx.x % CHUNKS * 8;
        in = column < outs;
        from = w + group * outs + (in ? column : 0);
    }
    METHOD void load(u16 *tile, const Depth &k) const {
        int first = threadIdx.x / CHUNKS;
        if (k.c + WINDOW <= k.channels) { // of one tap
            int uv = k.list[k.tap], at = (((uv >> 16) * p.kw + (uv & 0xffff)) * k.channels + k.c + first) * p.o;
#pragma unroll
            for (int i = 0; i < COUNT; i++)
                copy16(tile + across<T::N>(first + i * STEP, threadIdx.x % CHUNKS), from + (in ? at + i * STEP * p.o : 0), in);
            return;
        }
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            int row = first + i * STEP, tap = k.tap, c = k.split(k.c + row, &tap);
            bool have = in && tap < k.count;
            int uv = k.list[have ? tap : 0];
            copy16(tile + across<T::N>(row, threadIdx.x % CHUNKS), from + (have ? (((uv >> 16) * p.kw + (uv & 0xffff)) * k.channels + c) * p.o : 0), have);
        }
    }
};

// FiltersBack are the same, [input channel][k].
template <class T> struct FiltersBack {
    enum { ALONG = 1, STEP = T::THREADS / 4, COUNT = T::N / STEP };
    const u16 *from;
    const Conv &p;
    int n0;

    METHOD FiltersBack(const u16 *w, const Conv &p, int n0, int group) : from(w + group * (p.o / p.groups)), p(p), n0(n0) {}
    METHOD void load(u16 *tile, const Depth &k) const {
        int ins = p.c / p.groups, chunk = threadIdx.x % 4, tap = k.tap, o = k.split(k.c + chunk * 8, &tap);
        bool in = tap < k.count;
        int uv = k.list[in ? tap : 0], first = ((uv >> 16) * p.kw + (uv & 0xffff)) * ins + n0;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            int row = threadIdx.x / 4 + i * STEP;
            bool have = in && n0 + row < ins;
            copy16(tile + along(row, chunk), from + (have ? (first + row) * p.o + o : 0), have);
        }
    }
};

// Places goes over images at output pixels, from m to end. Those where the tap (u, v) of all
// rows of the block lies outside are passed over, where a window is of one pixel.
struct Places {
    const Conv &p;
    int m, end, image, y, x;
    int u, v; // -1 where the rows have several

    METHOD Places(const Conv &p, int begin, int end, int u, int v) : p(p), m(begin), end(end), u(u), v(v) {
        int pixel = begin / p.n;
        image = begin % p.n, y = pixel / p.ow, x = pixel % p.ow;
        pass();
    }
    METHOD bool more() const { return m < end; }
    METHOD void next() { step(), pass(); }
    METHOD void step() {
        m += WINDOW;
        image = split(image + WINDOW, &y, &x);
    }
    METHOD void pass() {
        if (u < 0) return;
        while (m < end && image + WINDOW <= p.n && reached(p, y, x, u, v) < 0) step();
    }
    // split brings image n of pixel (y, x), or of one behind it, into its own.
    METHOD int split(int n, int *y, int *x) const {
        if (n >= p.n) {
            int over = n / p.n;
            n -= over * p.n;
            *x += over;
            *y += *x / p.ow;
            *x %= p.ow;
        }
        return n;
    }
};

// Patches are what the taps see of the input, [k = place][tap and channel].
template <class T> struct Patches {
    enum { ALONG = 0, CHUNKS = T::M / 8, STEP = T::THREADS / CHUNKS, COUNT = WINDOW / STEP };
    const u16 *from;
    int u, v; // u < 0 where there is no such row

    METHOD Patches(const u16 *x, const Conv &p, int r0, int group) {
        int ins = p.c / p.groups, r = r0 + threadIdx.x % CHUNKS * 8, tap = r / ins;
        from = x + group * ins + r % ins;
        u = tap < p.kh * p.kw ? tap / p.kw : -1;
        v = tap % p.kw;
    }
    METHOD void load(u16 *tile, const Places &k) const {
        const Conv &p = k.p;
        int first = threadIdx.x / CHUNKS;
        if (k.image + WINDOW <= p.n && k.m + WINDOW <= k.end) { // of one pixel
            int pixel = u < 0 ? -1 : reached(p, k.y, k.x, u, v), at = (pixel * p.n + k.image + first) * p.c;
#pragma unroll
            for (int i = 0; i < COUNT; i++)
                copy16(tile + across<T::M>(first + i * STEP, threadIdx.x % CHUNKS), from + (pixel < 0 ? 0 : at + i * STEP * p.c), pixel >= 0);
            return;
        }
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            int row = first + i * STEP, y = k.y, x = k.x, image = k.split(k.image + row, &y, &x);
            int pixel = u < 0 || k.m + row >= k.end ? -1 : reached(p, y, x, u, v);
            copy16(tile + across<T::M>(row, threadIdx.x % CHUNKS), from + (pixel < 0 ? 0 : (pixel * p.n + image) * p.c), pixel >= 0);
        }
    }
};

// Gradients are those of the output, [k = place][output channel].
template <class T> struct Gradients {
    enum { ALONG = 0, CHUNKS = T::N / 8, STEP = T::THREADS / CHUNKS, COUNT = WINDOW / STEP };
    const u16 *from;
    bool in;

    METHOD Gradients(const u16 *dy, const Conv &p, int n0, int group) {
        int outs = p.o / p.groups, column = n0 + threadIdx.x % CHUNKS * 8;
        in = column < outs;
        from = dy + group * outs + (in ? column : 0);
    }
    METHOD void load(u16 *tile, const Places &k) const {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            int row = threadIdx.x / CHUNKS + i * STEP;
            bool have = in && k.m + row < k.end;
            copy16(tile + across<T::N>(row, threadIdx.x % CHUNKS), from + (have ? (k.m + row) * k.p.o : 0), have);
        }
    }
};

// Grey are the sources of pictures of one channel, whose images lie side by side, 8 to a
// chunk: GreyPixels are Pixels, [k = tap][image at a pixel], and GreyPatches are Patches,
// [tap][k = place].
template <class T> struct GreyPixels {
    enum { ALONG = 0, CHUNKS = T::M / 8, STEP = T::THREADS / CHUNKS, COUNT = WINDOW / STEP };
    const u16 *from;
    const Conv &p;
    int y, x; // y < 0 where there is no such row

    METHOD GreyPixels(const u16 *images, const Conv &p, int m0, int) : p(p) {
        int m = m0 + threadIdx.x % CHUNKS * 8, pixel = m / p.n;
        from = images + m % p.n;
        y = pixel < p.oh * p.ow ? pixel / p.ow : -1;
        x = pixel % p.ow;
    }
    METHOD void load(u16 *tile, const Depth &k) const {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            int row = threadIdx.x / CHUNKS + i * STEP, tap = k.tap + row;
            bool in = y >= 0 && tap < k.count;
            int uv = k.list[in ? tap : 0], pixel = in ? reached(p, y, x, uv >> 16, uv & 0xffff) : -1;
            copy16(tile + across<T::M>(row, threadIdx.x % CHUNKS), from + (pixel < 0 ? 0 : pixel * p.n), pixel >= 0);
        }
    }
};

template <class T> struct GreyPatches {
    enum { ALONG = 1, STEP = T::THREADS / 4, COUNT = T::M / STEP };
    const u16 *from;
    int uv[COUNT]; // -1 where there is no such row

    METHOD GreyPatches(const u16 *images, const Conv &p, int r0, int) : from(images) {
        for (int i = 0; i < COUNT; i++) {
            int r = r0 + threadIdx.x / 4 + i * STEP;
            uv[i] = r < p.kh * p.kw ? r / p.kw << 16 | r % p.kw : -1;
        }
    }
    METHOD void load(u16 *tile, const Places &k) const {
        const Conv &p = k.p;
        int chunk = threadIdx.x % 4, y = k.y, x = k.x, image = k.split(k.image + chunk * 8, &y, &x);
        bool in = k.m + chunk * 8 < k.end;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            int pixel = in && uv[i] >= 0 ? reached(p, y, x, uv[i] >> 16, uv[i] & 0xffff) : -1;
            copy16(tile + along(threadIdx.x / 4 + i * STEP, chunk), from + (pixel < 0 ? 0 : pixel * p.n + image), pixel >= 0);
        }
    }
};
