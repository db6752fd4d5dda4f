//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cuda/driver"
)

// Built says whether the program has GPU support.
const Built = true

// oldest is the first version of CUDA whose drivers can compile the embedded kernels.
const oldest = 12000

// capability is the least supported compute capability, times ten: that of Ampere.
const capability = 80

// Device is one GPU as an engine.Device. Any goroutine may call its methods, but only one
// at a time.
type Device struct {
	api        *driver.API
	index      int
	model      string // such as "NVIDIA A100-SXM4-40GB"
	capability int    // compute capability times ten
	memory     uint64 // bytes

	multiprocessors int
	measures        bool           // choose shapes of blocks by measuring them, on real GPUs
	fastest         map[string]int // the shapes chosen so far
	shape           string         // set by tests: the shape to use where there is a choice

	mu         sync.Mutex
	err        error
	handle     driver.Device
	context    driver.Context
	stream     driver.Stream
	copies     driver.Stream // a second stream: copies of images to the device
	side       driver.Stream // a third stream: asynchronous steps
	forked     driver.Event  // recorded in stream where side may begin
	joined     driver.Event  // recorded in side where stream may continue
	module     driver.Module
	signatures map[string][]int
	functions  map[string]driver.Function

	allocated uint64 // bytes of memory allocated
	chunk     *allocation
	used      uint64 // bytes of chunk
	staging   *buffer
	host      []float32 // buffer for labels on their way to the device
	garbage   *garbage
}

// Open opens GPU index, counted from 0. The error says in one line what is missing: the
// driver, the GPU, or a newer version of either.
func Open(index int) (engine.Device, error) {
	api, err := driver.Open()
	if err != nil {
		return nil, err
	}
	d, err := New(api, index)
	if err != nil {
		return nil, err // not d: a nil *Device in an interface is not nil
	}
	d.measures = d.multiprocessors > 1 // an emulated GPU has one, and its speed does not matter
	return d, nil
}

// Find looks for the driver and for GPUs. It opens none.
func Find() Found {
	var f Found
	api, err := driver.Open()
	if err == nil {
		f.Driver, f.GPUs, err = list(api)
	}
	if err != nil {
		f.Why = err.Error()
	}
	return f
}

// list describes the GPUs of a driver, or returns an error if none can be used.
func list(api *driver.API) (version string, gpus []string, err error) {
	version, n, err := begin(api)
	if err != nil {
		return version, nil, err
	}
	for i := range n {
		d := &Device{api: api, index: i}
		if err := d.look(); err != nil {
			return version, nil, err
		}
		text := d.Describe()
		if err := d.supported(); err != nil {
			text = err.Error()
		}
		gpus = append(gpus, text)
	}
	return version, gpus, nil
}

// begin initialises the driver and returns its version and the number of its GPUs, which
// is at least 1.
func begin(api *driver.API) (version string, gpus int, err error) {
	var number, n int32
	if err := api.Check("cuDriverGetVersion", api.GetVersion(&number)); err != nil {
		return "", 0, err
	}
	version = driver.Version(number)
	if number < oldest {
		return version, 0, fmt.Errorf("the NVIDIA driver is too old: it speaks CUDA %s, and %s is needed; install driver 525.60 or a later one", version, driver.Version(oldest))
	}
	r := api.Init(0)
	if r == driver.Success {
		r = api.DeviceCount(&n)
	}
	if r == driver.NoDevice || r == driver.Success && n == 0 {
		return version, 0, errors.New("the NVIDIA driver finds no GPU; CUDA_VISIBLE_DEVICES may hide it")
	}
	if err := api.Check("cuInit", r); err != nil {
		return version, 0, fmt.Errorf("the NVIDIA driver does not start: %w", err)
	}
	return version, int(n), nil
}

// New opens GPU index of a driver. Tests call it with an emulated driver; programs call
// Open.
func New(api *driver.API, index int) (*Device, error) {
	_, n, err := begin(api)
	if err != nil {
		return nil, err
	}
	if index >= n {
		if n == 1 {
			return nil, fmt.Errorf("there is no GPU %d: this machine has one, cuda:0", index)
		}
		return nil, fmt.Errorf("there is no GPU %d: this machine has cuda:0 to cuda:%d", index, n-1)
	}
	d := &Device{api: api, index: index, functions: map[string]driver.Function{}, fastest: map[string]int{}, garbage: &garbage{}}
	if err := d.look(); err != nil {
		return nil, err
	}
	if err := d.supported(); err != nil {
		return nil, err
	}
	if err := api.Check("cuDevicePrimaryCtxRetain", api.ContextRetain(&d.context, d.handle)); err != nil {
		return nil, fmt.Errorf("%s cannot be opened: %w", d.title(), err)
	}
	if d.enter() {
		d.load()
		d.leave()
	}
	if d.err != nil {
		d.Close()
		return nil, d.err
	}
	return d, nil
}

