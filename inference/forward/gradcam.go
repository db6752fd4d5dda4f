package forward

import (
	"fmt"

	"github.com/residual-ml/residual/engine"
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

// camProgram is a program of Grad-CAM, compiled for one batch shape.
type camProgram struct {
	*engine.Program
	images, chosen         *graph.Node // chosen [N, classes] is 1 for the explained class of each image
	logits, maps, gradient *graph.Node
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
	p, err := r.camProgram(images.Shape())
	if err != nil {
		return nil, err
	}
	n, k := p.logits.Shape[0], p.logits.Shape[1]
	if len(classes) != n {
		panic(tensor.Misusef("forward: GradCAM: %d classes for images of %v", len(classes), images.Shape()))
	}
	out, chosen := make([]CAM, n), tensor.New(n, k)
	var likeliest *tensor.Tensor
	for i, class := range classes {
		if class >= k {
			return nil, fmt.Errorf("there is no class %d, only 0 to %d", class, k-1)
		}
		if class < 0 {
			if likeliest == nil {
				if likeliest, err = r.Logits(images); err != nil {
					return nil, err
				}
			}
			class = argmax(likeliest.Data()[i*k : (i+1)*k])
		}
		out[i].Class = class
		chosen.Data()[i*k+class] = 1
	}
	for node, value := range map[*graph.Node]*tensor.Tensor{p.images: images, p.chosen: chosen} {
		if err := p.Feed(node, value); err != nil {
			return nil, err
		}
	}
	if err := p.Run(0); err != nil {
		return nil, err
	}
	read := func(node *graph.Node) []float32 {
		t := tensor.New(node.Shape...)
		p.Read(node, t)
		return t.Data()
	}
	logits, maps, gradient := read(p.logits), read(p.maps), read(p.gradient)
	if err := p.Device().Err(); err != nil {
		return nil, err
	}
	size := p.maps.Shape[1:].Numel()
	for i := range out {
		c := &out[i]
		c.Logit = float64(logits[i*k+c.Class])
		c.Height, c.Width = p.maps.Shape[2], p.maps.Shape[3]
		c.Values = weigh(maps[i*size:(i+1)*size], gradient[i*size:(i+1)*size], c.Height*c.Width)
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

func (r *Runner) camProgram(shape tensor.Shape) (*camProgram, error) {
	if r.cam != nil && r.cam.images.Shape.Equal(shape) {
		return r.cam, nil
	}
	if len(shape) != 4 || shape.Numel() == 0 {
		return nil, fmt.Errorf("a batch of images has the shape [N, C, H, W], got %v", shape)
	}
	g := graph.New(graph.Eval)
	p := &camProgram{images: g.Input("images", tensor.Float32, shape...)}
	var err error
	if p.logits, err = r.trace(p.images); err != nil {
		return nil, err
	}
	if p.maps = lastMaps(p.logits); p.maps == nil {
		return nil, fmt.Errorf("%s makes no feature maps of images of %dx%d that could be shown", nn.Class(r.module), shape[2], shape[3])
	}
	p.chosen = g.Input("classes", tensor.Float32, p.logits.Shape...)
	// In evaluation no image influences the logits of another, so the gradient of the
	// sum contains the gradient of each image's logit.
	y := g.Apply(graph.Sum{}, p.logits.Mul(p.chosen))
	p.gradient = graph.Gradients(y, []*graph.Node{p.maps})[0]
	p.Program, err = engine.Compile(g, r.store, engine.Spec{Outputs: []*graph.Node{p.logits, p.maps, p.gradient}})
	if err != nil {
		return nil, err
	}
	r.cam = p
	return p, nil
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
