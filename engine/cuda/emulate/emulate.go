//go:build cuda && !windows

// Package emulate is a driver of an emulated GPU for tests on machines without one. It runs
// the kernels, which host/make.sh compiles as C++, on the CPU, one thread after the other.
// Tests with it cover all of the device except the real driver and its speed.
package emulate

import (
	"fmt"
	"os"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/residual-ml/residual/engine/cuda/driver"
)

// Variable is the environment variable with the path of the library that host/make.sh
// builds.
const Variable = "RESIDUAL_CUDA_EMULATED"

// GPU is an emulated GPU. Its settings may be changed before it is used.
type GPU struct {
	Memory   uint64        // bytes of memory
	Major    int32         // major number of the compute capability
	Lost     driver.Result // if not Success, the result of every call that waits for work
	Launches int           // kernels run so far
	Graphs   int           // graphs launched so far
	Alone    int           // kernels launched outside graphs so far
	Backward bool          // run threads from the last to the first

	library    uintptr
	find       func(name string) uintptr
	run        func(f uintptr, gx, gy, gz, threads, shared uint32, params *unsafe.Pointer, reverse int32)
	alloc      func(n uint64) uintptr
	free       func(p uintptr)
	copy       func(to, from uintptr, n uint64)
	copyTo     func(to uintptr, from unsafe.Pointer, n uint64)
	copyFrom   func(to unsafe.Pointer, from uintptr, n uint64)
	sizes      map[driver.Pointer]uint64
	used       uint64
	signatures map[string][]int
	functions  map[driver.Function]string
	addresses  map[driver.Function]uintptr
	capturing  bool
	captured   []call
	graphs     map[uintptr][]call
	next       uintptr
	streams    driver.Stream        // number of streams created so far
	waiting    []func()             // copies in the copying stream, which are made only when something waits for them
	made       int                  // number of those copies made so far
	events     map[driver.Event]int // for every event, how many copies must be made before it
	hosts      map[unsafe.Pointer][]byte
}

// copying is the number of the stream whose copies are delayed, in the order in which the
// device creates streams. All other streams work at once.
const copying = 2

// call is a launch in a graph.
type call struct {
	f                           driver.Function
	gx, gy, gz, threads, shared uint32
	params                      []unsafe.Pointer
}

// New opens the library that Variable names, or skips the test.
func New(t testing.TB) *GPU {
	t.Helper()
	path := os.Getenv(Variable)
	if path == "" {
		t.Skip("kernels are emulated where " + Variable + " names the library that engine/cuda/emulate/host/make.sh makes")
	}
	library, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	g := &GPU{
		Memory: 16 << 30, Major: 8, library: library, sizes: map[driver.Pointer]uint64{}, functions: map[driver.Function]string{},
		addresses: map[driver.Function]uintptr{}, graphs: map[uintptr][]call{},
		events: map[driver.Event]int{}, hosts: map[unsafe.Pointer][]byte{},
	}
	for name, f := range map[string][]any{
		"emulate_find": {&g.find}, "emulate_launch": {&g.run}, "emulate_alloc": {&g.alloc}, "emulate_free": {&g.free},
		"emulate_copy": {&g.copy, &g.copyTo, &g.copyFrom},
	} {
		for _, p := range f {
			purego.RegisterLibFunc(p, library, name)
		}
	}
	return g
}

