//go:build cuda

package cuda

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/residual-ml/residual/engine/cuda/driver"
)

// fake is a driver that computes nothing and records its calls.
type fake struct {
	version  int32
	gpus     int32
	major    int32
	memory   uint64
	init     driver.Result
	lost     driver.Result // what waiting answers
	used     uint64
	next     driver.Pointer
	sizes    map[driver.Pointer]uint64
	names    map[string]bool // of kernels asked for
	launched int
	graphs   int      // made and not destroyed
	image    string   // the kernels
	hosts    int      // pinned memories, not given back
	events   int      // likewise
	calls    []string // of what orders streams
	streams  driver.Stream
	made     driver.Event
}

func newFake() *fake {
	return &fake{version: 12040, gpus: 2, major: 8, memory: 1 << 40, next: 1 << 20, sizes: map[driver.Pointer]uint64{}, names: map[string]bool{}}
}

func words(s string, out **byte) driver.Result {
	*out = unsafe.StringData(s + "\x00")
	return driver.Success
}

func (f *fake) api() *driver.API {
	ok := driver.Success
	return &driver.API{
		Init:            func(uint32) driver.Result { return f.init },
		GetVersion:      func(v *int32) driver.Result { *v = f.version; return ok },
		ErrorName:       func(r driver.Result, text **byte) driver.Result { return words(fmt.Sprintf("CUDA_ERROR_%d", r), text) },
		ErrorString:     func(r driver.Result, text **byte) driver.Result { return words("the text of it", text) },
		DeviceCount:     func(n *int32) driver.Result { *n = f.gpus; return ok },
		DeviceGet:       func(d *driver.Device, i int32) driver.Result { *d = driver.Device(i); return ok },
		DeviceName:      func(p *byte, n int32, _ driver.Device) driver.Result { copy(unsafe.Slice(p, n), "Fake\x00"); return ok },
		DeviceMemory:    func(n *uint64, _ driver.Device) driver.Result { *n = f.memory; return ok },
		DeviceAttribute: func(v *int32, a int32, _ driver.Device) driver.Result { *v = f.attribute(a); return ok },
		ContextRetain:   func(c *driver.Context, _ driver.Device) driver.Result { *c = 1; return ok },
		ContextRelease:  func(driver.Device) driver.Result { return ok },
		ContextSet:      func(driver.Context) driver.Result { return ok },
		MemInfo:         func(free, total *uint64) driver.Result { *free, *total = f.memory-f.used, f.memory; return ok },
		MemAlloc:        f.alloc,
		MemFree:         func(p driver.Pointer) driver.Result { f.used -= f.sizes[p]; delete(f.sizes, p); return ok },
		MemSet:          func(driver.Pointer, uint32, uint64, driver.Stream) driver.Result { return ok },
		CopyTo: func(_ driver.Pointer, _ unsafe.Pointer, _ uint64, s driver.Stream) driver.Result {
			f.note("copy", 0, s)
			return f.lost
		},
		CopyFrom:      func(unsafe.Pointer, driver.Pointer, uint64, driver.Stream) driver.Result { return f.lost },
		StreamCreate:  func(s *driver.Stream, _ uint32) driver.Result { f.streams++; *s = f.streams; return ok },
		StreamDestroy: func(driver.Stream) driver.Result { return ok },
		StreamWait:    func(driver.Stream) driver.Result { return f.lost },
		ModuleLoad: func(m *driver.Module, image unsafe.Pointer, _ uint32, _ *int32, _ *unsafe.Pointer) driver.Result {
			*m, f.image = 1, string(unsafe.Slice((*byte)(image), 200))
			return ok
		},
		ModuleUnload: func(driver.Module) driver.Result { return ok },
		ModuleFunction: func(fn *driver.Function, _ driver.Module, name string) driver.Result {
			*fn, f.names[name] = 1, true
			return ok
		},
		FunctionSet: func(driver.Function, int32, int32) driver.Result { return ok },
		Launch: func(_ driver.Function, _, _, _, _, _, _, _ uint32, s driver.Stream, _, _ *unsafe.Pointer) driver.Result {
			f.launched++
			f.note("launch", 0, s)
			return ok
		},
		HostAlloc: func(p *unsafe.Pointer, n uint64, _ uint32) driver.Result {
			*p = unsafe.Pointer(unsafe.SliceData(make([]byte, n)))
			f.hosts++
			return ok
		},
		HostFree: func(unsafe.Pointer) driver.Result { f.hosts--; return ok },
		EventCreate: func(e *driver.Event, _ uint32) driver.Result {
			f.events++
			f.made++
			*e = f.made
			return ok
		},
		EventDestroy:     func(driver.Event) driver.Result { f.events--; return ok },
		EventRecord:      func(e driver.Event, s driver.Stream) driver.Result { f.note("record", e, s); return ok },
		EventWait:        func(e driver.Event) driver.Result { f.note("wait", e, 0); return f.lost },
		StreamAfter:      func(s driver.Stream, e driver.Event, _ uint32) driver.Result { f.note("after", e, s); return ok },
		CaptureBegin:     func(driver.Stream, int32) driver.Result { return ok },
		CaptureEnd:       func(_ driver.Stream, g *driver.Graph) driver.Result { f.graphs++; *g = 1; return ok },
		GraphInstantiate: func(e *driver.Exec, _ driver.Graph, _ uint64) driver.Result { *e = 1; return ok },
		GraphLaunch:      func(driver.Exec, driver.Stream) driver.Result { return ok },
		GraphDestroy:     func(driver.Graph) driver.Result { return ok },
		ExecDestroy:      func(driver.Exec) driver.Result { f.graphs--; return ok },
	}
}

