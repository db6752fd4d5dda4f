// Package cuda is the NVIDIA device. It is in programs that are built with -tags cuda;
// in others there is only what says so, so that they stay static and depend on nothing
// more.
//
// The driver, libcuda.so.1 or nvcuda.dll, is opened when the device is: no toolkit and no
// C compiler are needed, neither to build nor to run. The kernels are embedded as PTX,
// which the driver compiles for the GPU at hand and keeps.
package cuda

import "fmt"

// Found is what a machine has for this device.
type Found struct {
	Driver string   // the CUDA version that the driver speaks, such as "12.4"; "" without one
	GPUs   []string // what can be opened, in the order of cuda:0, cuda:1 and so on
	Why    string   // why there is none to open; "" where there is
}

// String says all of it in one line.
func (f Found) String() string {
	if f.Why != "" {
		return f.Why
	}
	text := fmt.Sprintf("CUDA %s driver", f.Driver)
	for i, g := range f.GPUs {
		text += fmt.Sprintf("; cuda:%d: %s", i, g)
	}
	return text
}
