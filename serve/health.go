package serve

import "net/http"

// unknown answers requests for a path or a method that does not exist.
func unknown(w http.ResponseWriter, r *http.Request) error {
	for _, known := range []string{"/predict", "/models", "/metrics"} {
		if r.URL.Path == known {
			return failure(http.StatusMethodNotAllowed, "%s is not a method of %s; GET /openapi.json describes it", r.Method, known)
		}
	}
	return failure(http.StatusNotFound, "there is nothing at %s %.200s; GET /openapi.json describes what there is", r.Method, r.URL.Path)
}

// healthy answers GET /healthz.
func healthy(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, map[string]any{"live": true})
}

// ready answers GET /readyz.
func (s *core) ready(w http.ResponseWriter, _ *http.Request) error {
	if !s.isReady() {
		return answer(w, http.StatusServiceUnavailable, map[string]any{"ready": false})
	}
	return answer(w, http.StatusOK, map[string]any{"ready": true})
}
