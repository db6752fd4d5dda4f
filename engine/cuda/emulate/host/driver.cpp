// A driver whose GPU is the CPU, with the functions of libcuda.so.1 that the device calls:
// by it the tests see that the device calls them as CUDA's header declares them, which is
// included where there is one. With this library in the place of libcuda.so.1 the whole
// program runs on emulated kernels.
#include "emulate.cpp"
#include <map>
#include <string>
#include <vector>

#if __has_include(<cuda.h>)
#include <cuda.h>
#else
#define CUDAAPI
typedef int CUresult, CUdevice, CUdevice_attribute, CUjit_option, CUstreamCaptureMode, CUfunction_attribute;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef struct CUevent_st *CUevent;
#define cuDeviceTotalMem cuDeviceTotalMem_v2
#define cuDevicePrimaryCtxRelease cuDevicePrimaryCtxRelease_v2
#define cuMemGetInfo cuMemGetInfo_v2
#define cuMemAlloc cuMemAlloc_v2
#define cuMemFree cuMemFree_v2
#define cuMemcpyHtoDAsync cuMemcpyHtoDAsync_v2
#define cuMemcpyDtoHAsync cuMemcpyDtoHAsync_v2
#define cuStreamDestroy cuStreamDestroy_v2
#define cuEventDestroy cuEventDestroy_v2
#define cuStreamBeginCapture cuStreamBeginCapture_v2
#endif

#define API extern "C" CUresult CUDAAPI

static const CUresult ok = (CUresult)0, out_of_memory = (CUresult)2, invalid = (CUresult)1, not_found = (CUresult)500;
static const size_t memory = (size_t)8 << 30;
static size_t used;
static std::map<CUdeviceptr, size_t> sizes;

// A launch as a graph keeps it.
struct Launch {
    const Entry *kernel;
    unsigned x, y, z, threads, shared;
    std::vector<std::vector<char>> arguments;

    void run() {
        std::vector<void *> p;
        for (auto &a : arguments) p.push_back(a.data());
        emulate_launch((void *)kernel->run, x, y, z, threads, shared, p.data(), 0);
    }
};
typedef std::vector<Launch> Launches;
static Launches *capturing;
static CUstream origin;                   // of the capture
static std::map<CUstream, bool> branches; // others that belong to it: whether the origin has yet to wait for them
static bool entered; // a context is current: the device sets it before all else

API cuInit(unsigned flags) { return flags ? invalid : ok; }
API cuDriverGetVersion(int *v) { return *v = 12000, ok; }
API cuGetErrorName(CUresult r, const char **text) { return *text = r == out_of_memory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_EMULATED", ok; }
API cuGetErrorString(CUresult, const char **text) { return *text = "an error of the emulated driver", ok; }
API cuDeviceGetCount(int *n) { return *n = 1, ok; }
API cuDeviceGet(CUdevice *d, int i) { return *d = 7, i == 0 ? ok : invalid; }
API cuDeviceGetName(char *name, int n, CUdevice d) { return snprintf(name, n, "CPU that emulates"), d == 7 ? ok : invalid; }
API cuDeviceGetAttribute(int *v, CUdevice_attribute a, CUdevice d) {
    *v = (int)a == 75 ? 9 : 0;
    return d == 7 ? ok : invalid;
}
API cuDeviceTotalMem(size_t *n, CUdevice d) { return *n = memory, d == 7 ? ok : invalid; }
API cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) { return *c = (CUcontext)0x11, d == 7 ? ok : invalid; }
API cuDevicePrimaryCtxRelease(CUdevice d) { return d == 7 ? ok : invalid; }
API cuCtxSetCurrent(CUcontext c) { return entered = c == (CUcontext)0x11, entered || !c ? ok : invalid; }
API cuMemGetInfo(size_t *left, size_t *total) { return *left = memory - used, *total = memory, entered ? ok : invalid; }
API cuMemAlloc(CUdeviceptr *p, size_t n) {
    if (!entered || !n) return invalid;
    if (used + n > memory) return out_of_memory;
    *p = (CUdeviceptr)(uintptr_t)emulate_alloc(n);
    sizes[*p] = n;
    used += n;
    return ok;
}
API cuMemFree(CUdeviceptr p) {
    if (!entered || !sizes.count(p)) return invalid;
    used -= sizes[p];
    sizes.erase(p);
    emulate_free((void *)(uintptr_t)p);
    return ok;
}

// inside says whether n bytes at p lie in one allocation.
static bool inside(CUdeviceptr p, size_t n) {
    auto next = sizes.upper_bound(p);
    if (!entered || next == sizes.begin()) return false;
    --next;
    return p + n <= next->first + next->second;
}

// Streams are 0x22 and what is made after it; all of them work at once.
static size_t streams = 0x22;
static bool ours(CUstream s) { return (size_t)s >= 0x22 && (size_t)s < streams; }

