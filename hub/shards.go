package hub

import (
	"context"
	"errors"
)

// weightsFiles are what a model on Hugging Face has its weights in where it has no
// DefaultFile: the index of its shards, or the files of older versions of transformers.
var weightsFiles = []string{DefaultFile, DefaultFile + ".index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"}

// PullWeights is Pull for a model's weights. Where the reference names no other file
// than DefaultFile, and the model has none, it is the index of its shards, or what
// older models have; the reference that is returned says which.
func (c Cache) PullWeights(ctx context.Context, r Ref) (File, Ref, error) {
	if r.Address != "" || r.File != DefaultFile || r.SHA256 != "" {
		f, err := c.Pull(ctx, r)
		return f, r, err
	}
	var first error
	for _, offline := range []bool{true, false} {
		if offline && c.Refresh || !offline && c.Offline {
			continue
		}
		next := c
		next.Offline = offline
		for _, name := range weightsFiles {
			r.File = name
			f, err := next.Pull(ctx, r)
			switch {
			case err == nil || ctx.Err() != nil:
				return f, r, err
			case !offline && !errors.Is(err, ErrAbsent):
				return f, r, err
			case first == nil || !offline && name == DefaultFile:
				first = err
			}
		}
	}
	return File{}, r, first
}
