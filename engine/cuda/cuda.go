// Package cuda computes programs of package engine on NVIDIA GPUs. The device exists only
// in programs built with -tags cuda. In all others Built is false and Open returns an
// error, so that those programs stay static and have no further dependencies.
//
//	dev, err := cuda.Open(0)
//	if err != nil {
//		return err // says what is missing
//	}
//	defer dev.Close()
//
// Find reports the driver and the GPUs of the machine.
//
// Open loads the driver, libcuda.so.1 or nvcuda.dll, at run time. Neither building nor
// running needs the CUDA toolkit or a C compiler. The kernels are embedded as PTX, which
// the driver compiles for the GPU and caches.
package cuda

import (
	"fmt"

	"github.com/residual-ml/residual/engine"
)

// Preferred is the precision that suits every supported GPU best: their tensor cores multiply
// bfloat16.
const Preferred = engine.BF16

// Found is the driver and the GPUs that Find has found on a machine.
type Found struct {
	Driver string   // the CUDA version that the driver speaks, such as "12.4"; "" without one
	GPUs   []string // a description of every GPU, in the order of cuda:0, cuda:1 and so on
	Why    string   // why no GPU can be opened; "" if one can
}

// String returns all of it in one line.
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