// look reads the properties of the GPU from the driver.
func (d *Device) look() error {
	var name [256]byte
	var major, minor, multiprocessors int32
	for _, c := range []struct {
		call string
		r    driver.Result
	}{
		{"cuDeviceGet", d.api.DeviceGet(&d.handle, int32(d.index))},
		{"cuDeviceGetName", d.api.DeviceName(&name[0], int32(len(name)), d.handle)},
		{"cuDeviceGetAttribute", d.api.DeviceAttribute(&major, driver.CapabilityMajor, d.handle)},
		{"cuDeviceGetAttribute", d.api.DeviceAttribute(&minor, driver.CapabilityMinor, d.handle)},
		{"cuDeviceGetAttribute", d.api.DeviceAttribute(&multiprocessors, driver.Multiprocessors, d.handle)},
		{"cuDeviceTotalMem", d.api.DeviceMemory(&d.memory, d.handle)},
	} {
		if err := d.api.Check(c.call, c.r); err != nil {
			return fmt.Errorf("cuda:%d: %w", d.index, err)
		}
	}
	d.model, d.capability, d.multiprocessors = driver.Text(name[:]), int(10*major+minor), max(1, int(multiprocessors))
	return nil
}

func (d *Device) supported() error {
	if d.capability < capability {
		return fmt.Errorf("%s has compute capability %d.%d, and 8.0 (Ampere) is the least", d.title(), d.capability/10, d.capability%10)
	}
	return nil
}

// load creates the streams and events and loads the kernels.
func (d *Device) load() {
	const ownOrder = 1 // CU_STREAM_NON_BLOCKING
	for _, s := range []*driver.Stream{&d.stream, &d.copies, &d.side} {
		if !d.check("cuStreamCreate", d.api.StreamCreate(s, ownOrder)) {
			return
		}
	}
	for _, e := range []*driver.Event{&d.forked, &d.joined} {
		if !d.check("cuEventCreate", d.api.EventCreate(e, noTiming)) {
			return
		}
	}
	text := kernels(d.capability)
	d.signatures = driver.Signatures(text)
	image := append([]byte(text), 0)
	d.check("cuModuleLoadDataEx", d.api.ModuleLoad(&d.module, unsafe.Pointer(&image[0]), 0, nil, nil))
	runtime.KeepAlive(image)
}

// title is the name of the GPU in messages.
func (d *Device) title() string { return fmt.Sprintf("%s (%s)", d.Name(), d.model) }

// Name returns "cuda:0" and so on.
func (d *Device) Name() string { return fmt.Sprintf("cuda:%d", d.index) }

// Describe returns model, memory and compute capability of the GPU.
func (d *Device) Describe() string {
	return fmt.Sprintf("%s, %s, compute capability %d.%d", d.model, gibibytes(d.memory), d.capability/10, d.capability%10)
}

// gibibytes formats a number of bytes, with one digit after the point.
func gibibytes(n uint64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<30)), ".0") + " GiB"
}

// Preferred returns the constant of that name, whatever the purpose.
func (d *Device) Preferred(engine.Purpose) engine.Precision { return Preferred }

// Computes returns an error for INT8, and nil for every other precision.
func (d *Device) Computes(p engine.Precision) error {
	if p == engine.INT8 {
		return errors.New("GPUs do not compute in int8 here; use bf16, tf32 or fp32, in which a quantised model is computed, too")
	}
	return nil
}

// RetainsActivations implements engine.ActivationRetainer: it returns true, so programs keep
// activations that a CPU would compute again. On a CPU, where products take most of the
// time, computing them again is cheap; on a GPU it costs a tenth of a step.
func (d *Device) RetainsActivations() bool { return true }

// Err returns the first failure, after which the device computes nothing; see
// engine.Device.
func (d *Device) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Close releases the GPU and all memory on it. Closing a device twice is allowed.
func (d *Device) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.context == 0 {
		return
	}
	if d.err == nil {
		d.err = fmt.Errorf("%s is closed", d.Name())
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d.api.ContextSet(d.context)
	for _, s := range []driver.Stream{d.copies, d.side, d.stream} {
		if s != 0 {
			d.api.StreamWait(s)
			d.api.StreamDestroy(s)
		}
	}
	for _, e := range []driver.Event{d.forked, d.joined} {
		if e != 0 {
			d.api.EventDestroy(e)
		}
	}
	d.garbage.close(d.api)
	if d.module != 0 {
		d.api.ModuleUnload(d.module)
	}
	d.api.ContextSet(0)
	d.api.ContextRelease(d.handle)
	d.context = 0
}

// enter makes the device's context current on this thread. It returns false if the device
// has failed; if it returns true, the caller must call leave.
func (d *Device) enter() bool {
	d.mu.Lock()
	if d.err != nil {
		d.mu.Unlock()
		return false
	}
	runtime.LockOSThread()
	if !d.check("cuCtxSetCurrent", d.api.ContextSet(d.context)) {
		d.leave()
		return false
	}
	return true
}

func (d *Device) leave() {
	runtime.UnlockOSThread()
	d.mu.Unlock()
}

// check records the first failure and reports whether there has been none.
func (d *Device) check(call string, r driver.Result) bool {
	if r != driver.Success && d.err == nil {
		d.err = fmt.Errorf("%s stopped working: %w; files that were saved before are complete", d.title(), d.api.Check(call, r))
	}
	return d.err == nil
}

// wait waits for all work in the stream.
func (d *Device) wait() bool { return d.check("cuStreamSynchronize", d.api.StreamWait(d.stream)) }
