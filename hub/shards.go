package hub

import (
	"context"
	"errors"
)

// weightsFiles are the names of weights on Hugging Face, in the order in which they are
// tried: DefaultFile, the index of its shards, and the names of older transformers versions.
var weightsFiles = []string{DefaultFile, DefaultFile + ".index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"}

// PullWeights is Pull for the weights of a model. If r names DefaultFile and the model does
// not have that, PullWeights returns the index of its shards, or the file of an older
// version of transformers. The returned reference names the file that was found.
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
