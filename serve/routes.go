package serve

import "net/http"

type handler = func(http.ResponseWriter, *http.Request) error

// routes returns the handler of all requests, and the patterns of its paths.
func (s *core) routes() (all http.Handler, patterns []string) {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		patterns = append(patterns, pattern)
		mux.Handle(pattern, s.guarded(pattern, h))
	}
	open := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		patterns = append(patterns, pattern)
		mux.Handle(pattern, s.recovering(pattern, h))
	}
	for _, method := range []string{"POST", "PUT"} {
		handle(method+" /predict", s.predict)
		handle(method+" /models/{model}/predict", s.predict)
	}
	handle("GET /models", s.listModels)
	handle("GET /models/{model}", s.describeModel)
	handle("GET /metrics", s.meter.serve)
	open("GET /openapi.json", openAPI)
	open("GET /healthz", healthy)
	open("GET /readyz", s.ready)
	s.protocol(handle, open)
	page(open)
	open("/", unknown)
	return mux, patterns
}

// protocol adds the paths of the Open Inference Protocol, version 2.
func (s *core) protocol(handle, open func(pattern string, h handler)) {
	handle("GET /v2", s.serverMetadata)
	handle("GET /v2/{$}", s.serverMetadata)
	open("GET /v2/health/live", healthy)
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