// note records a call that orders streams, such as "record 3 in 2".
func (f *fake) note(what string, e driver.Event, s driver.Stream) {
	f.calls = append(f.calls, fmt.Sprintf("%s %d in %d", what, e, s))
}

func (f *fake) attribute(a int32) int32 {
	if a == driver.CapabilityMajor {
		return f.major
	}
	return 0
}

func (f *fake) alloc(p *driver.Pointer, n uint64) driver.Result {
	if f.used+n > f.memory {
		return driver.OutOfMemory
	}
	*p, f.next, f.used, f.sizes[f.next] = f.next, f.next+driver.Pointer(n), f.used+n, n
	return driver.Success
}

// open opens GPU 0 of the fake.
func (f *fake) open(t *testing.T) *Device {
	t.Helper()
	d, err := New(f.api(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	f.made = 0 // counted from here on
	return d
}

// The error of Open says in one line what is missing.
func TestOpenErrors(t *testing.T) {
	for _, c := range []struct {
		change func(*fake)
		index  int
		want   string
	}{
		{func(f *fake) { f.version = 11080 }, 0, "too old: it speaks CUDA 11.8, and 12.0 is needed; install driver 525.60"},
		{func(f *fake) { f.init = driver.NoDevice }, 0, "finds no GPU"},
		{func(f *fake) { f.gpus = 0 }, 0, "finds no GPU"},
		{func(f *fake) { f.init = 999 }, 0, "does not start: cuInit: CUDA_ERROR_999 (999): the text of it"},
		{func(f *fake) { f.major = 7 }, 0, "cuda:0 (Fake) has compute capability 7.0, and 8.0 (Ampere) is the least"},
		{func(f *fake) {}, 2, "no GPU 2: this machine has cuda:0 to cuda:1"},
		{func(f *fake) { f.gpus = 1 }, 4000, "no GPU 4000: this machine has one, cuda:0"},
	} {
		f := newFake()
		c.change(f)
		d, err := New(f.api(), c.index)
		if d != nil || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want an error with %q", err, c.want)
		}
	}
}

func TestList(t *testing.T) {
	f := newFake()
	version, gpus, err := list(f.api())
	if err != nil || version != "12.4" || len(gpus) != 2 || gpus[1] != "Fake, 1024 GiB, compute capability 8.0" {
		t.Errorf("%q %q %v", version, gpus, err)
	}
	f.major = 7
	if _, gpus, _ := list(f.api()); !strings.Contains(gpus[0], "8.0 (Ampere) is the least") {
		t.Errorf("%q", gpus)
	}
}

func TestKernelsForTheGPU(t *testing.T) {
	for major, want := range map[int32]string{8: ".target sm_80", 9: ".target sm_90", 12: ".target sm_90"} {
		f := newFake()
		f.major = major
		f.open(t)
		if !strings.Contains(f.image, want) {
			t.Errorf("compute capability %d.0 was given %q, want %s", major, f.image, want)
		}
	}
}
