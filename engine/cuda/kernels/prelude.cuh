// What every kernel uses. The same sources are compiled for GPUs, by make.py, and as
// ordinary C++ for tests without one, by ../emulate/host/make.sh: what differs between the two
// is in this file and in ../emulate/host/shim.h.
//
// A value is float32 or bfloat16: a pointer to it comes with a flag, half, which is the
// same for all threads of a launch. Sums are made in a fixed order, and nothing is added
// by atomic operations, so that the same launch gives the same bits.
#pragma once

#ifdef EMULATED
#include "../emulate/host/shim.h"
#else
#define KERNEL(name) extern "C" __global__ void __launch_bounds__(256) name
#define DEVICE static __device__ __forceinline__
#define METHOD __device__ __forceinline__
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) u16 name[]
typedef unsigned short u16;
typedef unsigned long long u64;

// mma is the product of one warp's fragments on the tensor cores, d += a b, laid out as
// the PTX manual says: m16n8k8 of tf32, m16n8k16 of bfloat16.
DEVICE void mma_tf32(float d[4], const unsigned a[4], const unsigned b[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void mma_bf16(float d[4], const unsigned a[4], const unsigned b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// load_matrices reads four 8 by 8 matrices of bfloat16, lane l having the address of row
// l % 8 of matrix l / 8: every lane gets element pair l % 4 of row l / 4 of each, and with
// _transposed, elements 2 (l % 4) and the next of its column l / 4.
DEVICE void load_matrices(unsigned r[4], const u16 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}
DEVICE void load_matrices_transposed(unsigned r[4], const u16 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((unsigned)__cvta_generic_to_shared(row))
                 : "memory");
}

// copy16 copies 16 bytes to shared memory while the thread goes on, or puts zeros there.
// copies_commit ends a group of copies, and copies_wait waits for all but the last N groups.
DEVICE void copy16(u16 *to, const void *from, bool in) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(in ? 16 : 0)
                 : "memory");
}
DEVICE void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> DEVICE void copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// to_tf32 rounds to 10 bits of mantissa, to_bf16x2 two numbers to bfloat16, low first.
DEVICE unsigned to_tf32(float x) {
    unsigned r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
    return r;
}
DEVICE unsigned to_bf16x2(float low, float high) {
    unsigned r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}
#endif

// widen and narrow are tensor.FromBFloat16 and tensor.ToBFloat16.
DEVICE float widen(u16 h) { return __uint_as_float((unsigned)h << 16); }
DEVICE u16 narrow(float f) {
    unsigned b = __float_as_uint(f);
    if (f != f) return (u16)(b >> 16 | 0x40);
    return (u16)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

DEVICE float get(const void *p, int half, long long i) {
    return half ? widen(((const u16 *)p)[i]) : ((const float *)p)[i];
}
DEVICE void put(void *p, int half, long long i, float v) {
    if (half)
        ((u16 *)p)[i] = narrow(v);
    else
        ((float *)p)[i] = v;
}

// index is this thread's place in a launch over a line of elements.
DEVICE int index() { return blockIdx.x * blockDim.x + threadIdx.x; }

// rectified is max(x, 0) where NaN stays NaN, as graph.ReLU has it.
DEVICE float rectified(float x) { return x <= 0 ? 0 : x; }

// exceeds says a > b with NaN above every number, as graph.MaxPool2d has it.
DEVICE bool exceeds(float a, float b) { return a > b || (a != a && b == b); }

// block_sum adds v of all threads of a block of a power of two of them up to 256, always
// in the same order, and gives the sum to each.
DEVICE double block_sum(double v) {
    __shared__ double sums[256];
    int t = threadIdx.x;
    sums[t] = v;
    __syncthreads();
    for (int n = blockDim.x / 2; n > 0; n /= 2) {
        if (t < n) sums[t] += sums[t + n];
        __syncthreads();
    }
    double sum = sums[0];
    __syncthreads(); // before the next one writes
    return sum;
}

// moved is an element of graph.RunningStats.
DEVICE float moved(float running, float row, double momentum, double unbiased) {
    return (float)((1 - momentum) * running + momentum * (row * unbiased));
}
