#include "prelude.cuh"

// Pictures come as bytes, and become a program's input here.

typedef unsigned char u8;

// One side of pictures resized, by the table of package data/transforms: pixel o of the
// side is the sum over t < taps of weight[o*taps+t] times pixel start[o]+t, in fixed point
// of 22 bits, rounded and cut to a byte. inner is how many pixels lie between neighbours of
// the side: 1 across, the width of a row down.
KERNEL(resize)(int n, const u8 *src, u8 *dst, int in, int out, int inner, int taps, const int *start, const unsigned *weight) {
    int i = index();
    if (i >= n) return;
    int x = i % inner, o = i / inner % out, rest = i / inner / out;
    const u8 *p = src + ((long long)rest * in + start[o]) * inner + x;
    unsigned sum = 1u << 21; // wraps, as a weight may be negative
    for (int t = 0; t < taps; t++) sum += p[(long long)t * inner] * weight[o * taps + t];
    int v = (int)sum >> 22;
    dst[i] = (u8)(v < 0 ? 0 : v > 255 ? 255 : v);
}

// Bytes, channel by channel, become what the table of their channel has for them.
KERNEL(pictures)(int n, const u8 *src, int area, int channels, const float *table, void *dst, int half, Order to) {
    int i = index();
    if (i < n) put(dst, half, offset(to, i), table[i / area % channels * 256 + src[i]]);
}
