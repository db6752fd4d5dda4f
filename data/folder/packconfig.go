package folder

import (
	"os"
	"path/filepath"
	"time"

	fields "github.com/residual-ml/residual/internal/field"
)

// PackConfig says where a pack lies and how large it may be.
type PackConfig struct {
	Dir  string // of packs, each in a folder of its own; "" means PackHome
	Most int64  // bytes of this one; 0 means half of what it has and the disk has free
	// ReadOnly adds nothing and removes nothing.
	ReadOnly bool
	// Worth, when set, is asked before a pack is begun.
	Worth func(PackTrial) bool
}

// PackTrial is what was measured before a pack is begun, of its first pictures or of all.
type PackTrial struct {
	Pictures int           // in the index
	Tried    int           // of them
	Took     time.Duration // to read, decode and resize those, summed over the cores
	Bytes    int64         // they take
}

// PackState says what a pack has for an index.
type PackState struct {
	Pictures int   // there are
	Bytes    int64 // of its files
	Added    int   // in the last Check
	// Notes are sentences about what went wrong: a damaged file, a full disk. Pictures that
	// are not in the pack are decoded whenever they are needed.
	Notes []string
	// Declined says why there is none: "" when there is, or when Worth said no.
	Declined string
}

// PackHome is the folder of packs where the user names none.
func PackHome() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fields.Errorf("images: no user cache folder (%w); name a folder with {PackConfig.Dir}", err)
	}
	return filepath.Join(cache, "residual", "pictures"), nil
}
