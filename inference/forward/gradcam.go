package forward

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// CAM is a class activation map. It shows which parts of an image raise the logit of a
// class, by Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks
// via Gradient-based Localization", 2017).
type CAM struct {
	Class         int       // the explained class
	Logit         float64   // logit of Class
	Height, Width int       // size of the network's last feature maps
	Values        []float32 // row by row, at least 0, on the scale of the logit
}

// GradCAM explains the logit of one class for each image of a batch [N, C, H, W]. A class
// below 0 stands for the most likely one. A are the last feature maps with a height and a
// width, before global pooling or flattening; in a residual network they are the output of
// the last stage. With y the logit of the class,
//
//	alpha[k] = mean over i, j of dy/dA[k,i,j]    CAM[i,j] = max(0, Σ k  alpha[k]·A[k,i,j])
//
// as in equations 1 and 2 of the paper. It is computed in FP32 regardless of the runner's
// precision. GradCAM returns an error if the network has no such feature maps or no such
// class.
func (r *Runner) GradCAM(images *tensor.Tensor, classes []int) ([]CAM, error) {
	p, err := r.explanation(&r.cam, images.Shape(), func(logits *graph.Node) (*graph.Node, error) {
		if maps := lastMaps(logits); maps != nil {
			return maps, nil
		}
		s := images.Shape()
		return nil, fmt.Errorf("%s makes no feature maps of images of %dx%d that could be shown", nn.Class(r.module), s[2], s[3])
	})
	if err != nil {
		return nil, err
	}
	explained, err := r.explain(p, images, classes)
	if err != nil {
		return nil, err
	}
	maps, gradient := p.values(p.of), p.values(p.gradient)
	if err := p.Device().Err(); err != nil {
		return nil, err
	}
	size := p.of.Shape[1:].Numel()
	out := make([]CAM, len(explained))
	for i, e := range explained {
		h, w := p.of.Shape[2], p.of.Shape[3]
		out[i] = CAM{e.class, e.logit, h, w, weigh(maps[i*size:(i+1)*size], gradient[i*size:(i+1)*size], h*w)}
	}
	return out, nil
}

// weigh computes the class activation map of one image from its feature maps and their
// gradient, both [C, area].
func weigh(maps, gradient []float32, area int) []float32 {
	sums := make([]float64, area)
	for at := 0; at < len(maps); at += area {
		alpha := 0.0
		for _, d := range gradient[at : at+area] {
			alpha += float64(d)
		}
		alpha /= float64(area)
		for j, a := range maps[at : at+area] {
			sums[j] += float64(alpha * float64(a))
		}
	}
	out := make([]float32, area)
	for j, s := range sums {
		out[j] = float32(max(0, s))
	}
	return out
}

// lastMaps returns the last node before logits that has a height and a width. If that node
// is a pooling, lastMaps returns the pooling's input. It returns nil if there is none.
func lastMaps(logits *graph.Node) *graph.Node {
	reached := map[*graph.Node]bool{logits: true}
	for id := logits.ID; id >= 0; id-- {
		n := logits.Graph.Nodes[id]
		if !reached[n] {
			continue
		}
		if s := n.Shape; len(s) == 4 && s[2]*s[3] > 1 {
			return unpooled(n)
		}
		for _, in := range n.Inputs {
			reached[in] = true
		}
	}
	return nil
}

func unpooled(n *graph.Node) *graph.Node {
	for {
		switch n.Op.(type) {
		case graph.MaxPool2d, graph.AvgPool2d, graph.AdaptiveAvgPool2d:
			n = n.Inputs[0]
		case *graph.Input, *graph.Leaf:
			return nil
		default:
			return n
		}
	}
}
