package serve

import (
	"net/http"
	"sync"
	"time"
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

func (s *statistics) add(model string, d computed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.get(model)
	c.last = time.Now().UnixMilli()
	c.images++
	c.batches += 1 / float64(max(d.Batch, 1))
	c.success.add(d.decoded + d.Queued + d.Computed)
	c.queue.add(d.Queued)
	c.input.add(d.decoded)
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

func (s *Server) statisticsOf(m *served) map[string]any {
	st := &s.meter.stats
	st.mu.Lock()
	defer st.mu.Unlock()
	c := st.get(m.Name)
	type batch struct {
		Size  int   `json:"batch_size"`
		Infer spent `json:"compute_infer"`
	}
	batches := []batch{}
	for size := 1; size <= s.options.MaxImages || size <= 256; size++ {
		if c.sizes[size] != nil {
			batches = append(batches, batch{size, *c.sizes[size]})
		}
	}
	none := spent{}
	return map[string]any{
		"name": m.Name, "version": m.current().version, "last_inference": c.last,
		"inference_count": c.images, "execution_count": int64(c.batches + 0.5),
		"inference_stats": map[string]spent{
			"success": c.success, "fail": c.fail, "queue": c.queue, "compute_input": c.input, "compute_infer": c.compute,
			"compute_output": none, "cache_hit": none, "cache_miss": none,
		},
		"batch_stats": batches,
	}
}

func (s *Server) modelStatistics(w http.ResponseWriter, r *http.Request) error {
	m, _, leave, err := s.asked(r)
	if err != nil {
		return err
	}
	defer leave()
	return answer(w, http.StatusOK, map[string]any{"model_stats": []any{s.statisticsOf(m)}})
}

func (s *Server) allStatistics(w http.ResponseWriter, _ *http.Request) error {
	var all []any
	for _, m := range s.models {
		all = append(all, s.statisticsOf(m))
	}
	return answer(w, http.StatusOK, map[string]any{"model_stats": all})
}
