package loop

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/task"
)

// Shown is an image of a batch as the network gets it, with what it is to answer.
type Shown struct {
	Image  transforms.Image // with the normalisation undone
	Answer string           // the class, the shares of the classes of a mixed image, the labels or the values
}

// FirstBatch returns the first batch of the training's first epoch as the network gets it: with
// the images that are drawn, augmented and mixed. It changes nothing about the training.
func (t *Trainer) FirstBatch(ctx context.Context) ([]Shown, error) {
	l, err := t.load(t.stages.all[t.stageOf(1)])
	if err != nil {
		return nil, err
	}
	e := l.Epoch(ctx, 1)
	defer e.Close()
	b, err := e.Next()
	if err != nil {
		return nil, err
	}
	defer b.Release()
	x, info := b.Decoded(), l.Info()
	s := x.Shape()
	area := s[2] * s[3]
	all := make([]Shown, len(b.Indices))
	for i := range all {
		m := transforms.NewImage(s[1], s[2], s[3])
		for c := range s[1] {
			std, mean := 1.0, 0.0
			if n := t.options.Normalize; len(n.Mean) > 0 {
				std, mean = n.Std[c], n.Mean[c]
			}
			for k, v := range x.Data()[(i*s[1]+c)*area:][:area] {
				m.Pix[c*area+k] = uint8(math.Round(min(max(255*(float64(v)*std+mean), 0), 255)))
			}
		}
		all[i] = Shown{m, t.answer(b, i, info)}
	}
	return all, nil
}

// answer is what the network is to answer for image i of a batch, in words.
func (t *Trainer) answer(b *data.Batch, i int, info data.Info) string {
	of := t.targets()
	if b.Targets == nil {
		if label := int(b.Labels.Ints()[i]); label < len(info.Classes) {
			return info.Classes[label]
		}
		return ""
	}
	each := b.Targets.Numel() / len(b.Indices)
	row := b.Targets.Data()[i*each:][:each]
	var parts []string
	for j, v := range row {
		switch of.Task.Named() {
		case task.Classes:
			if share := math.Round(100 * float64(v)); share > 0 && j < len(info.Classes) {
				parts = append(parts, fmt.Sprintf("%s %v%%", info.Classes[j], share))
			}
		case task.Labels:
			if v > 0.5 && j < len(of.Names) {
				parts = append(parts, of.Names[j])
			}
		case task.Values:
			parts = append(parts, fmt.Sprintf("%.4g", of.Unit(j, v)))
		}
	}
	return strings.Join(parts, ", ")
}
