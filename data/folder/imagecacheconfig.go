package folder

import (
	"os"
	"path/filepath"
	"time"

	fields "github.com/residual-ml/residual/internal/field"
)

// CacheConfig configures an ImageCache.
type CacheConfig struct {
	Dir      string // the folder of all caches, each in a folder of its own; "" means CacheHome
	MaxBytes int64  // the limit of this cache in bytes; 0 means half of the free space of the disk plus its present size
	// ReadOnly opens a cache that adds and removes nothing.
	ReadOnly bool
	// Worth, when set, decides whether a new cache is begun.
	Worth func(CacheTrial) bool
}

// CacheTrial holds what was measured before a cache is begun.
type CacheTrial struct {
	Images int           // the number of images in the index
	Tried  int           // the number of images that were measured
	Took   time.Duration // the time to read, decode and resize these, summed over the cores
	Bytes  int64         // the size of these in the cache
}

// CacheState describes what a cache holds for an index.
type CacheState struct {
	Images int   // the number of images of the index in the cache
	Bytes  int64 // the size of its files
	Added  int   // how many images the last Check added
	// Notes are sentences about problems, such as a damaged file or a full disk. Images that
	// are not in the cache are decoded whenever they are needed.
	Notes []string
	// Declined says why there is no cache. It is "" when there is one, or when Worth returned
	// false.
	Declined string
}

// CacheHome returns the default folder of decoded-image caches.
func CacheHome() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fields.Errorf("images: no user cache folder (%w); name a folder with {CacheConfig.Dir}", err)
	}
	return filepath.Join(cache, "residual", "pictures"), nil
}
