// CUDA's words as ordinary C++, so that the kernels can be run where there is no GPU. A
// launch runs its blocks one after the other; the threads of a block are fibers, which
// change at barriers alone (emulate.cpp). It says what kernels compute, and nothing of
// their speed, nor of what the hardware does between barriers.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t u16;
typedef unsigned long long u64;

struct Three {
    unsigned x, y, z;
};
extern Three threadIdx, blockIdx, blockDim, gridDim; // of the fiber at work

void barrier_block(); // __syncthreads
void barrier_warp();  // of the 32 threads around this one

#define KERNEL(name) extern "C" void name
#define DEVICE static inline
#define METHOD inline
#define DYNAMIC_SHARED(name) u16 *name = dynamic_shared
#define __shared__ static
#define __syncthreads barrier_block

static inline int min(int a, int b) { return a < b ? a : b; }
static inline unsigned __float_as_uint(float f) {
    unsigned u;
    memcpy(&u, &f, 4);
    return u;
}
static inline float __uint_as_float(unsigned u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }

static inline unsigned to_tf32(float x) { // to the nearest, ties away from zero
    unsigned u = __float_as_uint(x);
    if ((u & 0x7f800000) != 0x7f800000) u += 0x1000;
    return u & ~0x1fffu;
}
static inline unsigned to_bf16(float x) {
    unsigned b = __float_as_uint(x);
    if (x != x) return 0x7fff;
    return (b + 0x7fff + (b >> 16 & 1)) >> 16;
}
static inline unsigned to_bf16x2(float low, float high) { return to_bf16(low) | to_bf16(high) << 16; }

struct uint4 {
    unsigned x, y, z, w;
};
struct float2 {
    float x, y;
};
struct float4 {
    float x, y, z, w;
};

extern u16 dynamic_shared[]; // what a launch asks for; NaN when a block begins

// Copies to shared memory are made at once or, when threads run backwards, as late as
// copies_wait allows.
void copy16(u16 *to, const void *from, bool in);
void copies_commit();
void copies_leave(int groups);
template <int N> static inline void copies_wait() { copies_leave(N); }

void load_matrices(unsigned r[4], const u16 *row);
void load_matrices_transposed(unsigned r[4], const u16 *row);
void mma_tf32(float d[4], const unsigned a[4], const unsigned b[2]);
void mma_bf16(float d[4], const unsigned a[4], const unsigned b[2]);
