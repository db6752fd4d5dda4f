//go:build !cuda

package cuda

import (
	"errors"

	"github.com/residual-ml/residual/engine"
)

// Built says whether the program has GPU support.
const Built = false

// errNotBuilt is the answer of a program without the device.
var errNotBuilt = errors.New("this build has no GPU support; build with -tags cuda for NVIDIA GPUs")

// Find says that this program has no GPU support.
func Find() Found { return Found{Why: errNotBuilt.Error()} }

// Open opens GPU index, counted from 0: in this program always an error.
func Open(index int) (engine.Device, error) { return nil, errNotBuilt }
