//go:build !cuda

package cuda

import (
	"errors"

	"github.com/residual-ml/residual/engine"
)

// Built says whether the program has GPU support.
const Built = false

// errNotBuilt is the error of Open in a program without the device.
var errNotBuilt = errors.New("this build has no GPU support; build with -tags cuda for NVIDIA GPUs")

// Find reports that this program has no GPU support.
func Find() Found { return Found{Why: errNotBuilt.Error()} }

// Open would open GPU index, counted from 0. In this program it always returns an error.
func Open(index int) (engine.Device, error) { return nil, errNotBuilt }
