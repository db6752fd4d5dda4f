#include "conv.cuh"

// Convolutions as products of matrices that are never formed. Activations lie
// [H][W][N][C], so that a row of a matrix is an image at a pixel; weights lie
// [KH][KW][I][O]. A linear layer is a 1x1 convolution of one pixel.
//
// A block of 256 threads makes a tile of 64 by 64 results from stretches of 16 of the
// summed dimension, which all threads fetch into shared memory. The tile is multiplied
//
//   FMA   in float32,
//   TF32  on the tensor cores, operands rounded to tf32,
//   BF16  on the tensor cores, operands rounded to bfloat16 (they are in it already, but
//         for weights),
//
// always with sums in float32.

enum { FMA, TF32, BF16 };

enum { SIDE = 64, DEPTH = 16, PAD = 4 };

// Tile is what a block multiplies: a[k][row], b[k][column].
struct Tile {
    float a[DEPTH][SIDE + PAD], b[DEPTH][SIDE + PAD];
};

// Sums are a thread's 16 results. Those of a few stretches are added up by themselves
// first, so that the error grows with the root of their number, and not with that of all
// products.
struct Sums {
    float v[16], few[16];
    int count; // of stretches
};

enum { FLUSH = 8 };

DEVICE void flush(Sums &sums) {
    for (int i = 0; i < 16; i++) sums.v[i] += sums.few[i], sums.few[i] = 0;
}

// place is the row and column in the tile of result i of this thread.
template <int MODE> DEVICE void place(int i, int *row, int *column) {
    int t = threadIdx.x;
    if (MODE == FMA) { // 4 by 4 neighbours
        *row = t / 16 * 4 + i / 4;
        *column = t % 16 * 4 + i % 4;
        return;
    }
    // A warp has 32 rows and 16 columns: two by two fragments of 16 by 8.
    int warp = t / 32, lane = t % 32, fragment = i / 4;
    *row = warp / 4 * 32 + fragment / 2 * 16 + lane / 4 + i % 4 / 2 * 8;
    *column = warp % 4 * 16 + fragment % 2 * 8 + lane % 4 * 2 + i % 2;
}

// Product adds the products of a tile to the sums: one function a mode.
template <int MODE> struct Product;

template <> struct Product<FMA> {
    DEVICE void add(const Tile &tile, float sums[16]) {
        int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
        for (int k = 0; k < DEPTH; k++) {
            float a[4], b[4];
            for (int i = 0; i < 4; i++) a[i] = tile.a[k][row + i], b[i] = tile.b[k][column + i];
            for (int i = 0; i < 16; i++) sums[i] = fmaf(a[i / 4], b[i % 4], sums[i]);
        }
    }
};

// corner is where a lane's fragments begin: the first row and column of its own.
DEVICE void corner(int *row, int *column) {
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    *row = warp / 4 * 32 + lane / 4;
    *column = warp % 4 * 16 + lane / 4;
}

template <> struct Product<TF32> {
    DEVICE void add(const Tile &tile, float sums[16]) {
        int row, column, q = threadIdx.x % 4;
        corner(&row, &column);
        for (int k = 0; k < DEPTH; k += 8) {
            unsigned a[2][4], b[2][2];
            for (int i = 0; i < 2; i++) {
                for (int j = 0; j < 4; j++) a[i][j] = to_tf32(tile.a[k + q + j / 2 * 4][row + i * 16 + j % 2 * 8]);
                for (int j = 0; j < 2; j++) b[i][j] = to_tf32(tile.b[k + q + j * 4][column + i * 8]);
            }
            for (int i = 0; i < 4; i++) mma_tf32(sums + 4 * i, a[i / 2], b[i % 2]);
        }
    }
};

template <> struct Product<BF16> {
    DEVICE void add(const Tile &tile, float sums[16]) {
        int row, column, q = threadIdx.x % 4;
        corner(&row, &column);
        unsigned a[2][4], b[2][2];
        for (int i = 0; i < 2; i++) {
            for (int j = 0; j < 4; j++) {
                int k = 2 * q + j / 2 * 8, r = row + i * 16 + j % 2 * 8;
                a[i][j] = to_bf16x2(tile.a[k][r], tile.a[k + 1][r]);
            }
            for (int j = 0; j < 2; j++) {
                int k = 2 * q + j * 8, c = column + i * 8;
                b[i][j] = to_bf16x2(tile.b[k][c], tile.b[k + 1][c]);
            }
        }
        for (int i = 0; i < 4; i++) mma_bf16(sums + 4 * i, a[i / 2], b[i % 2]);
    }
};

