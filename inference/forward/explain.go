package forward

import (
	"fmt"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// explanation returns the program in at if it suits the shape, and otherwise compiles another
// one into it. of chooses the node of which the gradient is taken; nil stands for the images.
func (r *Runner) explanation(at **explanation, shape tensor.Shape, of func(logits *graph.Node) (*graph.Node, error)) (*explanation, error) {
	if p := *at; p != nil && p.images.Shape.Equal(shape) {
		return p, nil
	}
	if len(shape) != 4 || shape.Numel() == 0 {
		return nil, fmt.Errorf("a batch of images has the shape [N, C, H, W], got %v", shape)
	}
	g := graph.New(graph.Eval)
	p := &explanation{images: g.Input("images", tensor.Float32, shape...)}
	p.of = p.images
	var err error
	if p.logits, err = r.trace(p.images); err != nil {
		return nil, err
	}
	if of != nil {
		if p.of, err = of(p.logits); err != nil {
			return nil, err
		}
	}
	p.chosen = g.Input("classes", tensor.Float32, p.logits.Shape...)
	// In evaluation no image influences the logits of another, so the gradient of the
	// sum contains the gradient of each image's logit.
	y := g.Apply(graph.Sum{}, p.logits.Mul(p.chosen))
	p.gradient = graph.Gradients(y, []*graph.Node{p.of})[0]
	p.Program, err = engine.Compile(g, r.store, engine.Spec{Outputs: []*graph.Node{p.logits, p.of, p.gradient}})
	if err != nil {
		return nil, err
	}
	*at = p
	return p, nil
}

// explained is a class whose logit is explained.
type explained struct {
	class int
	logit float64
}

// explain runs p on a batch. classes has the class of each image; one below 0 stands for the
// most likely.
func (r *Runner) explain(p *explanation, images *tensor.Tensor, classes []int) ([]explained, error) {
	n, k := p.logits.Shape[0], p.logits.Shape[1]
	if len(classes) != n {
		panic(tensor.Misusef("forward: %d classes for images of %v", len(classes), images.Shape()))
	}
	out, chosen := make([]explained, n), tensor.New(n, k)
	var likeliest *tensor.Tensor
	for i, class := range classes {
		if class >= k {
			return nil, fmt.Errorf("there is no class %d, only 0 to %d", class, k-1)
		}
		if class < 0 {
			if likeliest == nil {
				var err error
				if likeliest, err = r.Logits(images); err != nil {
					return nil, err
				}
			}
			class = argmax(likeliest.Data()[i*k : (i+1)*k])
		}
		out[i].class = class
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
	logits := p.values(p.logits)
	for i := range out {
		out[i].logit = float64(logits[i*k+out[i].class])
	}
	return out, p.Device().Err()
}

// values reads the value of an output.
func (p *explanation) values(n *graph.Node) []float32 {
	t := tensor.New(n.Shape...)
	p.Read(n, t)
	return t.Data()
}
