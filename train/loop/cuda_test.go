//go:build cuda && !windows

package loop_test

import (
	"testing"

	"github.com/residual-ml/residual/engine/cuda"
	"github.com/residual-ml/residual/engine/cuda/emulate"
)

// emulated opens a CUDA device on an emulated GPU, or on the one that emulate.Real names, or
// skips the test.
func emulated(t *testing.T) (*cuda.Device, *emulate.GPU) {
	t.Helper()
	return emulate.Open(t, cuda.New)
}
