// Elements by the pack: as many neighbours as one access of 16 bytes holds, or one element
// where a shape or a type does not allow that. A kernel that is bound by memory is written
// once over a kind of packs, and compiled for each: ../wide.go chooses.
//
// A kind has the WIDTH of its packs, load and store of pack i of a line, at, element k of a
// pack, and all, a pack of one number. Type flags, as get and put take them, matter to Any alone.
#pragma once
#include "prelude.cuh"

struct alignas(16) Bytes16 {
    unsigned w[4];
};

// largest_of is the larger of two numbers, or of two pairs of bfloat16, and NaN where one of
// them is; +0 is above -0.
#ifdef EMULATED
DEVICE float largest_of(float a, float b) {
    if (a != a || b != b) return __uint_as_float(0x7fffffff);
    return a > b || (a == b && !(__float_as_uint(a) >> 31)) ? a : b;
}
DEVICE unsigned largest_of_pairs(unsigned a, unsigned b) {
    float low = largest_of(widen((u16)a), widen((u16)b)), high = largest_of(widen((u16)(a >> 16)), widen((u16)(b >> 16)));
    return __float_as_uint(low) >> 16 | (__float_as_uint(high) & 0xffff0000u);
}
#else
DEVICE float largest_of(float a, float b) {
    float r;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
DEVICE unsigned largest_of_pairs(unsigned a, unsigned b) {
    unsigned r;
    asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
    return r;
}
#endif

#define LOWEST __uint_as_float(0xff800000u)

// One element of either type.
struct Any {
    enum { WIDTH = 1 };
    typedef float Pack;
    DEVICE Pack load(const void *p, int half, long long i) { return get(p, half, i); }
    DEVICE float at(Pack a, int) { return a; }
    DEVICE void store(void *p, int half, long long i, const float v[1]) { copy(p, half, i, v[0]); }
    DEVICE void copy(void *p, int half, long long i, Pack a) {
        if (half)
            ((u16 *)p)[i] = (u16)to_bf16x2(a, 0);
        else
            ((float *)p)[i] = a;
    }
    DEVICE Pack larger(Pack a, Pack b) { return largest_of(a, b); }
    DEVICE Pack all(float v) { return v; }
};

// Four float32.
struct Floats {
    enum { WIDTH = 4 };
    typedef Bytes16 Pack;
    DEVICE Pack load(const void *p, int, long long i) { return ((const Pack *)p)[i]; }
    DEVICE float at(const Pack &a, int k) { return __uint_as_float(a.w[k]); }
    DEVICE void store(void *p, int, long long i, const float v[4]) {
        Pack a;
        for (int k = 0; k < 4; k++) a.w[k] = __float_as_uint(v[k]);
        ((Pack *)p)[i] = a;
    }
    DEVICE void copy(void *p, int, long long i, const Pack &a) { ((Pack *)p)[i] = a; }
    DEVICE Pack larger(const Pack &a, const Pack &b) {
        Pack r;
        for (int k = 0; k < 4; k++) r.w[k] = __float_as_uint(largest_of(at(a, k), at(b, k)));
        return r;
    }
    DEVICE Pack all(float v) {
        unsigned w = __float_as_uint(v);
        return {{w, w, w, w}};
    }
};

// Eight bfloat16.
struct Halves {
    enum { WIDTH = 8 };
    typedef Bytes16 Pack;
    DEVICE Pack load(const void *p, int, long long i) { return ((const Pack *)p)[i]; }
    DEVICE float at(const Pack &a, int k) {
        unsigned w = a.w[k / 2];
        return __uint_as_float(k % 2 ? w & 0xffff0000u : w << 16);
    }
    DEVICE void store(void *p, int, long long i, const float v[8]) {
        Pack a;
        for (int k = 0; k < 4; k++) a.w[k] = to_bf16x2(v[2 * k], v[2 * k + 1]);
        ((Pack *)p)[i] = a;
    }
    DEVICE void copy(void *p, int, long long i, const Pack &a) { ((Pack *)p)[i] = a; }
    DEVICE Pack larger(const Pack &a, const Pack &b) {
        Pack r;
        for (int k = 0; k < 4; k++) r.w[k] = largest_of_pairs(a.w[k], b.w[k]);
        return r;
    }
    DEVICE Pack all(float v) { // a bfloat16
        unsigned w = __float_as_uint(v) >> 16;
        w |= w << 16;
        return {{w, w, w, w}};
    }
};

// constants reads the numbers that belong to a pack's channels, of float32, at an address that
// a pack may have, as every value begins at one.
template <class K> DEVICE void constants(const float *p, float v[K::WIDTH]) {
    enum { PER_LOAD = K::WIDTH == 1 ? 1 : 4 };
#pragma unroll
    for (int k = 0; k < K::WIDTH; k += PER_LOAD) {
        if (PER_LOAD == 1) {
            v[k] = p[k];
            continue;
        }
        Bytes16 q = *(const Bytes16 *)(p + k);
        for (int j = 0; j < PER_LOAD; j++) v[k + j] = __uint_as_float(q.w[j]);
    }
}

// Share is a thread's packs of [rows][lanes]: from at on, a stride apart, below end, all in
// one lane. The grid has a thread a lane at least.
struct Share {
    unsigned at, stride, end, lane;
};

DEVICE Share share_of(int rows, int lanes) {
    Share s;
    unsigned all = gridDim.x * blockDim.x, i = index();
    s.end = (unsigned)rows * lanes;
    s.stride = all - all % lanes;
    s.at = i < s.stride ? i : s.end;
    s.lane = i % lanes;
    return s;
}
