// What the convolutions on tensor cores share: a block's tile of results, its windows of
// both operands in shared memory, and the way from there through the tensor cores.
#pragma once
#include "conv.cuh"

// A block makes M by N results of bfloat16 products. It goes over the summed dimension by
// windows of 32, of which STAGES are on their way or at work. A warp makes WARP_M by WARP_N.
enum { WINDOW = 32, STAGES = 4 };

template <int ROWS, int COLUMNS, int WARP_ROWS, int WARP_COLUMNS> struct Block {
    enum {
        M = ROWS,
        N = COLUMNS,
        WARP_M = WARP_ROWS,
        WARP_N = WARP_COLUMNS,
        WARPS_N = N / WARP_N,
        THREADS = 32 * (M / WARP_M) * WARPS_N,
        TILES_M = WARP_M / 16, // what one instruction makes is 16 by 8
        TILES_N = WARP_N / 8,
        STAGE = (M + N) * WINDOW, // elements
    };
    float sums[TILES_M][TILES_N][4];

    // row and column of sums[i][j][e] in the block.
    DEVICE int row(int i, int e) { return threadIdx.x / 32 / WARPS_N * WARP_M + i * 16 + threadIdx.x % 32 / 4 + e / 2 * 8; }
    DEVICE int column(int j, int e) { return threadIdx.x / 32 % WARPS_N * WARP_N + j * 8 + threadIdx.x % 4 * 2 + e % 2; }
};

// In shared memory an operand's window is [row][k], with the summed dimension inside, or
// [k][row], as it lies in memory. Both are made of chunks of 8 elements, 16 bytes, whose
// order is changed from line to line so that the 8 lines that are read together come from
// different banks. The functions say where a chunk begins.
DEVICE int along(int row, int chunk) { return row * WINDOW + (chunk ^ (row >> 1 & 3)) * 8; }
template <int SIZE> DEVICE int across(int k, int chunk) { return SIZE == WINDOW ? along(k, chunk) : k * SIZE + (chunk ^ (k & 7)) * 8; }

// take_a reads 16 rows by 16 k of the first operand, take_b 16 k by 16 columns of the second:
// b[0..1] of the first 8 columns, and of the next.
template <bool ALONG, int SIZE> DEVICE void take_a(unsigned a[4], const u16 *tile, int row, int k) {
    int lane = threadIdx.x % 32;
    if (ALONG)
        load_matrices(a, tile + along(row + lane % 16, k / 8 + lane / 16));
    else
        load_matrices_transposed(a, tile + across<SIZE>(k + lane / 16 * 8 + lane % 8, row / 8 + lane / 8 % 2));
}
template <bool ALONG, int SIZE> DEVICE void take_b(unsigned b[4], const u16 *tile, int column, int k) {
    int lane = threadIdx.x % 32;
    if (ALONG)
        load_matrices(b, tile + along(column + lane / 16 * 8 + lane % 8, k / 8 + lane / 8 % 2));
    else
        load_matrices_transposed(b, tile + across<SIZE>(k + lane % 16, column / 8 + lane / 16));
}

// multiply adds the products of a window.
template <bool A_ALONG, bool B_ALONG, class T> DEVICE void multiply(T &block, const u16 *stage) {
    const u16 *a = stage, *b = stage + T::M * WINDOW;
    int row = threadIdx.x / 32 / T::WARPS_N * T::WARP_M, column = threadIdx.x / 32 % T::WARPS_N * T::WARP_N;
#pragma unroll
    for (int k = 0; k < WINDOW; k += 16) {
        unsigned x[T::TILES_M][4], y[T::TILES_N / 2][4];
#pragma unroll
        for (int i = 0; i < T::TILES_M; i++) take_a<A_ALONG, T::M>(x[i], a, row + 16 * i, k);
#pragma unroll
        for (int j = 0; j < T::TILES_N / 2; j++) take_b<B_ALONG, T::N>(y[j], b, column + 16 * j, k);
#pragma unroll
        for (int i = 0; i < T::TILES_M; i++)
#pragma unroll
            for (int j = 0; j < T::TILES_N; j++) mma_bf16(block.sums[i][j], x[i], y[j / 2] + j % 2 * 2);
    }
}

// sum_products goes over all windows of walk. Sources a and b load the window at which it
// stands. When it is done, nothing is on its way and shared memory is free.
template <class T, class A, class B, class Walk>
DEVICE void sum_products(T &block, const A &a, const B &b, Walk walk, u16 *stages) {
#pragma unroll
    for (int i = 0; i < T::TILES_M; i++)
#pragma unroll
        for (int j = 0; j < T::TILES_N; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) block.sums[i][j][e] = 0;
    int loaded = 0, place = 0; // place of the next window to load, and of that at work
    for (int s = 0; s < STAGES - 1; s++) {
        if (walk.more()) {
            a.load(stages + s * T::STAGE, walk);
            b.load(stages + s * T::STAGE + T::M * WINDOW, walk);
            walk.next();
            loaded++;
        }
        copies_commit();
    }
    for (int done = 0; done < loaded; done++) {
        copies_wait<STAGES - 2>();
        __syncthreads(); // all have their part of this window, and have done with the last
        if (walk.more()) {
            u16 *free = stages + (place == 0 ? STAGES - 1 : place - 1) * T::STAGE;
            a.load(free, walk);
            b.load(free + T::M * WINDOW, walk);
            walk.next();
            loaded++;
        }
        copies_commit();
        multiply<A::ALONG, B::ALONG>(block, stages + place * T::STAGE);
        place = place == STAGES - 1 ? 0 : place + 1;
    }
    copies_wait<0>();
    __syncthreads();
}
