//go:build cuda

package cuda

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"unsafe"

	"github.com/residual-ml/residual/engine/cuda/driver"
)

//go:embed kernels/sm_80.ptx.gz
var ampere []byte

//go:embed kernels/sm_90.ptx.gz
var hopper []byte

// kernels returns the PTX text for a compute capability, times ten.
func kernels(capability int) string {
	packed := ampere
	if capability >= 90 {
		packed = hopper
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic("cuda: embedded kernels: " + err.Error())
	}
	text, err := io.ReadAll(r)
	if err != nil {
		panic("cuda: embedded kernels: " + err.Error())
	}
	return string(text)
}

// launch is a kernel with its arguments, which can be launched any number of times.
type launch struct {
	name       string
	f          driver.Function
	gx, gy, gz uint32
	threads    uint32
	shared     uint32           // bytes of dynamic shared memory
	params     []unsafe.Pointer // to the arguments
	keep       []*buffer        // memory that the arguments point to
}

// maxGridDim is the most blocks of a launch along the second and third dimension.
const maxGridDim = 65535

// blockSize is the usual number of threads of a block.
const blockSize = 256

// grid is the number of blocks of a launch in three dimensions, and of threads of a block.
type grid struct{ x, y, z, threads int }

// line returns a grid with one thread for each of n elements.
func line(n int) grid { return grid{(n + blockSize - 1) / blockSize, 1, 1, blockSize} }

// launch prepares a kernel. An argument is a *buffer, which may be nil, an int, uint64,
// float32, float64 or bool, or a structure.
func (d *Device) launch(name string, g grid, args ...any) (*launch, error) {
	f, err := d.function(name)
	if err != nil {
		return nil, err
	}
	if g.y > maxGridDim || g.z > maxGridDim {
		return nil, fmt.Errorf("cuda: %s needs %d by %d by %d blocks, more than a GPU can launch; use a smaller batch", name, g.x, g.y, g.z)
	}
	l := &launch{name: name, f: f, gx: uint32(g.x), gy: uint32(g.y), gz: uint32(g.z), threads: uint32(g.threads)}
	sizes := d.signatures[name]
	if len(args) != len(sizes) {
		panic(fmt.Sprintf("cuda: %s takes %d arguments, not %d", name, len(sizes), len(args)))
	}
	for i, a := range args {
		p, size := l.argument(a)
		if size != sizes[i] {
			panic(fmt.Sprintf("cuda: argument %d of %s has %d bytes, not %d", i, name, sizes[i], size))
		}
		l.params = append(l.params, p)
	}
	return l, nil
}

// share requests dynamic shared memory.
func (l *launch) share(d *Device, bytes int) error {
	l.shared = uint32(bytes)
	return d.api.Check("cuFuncSetAttribute of "+l.name, d.api.FunctionSet(l.f, driver.SharedMemory, int32(bytes)))
}

// argument copies an argument to memory from which the driver reads it.
func (l *launch) argument(a any) (p unsafe.Pointer, size int) {
	switch a := a.(type) {
	case *buffer:
		v := new(driver.Pointer)
		if a != nil {
			*v = a.at
			l.keep = append(l.keep, a)
		}
		return unsafe.Pointer(v), 8
	case int:
		v := new(int32)
		if *v = int32(a); int(*v) != a {
			panic(fmt.Sprintf("cuda: argument %d of %s is too large", a, l.name))
		}
		return unsafe.Pointer(v), 4
	case bool:
		v := new(int32)
		if a {
			*v = 1
		}
		return unsafe.Pointer(v), 4
	case uint64:
		return unsafe.Pointer(&a), 8
	case float32:
		return unsafe.Pointer(&a), 4
	case float64:
		return unsafe.Pointer(&a), 8
	case structure:
		l.keep = append(l.keep, a.memory()...)
		return a.pointer()
	}
	panic(fmt.Sprintf("cuda: %s is given a %T", l.name, a))
}

// structure is a struct that is passed to a kernel by value.
type structure interface {
	pointer() (p unsafe.Pointer, size int)
	memory() []*buffer // the memory that its pointers refer to
}

// function returns a kernel by its name.
func (d *Device) function(name string) (driver.Function, error) {
	if f, ok := d.functions[name]; ok {
		return f, nil
	}
	var f driver.Function
	if err := d.api.Check("cuModuleGetFunction", d.api.ModuleFunction(&f, d.module, name)); err != nil {
		return 0, fmt.Errorf("cuda: kernel %s: %w", name, err)
	}
	d.functions[name] = f
	return f, nil
}

// start launches a kernel in the stream.
func (d *Device) start(l *launch) bool { return d.startIn(d.stream, l) }

func (d *Device) startIn(stream driver.Stream, l *launch) bool {
	if l.gx == 0 {
		return d.err == nil // nothing to do
	}
	return d.err == nil && d.check("cuLaunchKernel of "+l.name,
		d.api.Launch(l.f, l.gx, l.gy, l.gz, l.threads, 1, 1, l.shared, stream, unsafe.SliceData(l.params), nil))
}
