package elements

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/residual-ml/residual/tensor"
)

// All reads the tensors of all names on every core: most of the time goes into new
// pages of memory and copies out of the file's cache, which do not wait for each
// other. Of several errors it returns that of the first name.
func All(names []string, read func(name string) (*tensor.Tensor, error)) (map[string]*tensor.Tensor, error) {
	tensors, errs := make([]*tensor.Tensor, len(names)), make([]error, len(names))
	var next atomic.Int64
	var failed atomic.Bool
	var readers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		readers.Go(func() {
			for !failed.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(names) {
					return
				}
				if tensors[i], errs[i] = read(names[i]); errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	readers.Wait()
	all := make(map[string]*tensor.Tensor, len(names))
	for i, name := range names {
		if errs[i] != nil {
			return nil, errs[i]
		}
		all[name] = tensors[i]
	}
	return all, nil
}
