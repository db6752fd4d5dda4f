package folder

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	fields "github.com/residual-ml/residual/internal/field"
)

// OpenCache opens the cache of an index for images that are prepared by o, or makes
// ready to begin one.
func (x *Index) OpenCache(o Options, c CacheConfig) (*ImageCache, error) {
	o = o.defaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	if c.Dir == "" {
		dir, err := CacheHome()
		if err != nil {
			return nil, err
		}
		c.Dir = dir
	}
	path := x.Path()
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	sum := sha256.Sum256([]byte(path))
	p := &ImageCache{
		Dir: filepath.Join(c.Dir, x.Name+"-"+hex.EncodeToString(sum[:4]), o.format().cacheFolder()),
		c:   c, format: o.format(), settings: o.format().cacheSettings(), images: map[string]*cachedImage{}, marks: map[string]Mark{}, off: c.ReadOnly,
	}
	if err := p.open(); err != nil {
		return nil, fields.Errorf("cache of decoded images: %w; name another folder with {CacheConfig.Dir}, or keep none", err)
	}
	p.tidy(x)
	return p, nil
}

// Fits says whether the cache has what a Set with these options asks for.
func (p *ImageCache) Fits(o Options) bool {
	if p == nil {
		return true
	}
	o = o.defaults()
	if o.Shrink == 0 { // of a Set to test on
		o.Shrink = p.format.shrink
	}
	return o.format().cacheSettings() == p.settings
}
