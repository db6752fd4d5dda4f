// What kernels of convolutions are told: the geometry, and what becomes of their sums.
#pragma once
#include "prelude.cuh"

struct Conv {
    int n, h, w, c;        // of the input
    int oh, ow, o;         // of the output
    int kh, kw, sh, sw, ph, pw, dh, dw, groups;
};

// What a convolution does with its sums before they are stored; every pointer may be 0.
struct Epilogue {
    const float *bias, *stats, *gamma, *beta;
    const void *residual;
    float eps;
    int half, relu; // half: the residual is in bfloat16
};
