// Runs kernels that were compiled as C++: see shim.h. Written for x86-64 and arm64 Linux.
#include "shim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <utility>
#include <vector>

Three threadIdx, blockIdx, blockDim, gridDim;

// Fibers: each has a stack of its own, and change saves what the C ABI says a call keeps.

enum { MOST = 256, STACK = 64 << 10 };

struct Fiber {
    void *sp;
    bool done;
};

static Fiber fibers[MOST];
static void *scheduler; // its stack pointer, while a fiber runs
static char *stacks;
static int current;

extern "C" void change(void **from, void *to);

#if defined(__x86_64__)
asm(R"(
.text
.globl change
.hidden change
change:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
)");
enum { SAVED = 6, RETURN = 6, AREA = 8 };
#elif defined(__aarch64__)
asm(R"(
.text
.globl change
.hidden change
change:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]; stp x27, x28, [sp, #64]; stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128]; stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]; ldp x27, x28, [sp, #64]; ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128]; ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
)");
enum { SAVED = 20, RETURN = 11, AREA = 20 };
#else
#error "the emulator changes stacks by assembly for x86-64 and arm64"
#endif

typedef void (*Kernel)(void **params);
static Kernel kernel;
static void **params;

static void entry() {
    kernel(params);
    fibers[current].done = true;
    void *unused;
    change(&unused, scheduler);
    abort();
}

static void yield() { change(&fibers[current].sp, scheduler); }

// What the threads of a block wait for, so that a barrier that not all reach is seen.
enum Wait { NOTHING, BLOCK, WARP };
static Wait waits[MOST];

static void die(const char *what) {
    fprintf(stderr, "emulated kernel: block %u,%u,%u: %s\n", blockIdx.x, blockIdx.y, blockIdx.z, what);
    abort();
}

void barrier_block() {
    waits[current] = BLOCK;
    yield();
}
void barrier_warp() {
    waits[current] = WARP;
    yield();
}

// backwards runs the threads from the last to the first: what holds in both orders does
// not hang on one of them.
static bool backwards;

static void resume(int t) {
    current = t;
    threadIdx = {(unsigned)t, 0, 0};
    waits[t] = NOTHING;
    change(&scheduler, fibers[t].sp);
}

// run_some resumes the threads from..to, which wait at one barrier, and says whether any
// is left.
static bool run_some(int from, int to) {
    int left = 0, done = 0;
    for (int i = from; i < to; i++) {
        int t = backwards ? to - 1 - (i - from) : i;
        if (!fibers[t].done) resume(t);
        fibers[t].done ? done++ : left++;
    }
    if (left && done) die("some threads are at a barrier and others have ended");
    return left > 0;
}

// Shared memory of the launch's own, and copies on their way to it.

enum { SHARED = 227 << 10 }; // what a block may have at most
alignas(128) u16 dynamic_shared[SHARED / 2];
static unsigned shared_bytes; // that the launch asked for

struct Copy {
    u16 *to;
    const void *from;
    bool in;

    void make() const {
        if (in)
            memcpy(to, from, 16);
        else
            memset(to, 0, 16);
    }
};
static std::vector<std::vector<Copy>> copies[MOST]; // groups of each thread, the last one open

void copy16(u16 *to, const void *from, bool in) {
    size_t at = (char *)to - (char *)dynamic_shared;
    if (at % 16 || at + 16 > shared_bytes) die("a copy goes beyond shared memory");
    if (in && (uintptr_t)from % 16) die("a copy is not of 16 aligned bytes");
    Copy c = {to, from, in};
    if (!backwards) return c.make();
    if (copies[current].empty()) copies[current].emplace_back();
    copies[current].back().push_back(c);
}
void copies_commit() {
    if (copies[current].empty()) copies[current].emplace_back();
    copies[current].emplace_back();
}
void copies_leave(int groups) {
    auto &mine = copies[current];
    while ((int)mine.size() > groups + 1) {
        for (auto &c : mine.front()) c.make();
        mine.erase(mine.begin());
    }
}

static void prepare_shared() {
    memset(dynamic_shared, 0xff, shared_bytes);
    for (auto &c : copies) c.clear();
}

static void run_block(int threads) {
    prepare_shared();
    if (!stacks) {
        stacks = (char *)mmap(0, (size_t)MOST * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stacks == MAP_FAILED) die("no memory for stacks");
    }
    for (int t = 0; t < threads; t++) {
        void **top = (void **)(stacks + (size_t)(t + 1) * STACK - 64) - AREA;
        memset(top, 0, AREA * sizeof *top);
        top[RETURN] = (void *)entry;
        fibers[t] = {top, false};
        waits[t] = NOTHING;
    }
    // Warps go on by themselves until each is at a barrier of the block or has ended.
    for (bool left = true; left;) {
        left = false;
        for (int w = 0; w < threads; w += 32) {
            int end = w + 32 < threads ? w + 32 : threads;
            while (run_some(w, end)) {
                Wait at = waits[w];
                for (int t = w; t < end; t++)
                    if (waits[t] != at) die("the threads of a warp are at different barriers");
                if (at == BLOCK) {
                    left = true;
                    break;
                }
            }
        }
        if (left)
            for (int t = 0; t < threads; t++)
                if (fibers[t].done) die("some threads are at a barrier and others have ended");
    }
}

