package folder

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	fields "github.com/residual-ml/residual/internal/field"
)

// OpenCache opens the cache of an index for images that are prepared with o. If there is
// none, Index.Check begins one. The caller must call Close after the last use.
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
	ic := &ImageCache{
		Dir: filepath.Join(c.Dir, x.Name+"-"+hex.EncodeToString(sum[:4]), o.format().cacheFolder()),
		c:   c, format: o.format(), settings: o.format().cacheSettings(), images: map[string]*cachedImage{}, marks: map[string]Mark{}, stopped: c.ReadOnly,
	}
	if err := ic.open(); err != nil {
		return nil, fields.Errorf("cache of decoded images: %w; name another folder with {CacheConfig.Dir}, or use no cache", err)
	}
	ic.tidy(x)
	return ic, nil
}

// Fits reports whether the cache stores images as a Set with these options needs them.
func (ic *ImageCache) Fits(o Options) bool {
	if ic == nil {
		return true
	}
	o = o.defaults()
	if o.Shrink == 0 { // a Set of test images
		o.Shrink = ic.format.shrink
	}
	return o.format().cacheSettings() == ic.settings
}
