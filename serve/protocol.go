package serve

import (
	"net/http"

	"github.com/residual-ml/residual/task"
)

// The names of the tensors of every model.
const (
	inputName       = "input"
	logitsName      = "logits"
	probabilityName = "probabilities"
	valuesName      = "values"
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

type handler = func(http.ResponseWriter, *http.Request) error

// protocol adds the paths of the Open Inference Protocol, version 2.
func (s *Server) protocol(handle, open func(pattern string, h handler)) {
	handle("GET /v2", s.serverMetadata)
	handle("GET /v2/{$}", s.serverMetadata)
	open("GET /v2/health/live", s.healthy)
	open("GET /v2/health/ready", s.ready)
	handle("GET /v2/models/stats", s.allStatistics)
	for _, path := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		handle("GET "+path, s.modelMetadata)
		open("GET "+path+"/ready", s.modelReady)
		handle("POST "+path+"/infer", s.infer)
		handle("GET "+path+"/config", s.modelConfig)
		handle("GET "+path+"/stats", s.modelStatistics)
	}
	handle("POST /v2/repository/index", s.repositoryIndex)
	// What Triton has besides, and this server on purpose has not: no request names a file or
	// changes the server.
	for pattern, why := range map[string]string{
		"POST /v2/repository/models/{model}/load":   "explicit model load / unload is not allowed; replace the model's file, and it is loaded",
		"POST /v2/repository/models/{model}/unload": "explicit model load / unload is not allowed; stop the server, or serve other files",
		"GET /v2/trace/setting":                     "the server does not support tracing; GET /metrics has the times of the stages",
		"POST /v2/trace/setting":                    "the server does not support tracing; GET /metrics has the times of the stages",
		"GET /v2/models/{model}/trace/setting":      "the server does not support tracing; GET /metrics has the times of the stages",
		"POST /v2/models/{model}/trace/setting":     "the server does not support tracing; GET /metrics has the times of the stages",
		"GET /v2/logging":                           "the server does not support log settings over HTTP",
		"POST /v2/logging":                          "the server does not support log settings over HTTP",
		"/v2/systemsharedmemory/":                   "the server does not support system shared memory; send tensors in the request",
		"/v2/cudasharedmemory/":                     "the server does not support CUDA shared memory; send tensors in the request",
		"POST /v2/models/{model}/generate":          "the server does not generate text; POST /v2/models/MODEL/infer classifies images",
		"POST /v2/models/{model}/generate_stream":   "the server does not generate text; POST /v2/models/MODEL/infer classifies images",
	} {
		handle(pattern, func(http.ResponseWriter, *http.Request) error { return failure(http.StatusBadRequest, "%s", why) })
	}
}

func (s *Server) serverMetadata(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, map[string]any{"name": "residual", "version": s.options.Version, "extensions": extensions})
}

// asked returns the model and the generation that the path names.
func (s *Server) asked(r *http.Request) (*served, *generation, func(), error) {
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

func (s *Server) modelMetadata(w http.ResponseWriter, r *http.Request) error {
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

func (s *Server) modelReady(w http.ResponseWriter, r *http.Request) error {
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
func (s *Server) modelConfig(w http.ResponseWriter, r *http.Request) error {
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
func (s *Server) repositoryIndex(w http.ResponseWriter, _ *http.Request) error {
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