// Products of fragments: every lane shows its own, and takes what it needs of the others.

static unsigned shown_a[MOST][4], shown_b[MOST][2];

static void show(const unsigned a[4], const unsigned b[2]) {
    memcpy(shown_a[current], a, 16);
    memcpy(shown_b[current], b, 8);
    barrier_warp();
}

void mma_tf32(float d[4], const unsigned a[4], const unsigned b[2]) {
    show(a, b);
    int warp = current / 32 * 32, lane = current % 32;
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 8; k++) {
            unsigned x = shown_a[warp + row % 8 * 4 + k % 4][row / 8 + k / 4 * 2];
            unsigned y = shown_b[warp + column * 4 + k % 4][k / 4];
            d[i] += __uint_as_float(x & ~0x1fffu) * __uint_as_float(y & ~0x1fffu);
        }
    }
    barrier_warp();
}

void mma_bf16(float d[4], const unsigned a[4], const unsigned b[2]) {
    show(a, b);
    int warp = current / 32 * 32, lane = current % 32;
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++) {
            unsigned x = shown_a[warp + row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2];
            unsigned y = shown_b[warp + column * 4 + k % 8 / 2][k / 8];
            d[i] += __uint_as_float(k % 2 ? x & 0xffff0000u : x << 16) * __uint_as_float(k % 2 ? y & 0xffff0000u : y << 16);
        }
    }
    barrier_warp();
}

static const u16 *shown_rows[MOST];

static void show_row(const u16 *row) {
    size_t at = (char *)row - (char *)dynamic_shared;
    if (at % 16 || at + 16 > shared_bytes) die("a matrix lies beyond shared memory");
    shown_rows[current] = row;
    barrier_warp();
}

void load_matrices(unsigned r[4], const u16 *row) {
    show_row(row);
    int warp = current / 32 * 32, lane = current % 32;
    for (int i = 0; i < 4; i++) memcpy(r + i, shown_rows[warp + 8 * i + lane / 4] + lane % 4 * 2, 4);
    barrier_warp();
}

void load_matrices_transposed(unsigned r[4], const u16 *row) {
    show_row(row);
    int warp = current / 32 * 32, lane = current % 32;
    for (int i = 0; i < 4; i++) {
        const u16 **rows = shown_rows + warp + 8 * i + lane % 4 * 2;
        r[i] = rows[0][lane / 4] | (unsigned)rows[1][lane / 4] << 16;
    }
    barrier_warp();
}

// Kernels by name. sources.inc and entries.inc are written by make.sh: a line ENTRY(name) for each.

#include "sources.inc"

template <class... A, size_t... I> static void call(void (*f)(A...), void **p, std::index_sequence<I...>) {
    f(*(A *)p[I]...);
}
template <class... A> static void call(void (*f)(A...), void **p) { call(f, p, std::index_sequence_for<A...>{}); }

template <class... A> static std::vector<size_t> sizes_of(void (*)(A...)) { return {sizeof(A)...}; }

struct Entry {
    const char *name;
    Kernel run;
    std::vector<size_t> sizes; // of the parameters
};
static const Entry kernels[] = {
#define ENTRY(name) {#name, [](void **p) { call(name, p); }, sizes_of(name)},
#include "entries.inc"
};

// emulate_find returns a kernel by its name, or 0.
extern "C" void *emulate_find(const char *name) {
    for (auto &k : kernels)
        if (!strcmp(k.name, name)) return (void *)k.run;
    return 0;
}

// emulate_launch runs a kernel; params are pointers to its arguments, as for cuLaunchKernel.
extern "C" void emulate_launch(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned shared, void **p, int reverse) {
    if (threads > MOST) die("more than 256 threads in a block");
    if (shared > SHARED) die("more shared memory than a block may have");
    shared_bytes = shared;
    kernel = (Kernel)f;
    params = p;
    backwards = reverse;
    gridDim = {gx, gy, gz};
    blockDim = {threads, 1, 1};
    for (unsigned z = 0; z < gz; z++)
        for (unsigned y = 0; y < gy; y++)
            for (unsigned x = 0; x < gx; x++) {
                blockIdx = {x, y, z};
                run_block(threads);
            }
}

// Device memory ends at a page that may not be touched, so that a kernel that goes beyond
// dies; what it holds at first looks like NaN.
enum { PAGE = 4096 };

extern "C" void *emulate_alloc(size_t n) {
    size_t pages = (n + PAGE - 1) / PAGE * PAGE;
    char *p = (char *)mmap(0, pages + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return 0;
    *(size_t *)p = pages;
    mprotect(p + PAGE + pages, PAGE, PROT_NONE);
    char *at = p + PAGE + (pages - (n + 15) / 16 * 16);
    memset(at, 0xff, n);
    return at;
}

extern "C" void emulate_free(void *at) {
    char *page = (char *)((uintptr_t)at / PAGE * PAGE) - PAGE;
    munmap(page, *(size_t *)page + 2 * PAGE);
}

extern "C" void emulate_copy(void *to, const void *from, size_t n) { memcpy(to, from, n); }
