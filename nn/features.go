package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
)

// Features is the part of a network up to a cut: see Cut and CutHead. The modules after the cut
// are not computed, and their parameters are not among those of Features. All other parameters
// keep their names.
type Features struct {
	Net Module `nn:""` // the complete network, with which Features shares its parameters

	path   string
	input  bool                     // the output is the input of the module at path
	calls  map[graph.Mode]callAt    // where Forward stops
	hidden map[*graph.Variable]bool // the parameters after the cut
}

// callAt identifies a call among those of a Forward.
type callAt struct {
	index, first int // the number of the call, and that of the first call within it
	identity     any
	batch        bool // the output has as many rows as the input
}

// Path returns the path of the module at the cut.
func (f *Features) Path() string { return f.path }

func (f *Features) String() string {
	if f.input {
		return fmt.Sprintf("Features(%s, before %s)", Class(f.Net), f.path)
	}
	return fmt.Sprintf("Features(%s, to %s)", Class(f.Net), f.path)
}

// reachedCut is the value of the panic that ends a Forward at the cut of these features.
type reachedCut struct{ *Features }
