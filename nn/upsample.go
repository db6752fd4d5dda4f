package nn

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Upsample enlarges images by a factor or to a size: [N,C,H',W'] -> [N,C,H,W]. Pixels are those
// of the nearest input pixel or, with Bilinear, interpolated between the neighbours; graph.Upsample
// says where these lie.
// https://pytorch.org/docs/stable/generated/torch.nn.Upsample.html
type Upsample struct {
	Scale        float64 // the factor; the new size is rounded down, as in PyTorch
	H, W         int     // or the new size
	Bilinear     bool
	AlignCorners bool // the corner pixels of both images coincide; for Bilinear
}

func (m Upsample) Forward(x *graph.Node) *graph.Node {
	if (m.Scale > 0) == (m.H > 0 || m.W > 0) || m.Scale < 0 || (m.H > 0) != (m.W > 0) {
		panic(tensor.Misusef("nn: %v: needs either Scale or both H and W, above 0", m))
	}
	if len(x.Shape) != 4 {
		misfit(m, nil, x, "needs [N, C, H, W]")
	}
	op := graph.Upsample{H: m.H, W: m.W, Bilinear: m.Bilinear, AlignCorners: m.AlignCorners, ScaleH: m.Scale, ScaleW: m.Scale}
	if m.Scale > 0 {
		op.H, op.W = int(math.Floor(float64(x.Shape[2])*m.Scale)), int(math.Floor(float64(x.Shape[3])*m.Scale))
	}
	return apply(m, op, x)
}

func (m Upsample) String() string {
	to := fmt.Sprintf("size=(%d, %d)", m.H, m.W)
	if m.Scale > 0 {
		to = fmt.Sprintf("scale_factor=%g", m.Scale)
	}
	if !m.Bilinear {
		return fmt.Sprintf("Upsample(%s, mode='nearest')", to)
	}
	return fmt.Sprintf("Upsample(%s, mode='bilinear', align_corners=%v)", to, map[bool]string{true: "True", false: "False"}[m.AlignCorners])
}
