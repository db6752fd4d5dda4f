#include "prelude.cuh"

// Pools over [H][W][lanes], a lane being a channel of an image.

struct Pool {
    int h, w, oh, ow; // of the input and the output
    int kh, kw, sh, sw, ph, pw, dh, dw;
};

// largest is the pixel of the first largest element, or else the first NaN, of window
// (i, j) of a lane.
DEVICE int largest(const Pool &p, const void *x, int xh, int lanes, int lane, int i, int j) {
    int best = -1;
    float most = 0;
    for (int u = 0; u < p.kh; u++) {
        for (int v = 0; v < p.kw; v++) {
            int h = i * p.sh + u * p.dh - p.ph, w = j * p.sw + v * p.dw - p.pw;
            if (h < 0 || h >= p.h || w < 0 || w >= p.w) continue;
            float value = get(x, xh, (long long)(h * p.w + w) * lanes + lane);
            if (best < 0 || exceeds(value, most)) best = h * p.w + w, most = value;
        }
    }
    return best;
}

KERNEL(max_pool)(int lanes, const void *x, int xh, void *y, int yh, Pool p) {
    int i = index();
    if (i >= p.oh * p.ow * lanes) return;
    int lane = i % lanes, pixel = i / lanes;
    int at = largest(p, x, xh, lanes, lane, pixel / p.ow, pixel % p.ow);
    put(y, yh, i, get(x, xh, (long long)at * lanes + lane));
}

// Every element looks at the windows that it lies in.
KERNEL(max_pool_grad)(int lanes, const void *x, int xh, const void *dy, int dyh, void *dx, int dxh, Pool p) {
    int i = index();
    if (i >= p.h * p.w * lanes) return;
    int lane = i % lanes, pixel = i / lanes, h = pixel / p.w, w = pixel % p.w;
    float sum = 0;
    for (int u = p.kh - 1; u >= 0; u--) {
        int top = h + p.ph - u * p.dh;
        if (top < 0 || top % p.sh || top / p.sh >= p.oh) continue;
        for (int v = p.kw - 1; v >= 0; v--) {
            int left = w + p.pw - v * p.dw;
            if (left < 0 || left % p.sw || left / p.sw >= p.ow) continue;
            int row = top / p.sh, column = left / p.sw;
            if (largest(p, x, xh, lanes, lane, row, column) == pixel)
                sum += get(dy, dyh, (long long)(row * p.ow + column) * lanes + lane);
        }
    }
    put(dx, dxh, i, sum);
}

// Average pools and their gradients: pixel q of y is the sum of weight[k] x[source[k]]
// for k from start[q] to start[q+1].
KERNEL(weigh)(int n, int lanes, const void *x, int xh, void *y, int yh, const int *start, const int *source, const float *weight) {
    int i = index();
    if (i >= n) return;
    int lane = i % lanes, pixel = i / lanes;
    float sum = 0;
    for (int k = start[pixel]; k < start[pixel + 1]; k++) sum += weight[k] * get(x, xh, (long long)source[k] * lanes + lane);
    put(y, yh, i, sum);
}
