package nn

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
)

// PadChannels appends channels of zeros until there are To: [N,C,H,W] -> [N,To,H,W]. After
// AvgPool2d{Kernel: 1, Stride: 2}, which takes every second pixel, it forms the shortcut
// without parameters of He et al. 2015, section 3.3, option A.
type PadChannels struct{ To int }

func (m PadChannels) Forward(x *graph.Node) *graph.Node { return apply(m, graph.PadChannels(m), x) }

func (m PadChannels) String() string { return fmt.Sprintf("PadChannels(%d)", m.To) }
