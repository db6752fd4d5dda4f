package folder

import (
	"os"
	"path/filepath"
	"time"

	fields "github.com/residual-ml/residual/internal/field"
)

// CacheConfig says where a cache lies and how large it may be.
type CacheConfig struct {
	Dir      string // of decoded-image caches, each in a folder of its own; "" means CacheHome
	MaxBytes int64  // bytes of this one; 0 means half of what it has and the disk has free
	// ReadOnly adds nothing and removes nothing.
	ReadOnly bool
	// Worth, when set, is asked before a cache is begun.
	Worth func(CacheTrial) bool
}

// CacheTrial is what was measured before a cache is begun, of its first images or of all.
type CacheTrial struct {
	Images int           // in the index
	Tried  int           // of them
	Took   time.Duration // to read, decode and resize those, summed over the cores
	Bytes  int64         // they take
}

// CacheState says what a cache has for an index.
type CacheState struct {
	Images int   // there are
	Bytes  int64 // of its files
	Added  int   // in the last Check
	// Notes are sentences about what went wrong: a damaged file, a full disk. Images that
	// are not in the cache are decoded whenever they are needed.
	Notes []string
	// Declined says why there is none: "" when there is, or when Worth said no.
	Declined string
}

// CacheHome is the folder of decoded-image caches where the user names none.
func CacheHome() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fields.Errorf("images: no user cache folder (%w); name a folder with {CacheConfig.Dir}", err)
	}
	return filepath.Join(cache, "residual", "pictures"), nil
}
