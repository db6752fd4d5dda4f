package serve

import (
	"sync"
	"time"

	"github.com/residual-ml/residual/inference"
)

// statistics are the counts of Triton's statistics extension.
type statistics struct {
	mu sync.Mutex
	of map[string]*counts // by the name of the model
}

// spent is a number of events and the time of all of them.
type spent struct {
	Count int64 `json:"count"`
	NS    int64 `json:"ns"`
}

func (s *spent) add(d time.Duration) {
	s.Count++
	s.NS += int64(d)
}

// counts are those of one model since the server began.
type counts struct {
	last                                 int64 // time of the last image in milliseconds since 1970
	images                               int64
	batches                              float64 // every image counts as its share of a batch
	success, fail, queue, input, compute spent
	sizes                                map[int]*spent
}

func (s *statistics) get(model string) *counts {
	c := s.of[model]
	if c == nil {
		c = &counts{sizes: map[int]*spent{}}
		s.of[model] = c
	}
	return c
}

func (s *statistics) add(model string, decoded time.Duration, d inference.Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.get(model)
	c.last = time.Now().UnixMilli()
	c.images++
	c.batches += 1 / float64(max(d.Batch, 1))
	c.success.add(decoded + d.Queued + d.Computed)
	c.queue.add(d.Queued)
	c.input.add(decoded)
	c.compute.add(d.Computed)
	size := c.sizes[d.Batch]
	if size == nil {
		size = &spent{}
		c.sizes[d.Batch] = size
	}
	size.add(d.Computed)
}

// failed counts a request of the protocol that got no answer.
func (s *statistics) failed(model string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.get(model).fail.add(took)
}
