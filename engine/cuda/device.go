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

// oldest is the first version of CUDA whose drivers understand the embedded kernels.
const oldest = 12000

// capability is the least compute capability, times ten: Ampere.
const capability = 80

// Device is one GPU. Its methods may be called by any goroutine, one at a time.
type Device struct {
	api        *driver.API
	index      int
	model      string // such as "NVIDIA A100-SXM4-40GB"
	capability int    // compute capability times ten
	memory     uint64 // bytes

	multiprocessors int
	measures        bool           // it is a real one: shapes of blocks are chosen by trying them
	fastest         map[string]int // the shapes chosen so far
	shape           string         // for tests: the one to take where there is a choice

	mu         sync.Mutex
	err        error
	handle     driver.Device
	context    driver.Context
	stream     driver.Stream
	copies     driver.Stream // beside it: pictures on their way
	side       driver.Stream // beside it: steps that others do not wait for
	forked     driver.Event  // the stream is where the side may begin
	joined     driver.Event  // the side is where the stream may go on
	module     driver.Module
	signatures map[string][]int
	functions  map[string]driver.Function

	held    uint64 // bytes of memory taken
	chunk   *allocation
	used    uint64 // bytes of chunk
	staging *buffer
	host    []float32 // labels on their way
	dead    *graves
}

// Open opens GPU index, counted from 0. The error says in one line what is missing.
func Open(index int) (engine.Device, error) {
	api, err := driver.Open()
	if err != nil {
		return nil, err
	}
	d, err := New(api, index)
	if err != nil {
		return nil, err // not d, which would be no nil interface
	}
	d.measures = d.multiprocessors > 1 // an emulated one has one, and no hurry
	return d, nil
}

// Find looks for GPUs.
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

// list describes the GPUs of a driver, or says why none can be used.
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

// begin starts the driver and returns its version and the number of its GPUs, at least 1.
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

// New opens GPU index of a driver.
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
	d := &Device{api: api, index: index, functions: map[string]driver.Function{}, fastest: map[string]int{}, dead: &graves{}}
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

// look asks the driver about the GPU.
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

// load makes the streams and gives the driver the kernels.
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

// title is how messages call the GPU.
func (d *Device) title() string { return fmt.Sprintf("%s (%s)", d.Name(), d.model) }

// Name returns "cuda:0" and so on.
func (d *Device) Name() string { return fmt.Sprintf("cuda:%d", d.index) }

// Describe returns "NVIDIA A100-SXM4-40GB, 40 GiB" or the like.
func (d *Device) Describe() string {
	return fmt.Sprintf("%s, %s, compute capability %d.%d", d.model, gibibytes(d.memory), d.capability/10, d.capability%10)
}

// gibibytes writes bytes with one digit behind the point.
func gibibytes(n uint64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<30)), ".0") + " GiB"
}

// Preferred is BF16, which the tensor cores of every supported GPU multiply.
func (d *Device) Preferred() engine.Precision { return engine.BF16 }

// Computes allows every precision.
func (d *Device) Computes(engine.Precision) error { return nil }

// KeepsActivations implements engine.Keeper: what is cheap to compute on a CPU, whose time
// goes into products, costs a GPU a tenth of a step.
func (d *Device) KeepsActivations() bool { return true }

// Err returns the first failure; see engine.Device.
func (d *Device) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Close gives the GPU back.
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
	d.dead.close(d.api)
	if d.module != 0 {
		d.api.ModuleUnload(d.module)
	}
	d.api.ContextSet(0)
	d.api.ContextRelease(d.handle)
	d.context = 0
}

// enter makes the device's context that of this thread, and says false where the device
// has failed; leave must follow where it says true.
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

// check notes the first failure, and says whether all is well.
func (d *Device) check(call string, r driver.Result) bool {
	if r != driver.Success && d.err == nil {
		d.err = fmt.Errorf("%s stopped working: %w; what was saved before is whole", d.title(), d.api.Check(call, r))
	}
	return d.err == nil
}

// wait waits for all work.
func (d *Device) wait() bool { return d.check("cuStreamSynchronize", d.api.StreamWait(d.stream)) }
