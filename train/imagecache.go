package train

import (
	"context"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/promptly"
	"github.com/residual-ml/residual/tensor"
)

// With CacheAuto, decoded images are cached if decoding all of them takes at least
// worthSeconds of a core, and decoding one takes at least worthShare of the time in which a
// core trains on it, at coreRate multiply-adds per second. That is a fast core without bf16;
// a faster one would gain from a smaller cache. The cache never changes a result.
const (
	worthSeconds = 10
	worthShare   = 0.03
	coreRate     = 50e9
	readRate     = 1e9 // bytes per second of a cache that is read, checked and copied
)

// photoOptions returns how a user's own images are read: the one place where the input of the
// model becomes that.
func (p plan) photoOptions() folder.Options {
	in := p.input(data.Info{Channels: p.Channels})
	return folder.Options{
		Channels: in.Channels, Size: in.Height, ResizeSize: in.Preprocess.ResizeShorter, Interpolation: in.Preprocess.Filter(),
		// Twice the size is enough for the smallest crops: images of ImageNet have about
		// that size for torchvision's.
		Shrink: 2 * p.Resize, MaxPixels: p.MaxPixels,
	}
}

// openCache opens the cache of an index's decoded images, or nil if Cache turns it off. With
// CacheAuto a cache that cannot be opened is no failure of the training: unusable says why it
// cannot be used.
func (p plan) openCache(ctx context.Context, x *folder.Index) (cache *folder.ImageCache, unusable, err error) {
	if p.Cache == CacheOff {
		return nil, nil, nil
	}
	// A rehearsal writes nothing, and the size that a budget chooses is not known yet when the
	// images are checked.
	readOnly := p.rehearsal || p.Forecast != nil && p.Forecast.Budget > 0
	c := folder.CacheConfig{MaxBytes: int64(p.CacheSize * 1e9), Worth: p.worthCaching, ReadOnly: readOnly}
	if p.Cache != CacheAuto {
		c.Dir, c.Worth = p.Cache, nil
	}
	cache, err = promptly.Result(ctx, func() (*folder.ImageCache, error) { return x.OpenCache(p.photoOptions(), c) })
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if err != nil && p.Cache == CacheAuto {
		return nil, err, nil
	}
	return cache, nil, err
}

// completes reports whether a resumed run reads images in order to complete the cache.
func (p plan) completes(cache *folder.ImageCache, x *folder.Index) bool {
	return cache != nil && !p.rehearsal && (p.Cache != CacheAuto || cache.State().Images > 0) && !cache.Has(x)
}

// worthCaching reports whether a cache makes trainings faster.
func (p plan) worthCaching(t folder.CacheTrial) bool {
	each := t.Took.Seconds() / float64(t.Tried)
	if each*float64(t.Images) < worthSeconds {
		return false
	}
	read := float64(t.Bytes) / float64(t.Tried) / readRate
	return each-read >= worthShare*p.stepSeconds()
}

// stepSeconds returns about how long a core takes for one image of a training step: the
// forward pass and the two gradients have the same number of multiply-adds each.
func (p plan) stepSeconds() float64 { return 3 * float64(p.multiplyAdds()) / coreRate }

// multiplyAdds returns the multiply-adds of the forward pass for one image; 0 if the model cannot be
// built, which building the training reports.
func (p plan) multiplyAdds() (n int64) {
	m, err := p.newModule(data.Info{Channels: p.Channels}, true)
	if err != nil {
		return 0
	}
	g := graph.New(graph.Train)
	x := g.Input("images", tensor.Float32, 1, p.Channels, p.Resize, p.Resize)
	if _, err := engine.Trace(m.Forward, x); err != nil {
		return 0
	}
	for _, node := range g.Nodes {
		n += graph.MACs(node)
	}
	return n
}