// add waits for the tile, adds its products, and waits for all to be done with it.
template <int MODE> DEVICE void add(const Tile &tile, Sums &sums) {
    __syncthreads();
    Product<MODE>::add(tile, sums.few);
    if (++sums.count % FLUSH == 0) flush(sums);
    __syncthreads();
}

// Walk is a place in the summed dimension [taps][channels] that moves on by stretches,
// without divisions.
struct Walk {
    int tap, u, v, c;
};

DEVICE void settle(Walk &k, int channels, int kw) {
    while (k.c >= channels) {
        k.c -= channels;
        k.tap++;
        if (++k.v == kw) k.v = 0, k.u++;
    }
}

// Row is an image at a pixel: where it lies in the image, or far outside.
struct Row {
    int n, y, x;
};

enum { OUTSIDE = -(1 << 28) };

DEVICE Row row_at(int m, int rows, int images, int width) {
    Row r = {0, OUTSIDE, OUTSIDE};
    if (m < rows) {
        r.n = m % images;
        r.y = m / images / width;
        r.x = m / images % width;
    }
    return r;
}

// forward makes y: rows are images at output pixels, columns output channels, and the
// sum runs over taps and input channels.
template <int MODE>
DEVICE void forward(const void *x, int xh, const float *w, void *y, int yh, const Conv &p, const Epilogue &e) {
    __shared__ Tile tile;
    int t = threadIdx.x, ins = p.c / p.groups, outs = p.o / p.groups, group = blockIdx.z;
    int m0 = blockIdx.x * SIDE, o0 = blockIdx.y * SIDE, rows = p.oh * p.ow * p.n, taps = p.kh * p.kw, depth = taps * ins;
    Sums sums = {};
    Row row[4];
    for (int j = 0; j < 4; j++) {
        row[j] = row_at(m0 + t / 16 + 16 * j, rows, p.n, p.ow);
        row[j].y = row[j].y * p.sh - p.ph; // of the first tap, in the input
        row[j].x = row[j].x * p.sw - p.pw;
    }
    Walk k = {0, 0, 0, t % 16};
    int column = o0 + t % 64;
    for (int k0 = 0; k0 < depth; k0 += DEPTH, k.c += DEPTH) {
        settle(k, ins, p.kw);
        for (int j = 0; j < 4; j++) {
            int h = row[j].y + k.u * p.dh, v = row[j].x + k.v * p.dw;
            bool in = k.tap < taps && h >= 0 && h < p.h && v >= 0 && v < p.w;
            tile.a[t % 16][t / 16 + 16 * j] = in ? get(x, xh, ((long long)(h * p.w + v) * p.n + row[j].n) * p.c + group * ins + k.c) : 0;
            int kb = k0 + t / 64 + 4 * j;
            tile.b[t / 64 + 4 * j][t % 64] = kb < depth && column < outs ? w[(long long)kb * p.o + group * outs + column] : 0;
        }
        add<MODE>(tile, sums);
    }
    flush(sums);
    for (int i = 0; i < 16; i++) {
        int r, c;
        place<MODE>(i, &r, &c);
        if (m0 + r >= rows || o0 + c >= outs) continue;
        int o = group * outs + o0 + c;
        long long at = (long long)(m0 + r) * p.o + o;
        float v = sums.v[i];
        if (e.bias) v += e.bias[o];
        if (e.stats) v = (v - e.stats[o]) * (e.gamma[o] / sqrtf(e.stats[p.o + o] + e.eps)) + e.beta[o];
        if (e.residual) v += get(e.residual, e.half, at);
        put(y, yh, at, e.relu ? rectified(v) : v);
    }
}