API cuMemsetD32Async(CUdeviceptr p, unsigned word, size_t n, CUstream s) {
    if (!inside(p, 4 * n) || !ours(s)) return invalid;
    for (size_t i = 0; i < n; i++) ((unsigned *)(uintptr_t)p)[i] = word;
    return ok;
}
API cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t n, CUstream s) {
    if (!inside(to, n) || !ours(s) || capturing) return invalid;
    return memcpy((void *)(uintptr_t)to, from, n), ok;
}
API cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t n, CUstream s) {
    if (!inside(from, n) || !ours(s) || capturing) return invalid;
    return memcpy(to, (void *)(uintptr_t)from, n), ok;
}
API cuStreamCreate(CUstream *s, unsigned flags) { return *s = (CUstream)streams++, entered && flags <= 1 ? ok : invalid; }
API cuStreamDestroy(CUstream s) { return ours(s) ? ok : invalid; }
API cuStreamSynchronize(CUstream s) { return ours(s) && !capturing ? ok : invalid; }

// Host memory and events, which know whether they are there.
static std::map<void *, size_t> pinned;
struct CUevent_st {
    bool recorded;
    CUstream by;
};
static std::map<CUevent, bool> events;

API cuMemHostAlloc(void **p, size_t n, unsigned flags) {
    if (!entered || !n || flags > 7) return invalid;
    pinned[*p = malloc(n)] = n;
    return ok;
}
API cuMemFreeHost(void *p) { return pinned.erase(p) ? free(p), ok : invalid; }
API cuEventCreate(CUevent *e, unsigned flags) {
    if (!entered || flags > 7) return invalid;
    return events[*e = new CUevent_st{false, 0}] = true, ok;
}
API cuEventDestroy(CUevent e) { return events.erase(e) ? delete e, ok : invalid; }
API cuEventRecord(CUevent e, CUstream s) {
    if (!events.count(e) || !ours(s) || (capturing && s != origin && !branches.count(s))) return invalid;
    return e->by = s, e->recorded = true, ok;
}
API cuEventSynchronize(CUevent e) { return events.count(e) && e->recorded ? ok : invalid; }
// In a capture, a stream that waits for the origin becomes a branch of it, and the origin must
// wait for all branches before the end.
API cuStreamWaitEvent(CUstream s, CUevent e, unsigned flags) {
    if (!events.count(e) || !ours(s) || flags) return invalid;
    if (!capturing) return ok;
    if (!e->recorded) return invalid;
    if (s == origin)
        branches.erase(e->by);
    else if (e->by == origin)
        branches[s] = true;
    else
        return invalid;
    return ok;
}
API cuModuleLoadDataEx(CUmodule *m, const void *image, unsigned n, CUjit_option *, void **) {
    *m = (CUmodule)0x33;
    return entered && !n && strstr((const char *)image, ".target sm_90") ? ok : invalid;
}
API cuModuleUnload(CUmodule m) { return m == (CUmodule)0x33 ? ok : invalid; }
API cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name) {
    if (m != (CUmodule)0x33) return invalid;
    for (auto &k : kernels)
        if (!strcmp(k.name, name)) return *f = (CUfunction)&k, ok;
    return not_found;
}

// More than 48 KiB of shared memory must be asked for.
struct Allowed {
    std::map<const Entry *, unsigned> asked;
    unsigned operator[](const Entry *e) { return asked.count(e) ? asked[e] : 48 << 10; }
};
static Allowed allowed;

API cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int v) {
    if (!entered || (int)a != 8 || v < 0 || v > SHARED) return invalid;
    return allowed.asked[(const Entry *)f] = v, ok;
}
API cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   CUstream s, void **params, void **extra) {
    if (!entered || !ours(s) || extra || shared > allowed[(const Entry *)f] || !gx || !gy || !gz || by != 1 || bz != 1 || gy > 65535 || gz > 65535) return invalid;
    Launch l = {(const Entry *)f, gx, gy, gz, bx, shared, {}};
    for (size_t i = 0; i < l.kernel->sizes.size(); i++)
        l.arguments.emplace_back((char *)params[i], (char *)params[i] + l.kernel->sizes[i]);
    if (capturing && s != origin && !branches.count(s)) return invalid; // it would be no part of the graph
    if (capturing)
        capturing->push_back(l);
    else
        l.run();
    return ok;
}
API cuStreamBeginCapture(CUstream s, CUstreamCaptureMode mode) {
    if (!ours(s) || capturing || (int)mode != 2) return invalid;
    origin = s, branches.clear();
    return capturing = new Launches, ok;
}
API cuStreamEndCapture(CUstream s, CUgraph *g) {
    if (s != origin || !capturing || !branches.empty()) return invalid;
    *g = (CUgraph)capturing;
    return capturing = nullptr, ok;
}
API cuGraphInstantiateWithFlags(CUgraphExec *e, CUgraph g, unsigned long long flags) {
    return *e = (CUgraphExec) new Launches(*(Launches *)g), flags ? invalid : ok;
}
API cuGraphDestroy(CUgraph g) { return delete (Launches *)g, ok; }
API cuGraphExecDestroy(CUgraphExec e) { return delete (Launches *)e, ok; }
API cuGraphLaunch(CUgraphExec e, CUstream s) {
    if (!entered || !ours(s)) return invalid;
    for (auto &l : *(Launches *)e) l.run();
    return ok;
}