// API returns the table of the emulated driver.
func (g *GPU) API() *driver.API {
	ok := func() driver.Result { return driver.Success }
	return &driver.API{
		Init:       func(uint32) driver.Result { return ok() },
		GetVersion: func(v *int32) driver.Result { *v = 12000; return ok() },
		ErrorName:  func(r driver.Result, text **byte) driver.Result { return cString(fmt.Sprintf("ERROR_%d", r), text) },
		ErrorString: func(r driver.Result, text **byte) driver.Result {
			return cString("as the emulator was told to say", text)
		},
		DeviceCount: func(n *int32) driver.Result { *n = 1; return ok() },
		DeviceGet:   func(d *driver.Device, _ int32) driver.Result { *d = 0; return ok() },
		DeviceName: func(p *byte, n int32, _ driver.Device) driver.Result {
			copy(unsafe.Slice(p, n), "emulated\x00")
			return ok()
		},
		DeviceMemory:   func(n *uint64, _ driver.Device) driver.Result { *n = g.Memory; return ok() },
		ContextRetain:  func(c *driver.Context, _ driver.Device) driver.Result { *c = 1; return ok() },
		ContextRelease: func(driver.Device) driver.Result { return ok() },
		ContextSet:     func(driver.Context) driver.Result { return ok() },
		DeviceAttribute: func(v *int32, a int32, _ driver.Device) driver.Result {
			*v = 0
			if a == driver.CapabilityMajor {
				*v = g.Major
			}
			return ok()
		},
		MemInfo:  func(free, total *uint64) driver.Result { *free, *total = g.Memory-g.used, g.Memory; return ok() },
		MemAlloc: g.memAlloc,
		MemFree:  g.memFree,
		MemSet:   g.memSet,
		CopyTo: func(to driver.Pointer, from unsafe.Pointer, n uint64, s driver.Stream) driver.Result {
			if s != copying {
				g.copyTo(uintptr(to), from, n)
			} else {
				g.waiting = append(g.waiting, func() { g.copyTo(uintptr(to), from, n) })
			}
			return g.Lost
		},
		HostAlloc: func(p *unsafe.Pointer, n uint64, _ uint32) driver.Result {
			bytes := make([]byte, n)
			*p = unsafe.Pointer(unsafe.SliceData(bytes))
			g.hosts[*p] = bytes
			return ok()
		},
		HostFree: func(p unsafe.Pointer) driver.Result { delete(g.hosts, p); return ok() },
		EventCreate: func(e *driver.Event, _ uint32) driver.Result {
			g.next++
			*e = driver.Event(g.next)
			return ok()
		},
		EventDestroy: func(e driver.Event) driver.Result { delete(g.events, e); return ok() },
		EventRecord: func(e driver.Event, s driver.Stream) driver.Result {
			g.events[e] = 0
			if s == copying {
				g.events[e] = g.made + len(g.waiting)
			}
			return ok()
		},
		EventWait: func(e driver.Event) driver.Result { g.copyUntil(g.events[e]); return g.Lost },
		StreamAfter: func(s driver.Stream, e driver.Event, _ uint32) driver.Result {
			if s == 1 {
				g.copyUntil(g.events[e])
			}
			return ok()
		},
		CopyFrom: func(to unsafe.Pointer, from driver.Pointer, n uint64, _ driver.Stream) driver.Result {
			if g.Lost == driver.Success {
				g.copyFrom(to, uintptr(from), n)
			}
			return g.Lost
		},
		StreamCreate:  func(s *driver.Stream, _ uint32) driver.Result { g.streams++; *s = g.streams; return ok() },
		StreamDestroy: func(driver.Stream) driver.Result { return ok() },
		StreamWait: func(s driver.Stream) driver.Result {
			if s == copying {
				g.copyUntil(g.made + len(g.waiting))
			}
			return g.Lost
		},
		ModuleLoad:   g.moduleLoad,
		ModuleUnload: func(driver.Module) driver.Result { return ok() },
		ModuleFunction: func(f *driver.Function, _ driver.Module, name string) driver.Result {
			address := g.find(name + "\x00")
			if address == 0 || g.signatures[name] == nil {
				return driver.NotFound
			}
			*f = driver.Function(address)
			g.functions[*f], g.addresses[*f] = name, address
			return ok()
		},
		FunctionSet:  func(driver.Function, int32, int32) driver.Result { return ok() },
		Launch:       g.launch,
		CaptureBegin: func(driver.Stream, int32) driver.Result { g.capturing, g.captured = true, nil; return ok() },
		CaptureEnd: func(_ driver.Stream, out *driver.Graph) driver.Result {
			g.next++
			g.capturing, g.graphs[g.next] = false, g.captured
			*out = driver.Graph(g.next)
			return ok()
		},
		GraphInstantiate: func(e *driver.Exec, graph driver.Graph, _ uint64) driver.Result {
			*e = driver.Exec(graph)
			return ok()
		},
		GraphDestroy: func(driver.Graph) driver.Result { return ok() },
		ExecDestroy:  func(e driver.Exec) driver.Result { delete(g.graphs, uintptr(e)); return ok() },
		GraphLaunch: func(e driver.Exec, _ driver.Stream) driver.Result {
			g.Graphs++
			for _, c := range g.graphs[uintptr(e)] {
				g.perform(c)
			}
			return ok()
		},
	}
}

// copyUntil makes delayed copies until n have been made.
func (g *GPU) copyUntil(n int) {
	for ; g.made < n; g.made++ {
		g.waiting[0]()
		g.waiting = g.waiting[1:]
	}
}

func cString(s string, out **byte) driver.Result {
	*out = unsafe.StringData(s + "\x00")
	return driver.Success
}

func (g *GPU) memAlloc(p *driver.Pointer, n uint64) driver.Result {
	if g.used+n > g.Memory {
		return driver.OutOfMemory
	}
	*p = driver.Pointer(g.alloc(n))
	g.sizes[*p] = n
	g.used += n
	return driver.Success
}

func (g *GPU) memFree(p driver.Pointer) driver.Result {
	g.used -= g.sizes[p]
	delete(g.sizes, p)
	g.free(uintptr(p))
	return driver.Success
}

// memSet supports only zeros.
func (g *GPU) memSet(p driver.Pointer, word uint32, n uint64, _ driver.Stream) driver.Result {
	zeros := make([]uint32, n)
	for i := range zeros {
		zeros[i] = word
	}
	if n > 0 {
		g.copyTo(uintptr(p), unsafe.Pointer(&zeros[0]), 4*n)
	}
	return driver.Success
}

// moduleLoad reads the parameters of the kernels from the PTX, as the driver does.
func (g *GPU) moduleLoad(m *driver.Module, image unsafe.Pointer, _ uint32, _ *int32, _ *unsafe.Pointer) driver.Result {
	n := 0
	for *(*byte)(unsafe.Add(image, n)) != 0 {
		n++
	}
	g.signatures = driver.Signatures(string(unsafe.Slice((*byte)(image), n)))
	*m = 1
	return driver.Success
}

func (g *GPU) launch(f driver.Function, gx, gy, gz, bx, by, bz, shared uint32, _ driver.Stream, params, _ *unsafe.Pointer) driver.Result {
	sizes := g.signatures[g.functions[f]]
	c := call{f: f, gx: gx, gy: gy, gz: gz, threads: bx * by * bz, shared: shared}
	for i, p := range unsafe.Slice(params, len(sizes)) { // arguments are copied at the launch, as by the driver
		bytes := make([]uint64, (sizes[i]+7)/8)
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&bytes[0])), sizes[i]), unsafe.Slice((*byte)(p), sizes[i]))
		c.params = append(c.params, unsafe.Pointer(&bytes[0]))
	}
	if g.capturing {
		g.captured = append(g.captured, c)
	} else {
		g.Alone++
		g.perform(c)
	}
	return driver.Success
}

func (g *GPU) perform(c call) {
	g.Launches++
	reverse := int32(0)
	if g.Backward {
		reverse = 1
	}
	g.run(g.addresses[c.f], c.gx, c.gy, c.gz, c.threads, c.shared, &c.params[0], reverse)
}
