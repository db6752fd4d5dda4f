package train

import (
	"context"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/promptly"
	"github.com/residual-ml/residual/tensor"
)

// The words of Preparation.Cache beside the path of a folder.
const (
	CacheAuto = "auto"
	CacheOff  = "off"
)

// A cache of decoded images is begun when decoding them once takes worthSeconds of a core,
// and worthShare of what training on them takes a core that computes coreRate multiply-adds
// a second. That is a fast core without bf16; a faster one would gain from a pack sooner.
// It never changes a result.
const (
	worthSeconds = 10
	worthShare   = 0.03
	coreRate     = 50e9
	readRate     = 1e9 // bytes a second of a pack, checked and copied
)

// photoOptions say what is made of a user's own images.
func (p plan) photoOptions() folder.Options {
	return folder.Options{
		Channels: p.Channels, Size: p.Resize, ResizeSize: p.ResizeShorter, Interpolation: p.interpolation(),
		// Twice the size leaves enough for the smallest crops: ImageNet's images have that
		// much for torchvision's.
		Shrink: 2 * p.Resize, MaxPixels: p.MostPixels,
	}
}

// openPack opens the decoded images of an index; nil when Cache turns them off. Where
// the place was not named by the user it may also be one that cannot be read.
func (p plan) openPack(ctx context.Context, f *Photos) error {
	if p.Cache == CacheOff {
		return nil
	}
	// A rehearsal writes nothing, and what a budget chooses is not known when images are checked.
	reads := p.rehearsal || p.Forecast != nil && p.Forecast.Budget > 0
	c := folder.CacheConfig{MaxBytes: int64(p.CacheSize * 1e9), Worth: p.worth, ReadOnly: reads}
	if p.Cache != CacheAuto {
		c.Dir, c.Worth = p.Cache, nil
	}
	pack, err := promptly.Result(ctx, func() (*folder.ImageCache, error) { return f.Index.OpenCache(p.photoOptions(), c) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && p.Cache == CacheAuto {
		f.PackError = err
		return nil
	}
	f.Pack = pack
	return err
}

// completes says whether a run that goes on reads images to complete the pack.
func (p plan) completes(f *Photos) bool {
	return f.Pack != nil && !p.rehearsal && (p.Cache != CacheAuto || f.Pack.State().Images > 0) && !f.Pack.Has(f.Index)
}

// worth says whether a pack makes trainings faster.
func (p plan) worth(t folder.CacheTrial) bool {
	each := t.Took.Seconds() / float64(t.Tried)
	if each*float64(t.Images) < worthSeconds {
		return false
	}
	read := float64(t.Bytes) / float64(t.Tried) / readRate
	return each-read >= worthShare*p.pictureSeconds()
}

// pictureSeconds is about what a step takes a core for each of its images: the forward
// pass and the two gradients have as many multiply-adds each.
func (p plan) pictureSeconds() float64 {
	m := p.model()
	m.Blank, m.Channels = true, p.Channels
	g := graph.New(graph.Train)
	x := g.Input("images", tensor.Float32, 1, p.Channels, p.Resize, p.Resize)
	if _, err := engine.Trace(p.entry.New(m).Forward, x); err != nil {
		return 0 // the training says what is wrong
	}
	var n int64
	for _, node := range g.Nodes {
		n += graph.MACs(node)
	}
	return 3 * float64(n) / coreRate
}
