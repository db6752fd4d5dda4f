package elements

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/residual-ml/residual/tensor"
)

// All reads the named tensors on all cores: most of the time is spent on page faults and
// on copies from the page cache, which run in parallel. Of several errors it returns the
// one of the first name.
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