// backward makes dx (+ base): rows are images at input pixels, columns input channels,
// and the sum runs over taps and output channels.
template <int MODE>
DEVICE void backward(const float *w, const void *dy, int dyh, const void *base, int bh, void *dx, int dxh, const Conv &p) {
    __shared__ Tile tile;
    int t = threadIdx.x, ins = p.c / p.groups, outs = p.o / p.groups, group = blockIdx.z;
    int m0 = blockIdx.x * SIDE, c0 = blockIdx.y * SIDE, rows = p.h * p.w * p.n, taps = p.kh * p.kw, depth = taps * outs;
    Sums sums = {};
    Row row[4];
    for (int j = 0; j < 4; j++) {
        row[j] = row_at(m0 + t / 16 + 16 * j, rows, p.n, p.w);
        row[j].y += p.ph;
        row[j].x += p.pw;
    }
    Walk k = {0, 0, 0, t % 16};
    for (int k0 = 0; k0 < depth; k0 += DEPTH, k.c += DEPTH) {
        settle(k, outs, p.kw);
        for (int j = 0; j < 4; j++) {
            int h = row[j].y - k.u * p.dh, v = row[j].x - k.v * p.dw;
            bool in = k.tap < taps && h >= 0 && v >= 0 && h % p.sh == 0 && v % p.sw == 0 && h / p.sh < p.oh && v / p.sw < p.ow;
            tile.a[t % 16][t / 16 + 16 * j] =
                in ? get(dy, dyh, ((long long)(h / p.sh * p.ow + v / p.sw) * p.n + row[j].n) * p.o + group * outs + k.c) : 0;
            int c = c0 + t / 16 + 16 * j;
            tile.b[t % 16][t / 16 + 16 * j] = k.tap < taps && c < ins ? w[((long long)k.tap * ins + c) * p.o + group * outs + k.c] : 0;
        }
        add<MODE>(tile, sums);
    }
    flush(sums);
    for (int i = 0; i < 16; i++) {
        int r, c;
        place<MODE>(i, &r, &c);
        if (m0 + r >= rows || c0 + c >= ins) continue;
        long long at = (long long)(m0 + r) * p.c + group * ins + c0 + c;
        put(dx, dxh, at, base ? sums.v[i] + get(base, bh, at) : sums.v[i]);
    }
}

// weights makes dw: rows are taps and input channels, columns output channels, and the
// sum runs over images at output pixels, of which blockIdx.z / groups takes one stretch.
// Stretch s goes to part + s times the size of dw; add_stretches adds them up.
template <int MODE>
DEVICE void weights(const void *x, int xh, const void *dy, int dyh, float *part, const Conv &p, int stretch) {
    __shared__ Tile tile;
    int t = threadIdx.x, ins = p.c / p.groups, outs = p.o / p.groups, group = blockIdx.z % p.groups, s = blockIdx.z / p.groups;
    int r0 = blockIdx.x * SIDE, o0 = blockIdx.y * SIDE, rows = p.kh * p.kw * ins, pixels = p.oh * p.ow * p.n;
    Sums sums = {};
    int r = r0 + t % 64, c = r % ins, u = r / ins / p.kw, v = r / ins % p.kw, column = o0 + t % 64;
    int end = min(pixels, (s + 1) * stretch);
    for (int m0 = s * stretch; m0 < end; m0 += DEPTH) {
        for (int j = 0; j < 4; j++) {
            int m = m0 + t / 64 + 4 * j;
            float a = 0, b = 0;
            if (m < end) {
                int image = m % p.n, pixel = m / p.n;
                int h = pixel / p.ow * p.sh - p.ph + u * p.dh, k = pixel % p.ow * p.sw - p.pw + v * p.dw;
                if (r < rows && h >= 0 && h < p.h && k >= 0 && k < p.w)
                    a = get(x, xh, ((long long)(h * p.w + k) * p.n + image) * p.c + group * ins + c);
                if (column < outs) b = get(dy, dyh, (long long)m * p.o + group * outs + column);
            }
            tile.a[t / 64 + 4 * j][t % 64] = a;
            tile.b[t / 64 + 4 * j][t % 64] = b;
        }
        add<MODE>(tile, sums);
    }
    flush(sums);
    float *dw = part + (long long)s * rows * p.o;
    for (int i = 0; i < 16; i++) {
        int row, col;
        place<MODE>(i, &row, &col);
        if (r0 + row < rows && o0 + col < outs) dw[(long long)(r0 + row) * p.o + group * outs + o0 + col] = sums.v[i];
    }
}

KERNEL(add_stretches)(int n, int stretches, const float *part, float *out) {
    int i = index();
    if (i >= n) return;
    float sum = 0;
    for (int s = 0; s < stretches; s++) sum += part[(long long)s * n + i];
    out[i] = sum;
}

#define CONV(suffix, MODE) \
    KERNEL(conv_##suffix)(const void *x, int xh, const float *w, void *y, int yh, Conv p, Epilogue e) { \
        forward<MODE>(x, xh, w, y, yh, p, e); \
    } \
    KERNEL(conv_grad_input_##suffix)(const float *w, const void *dy, int dyh, const void *base, int bh, void *dx, int dxh, Conv p) { \
        backward<MODE>(w, dy, dyh, base, bh, dx, dxh, p); \
    } \
    KERNEL(conv_grad_weight_##suffix)(const void *x, int xh, const void *dy, int dyh, float *part, Conv p, int stretch) { \
        weights<MODE>(x, xh, dy, dyh, part, p, stretch); \
    }

CONV(fma, FMA)
CONV(tf32, TF32)
CONV(bf16, BF16)
