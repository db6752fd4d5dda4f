package serve

import (
	"net/http"

	"github.com/residual-ml/residual/task"
)

// extensions are those of Triton that the server has, as
// https://github.com/triton-inference-server/server/tree/main/docs/protocol names them.
var extensions = []string{"binary_tensor_data", "classification", "statistics", "model_configuration"}

// tensorInfo describes an input or output of a model.
type tensorInfo struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"` // -1 for any
}

func (s *core) serverMetadata(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, map[string]any{"name": "residual", "version": s.options.Version, "extensions": extensions})
}

// asked returns the model and the generation that the path names.
func (s *core) asked(r *http.Request) (*served, *generation, func(), error) {
	m, err := s.model(r.PathValue("model"))
	if err != nil {
		return nil, nil, nil, err
	}
	g, leave, err := m.version(r.PathValue("version"))
	return m, g, leave, err
}

// input describes the input of a model. An encoded image of datatype BYTES may stand in its place.
func (g *generation) input() tensorInfo {
	about := g.Info()
	any := func(n int) int {
		if n == 0 {
			return -1
		}
		return n
	}
	return tensorInfo{inputName, "FP32", []int{-1, about.Channels, any(about.Height), any(about.Width)}}
}

// outputs describes the outputs of a model.
func (g *generation) outputs() []tensorInfo {
	about := g.Info()
	n := len(about.Names())
	switch about.Task.Named() {
	case task.Values:
		return []tensorInfo{{valuesName, "FP32", []int{-1, n}}}
	case task.Masks:
		return []tensorInfo{{logitsName, "FP32", []int{-1, n, -1, -1}}}
	}
	return []tensorInfo{{logitsName, "FP32", []int{-1, n}}, {probabilityName, "FP32", []int{-1, n}}}
}

func (s *core) modelMetadata(w http.ResponseWriter, r *http.Request) error {
	m, g, leave, err := s.asked(r)
	if err != nil {
		return err
	}
	defer leave()
	return answer(w, http.StatusOK, map[string]any{
		"name": m.Name, "versions": []string{g.version}, "platform": "residual",
		"inputs": []tensorInfo{g.input()}, "outputs": g.outputs(),
	})
}

func (s *core) modelReady(w http.ResponseWriter, r *http.Request) error {
	m, _, leave, err := s.asked(r)
	if err != nil {
		return err
	}
	defer leave()
	status := http.StatusOK
	if !s.isReady() {
		status = http.StatusServiceUnavailable
	}
	return answer(w, status, map[string]any{"name": m.Name, "ready": s.isReady()})
}

// modelConfig answers with Triton's description of a model.
func (s *core) modelConfig(w http.ResponseWriter, r *http.Request) error {
	m, g, leave, err := s.asked(r)
	if err != nil {
		return err
	}
	defer leave()
	type dims struct {
		Name     string `json:"name"`
		DataType string `json:"data_type"`
		Dims     []int  `json:"dims"` // without that of the batch
		Labels   string `json:"label_filename,omitempty"`
	}
	of := func(t tensorInfo) dims { return dims{Name: t.Name, DataType: "TYPE_" + t.Datatype, Dims: t.Shape[1:]} }
	var out []dims
	for _, t := range g.outputs() {
		out = append(out, of(t))
	}
	return answer(w, http.StatusOK, map[string]any{
		"name": m.Name, "platform": "residual", "backend": "residual", "max_batch_size": s.options.MaxImages,
		"version_policy": map[string]any{"latest": map[string]int{"num_versions": 1}},
		"input":          []dims{of(g.input())}, "output": out, "dynamic_batching": map[string]any{},
	})
}

// repositoryIndex answers with the models, as Triton does.
func (s *core) repositoryIndex(w http.ResponseWriter, _ *http.Request) error {
	type entry struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		State   string `json:"state"`
		Reason  string `json:"reason"`
	}
	var all []entry
	for _, m := range s.models {
		e := entry{Name: m.Name, Version: m.current().version, State: "READY"}
		if err, _ := m.trouble(); err != nil {
			e.Reason = "the newest file cannot be served"
		}
		all = append(all, e)
	}
	return answer(w, http.StatusOK, all)
}

func (s *core) statisticsOf(m *served) map[string]any {
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

func (s *core) modelStatistics(w http.ResponseWriter, r *http.Request) error {
	m, _, leave, err := s.asked(r)
	if err != nil {
		return err
	}
	defer leave()
	return answer(w, http.StatusOK, map[string]any{"model_stats": []any{s.statisticsOf(m)}})
}

func (s *core) allStatistics(w http.ResponseWriter, _ *http.Request) error {
	var all []any
	for _, m := range s.models {
		all = append(all, s.statisticsOf(m))
	}
	return answer(w, http.StatusOK, map[string]any{"model_stats": all})
}
