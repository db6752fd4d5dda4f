package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/residual-ml/residual/data/photo"
)

// Server answers requests with the predictions of models. It is an http.Handler.
type Server struct {
	options Options
	models  []*served // in the order of New
	line    line
	bodies  bodies
	decode  chan struct{} // a place for every decoder
	memory  *photo.Budget
	meter   *meter
	handler http.Handler

	patterns []string // of handler

	draining atomic.Bool
	ended    context.Context // the work of the server itself: loading, watching
	end      context.CancelFunc
	work     sync.WaitGroup
}

// New opens the models and returns a server that is ready to answer. The first model is the
// default of requests that name none. New computes an image with every model; the programs for
// larger batches are made beside the first requests.
func New(models []Model, o Options) (*Server, error) {
	if len(models) == 0 {
		return nil, errors.New("serve: no model was given")
	}
	s := &Server{options: o.resolved(), memory: photo.NewBudget(0)}
	s.ended, s.end = context.WithCancel(context.Background())
	s.line = line{most: int64(s.options.Queue)}
	s.bodies = bodies{left: s.options.BodyMemory}
	s.decode = make(chan struct{}, s.options.Decoders)
	for _, m := range models {
		if m.Name == "" || strings.IndexFunc(m.Name, func(r rune) bool { return !nameSign(r) }) >= 0 {
			return nil, fmt.Errorf("serve: a model cannot be called %q; its name has letters, digits and the signs . _ -", m.Name)
		}
		if slices.ContainsFunc(s.models, func(other *served) bool { return other.Name == m.Name }) {
			return nil, fmt.Errorf("serve: two models are called %s; give one of them another name", m.Name)
		}
		s.models = append(s.models, &served{Model: m})
	}
	s.meter = newMeter(s)
	s.handler = s.routes()
	for _, m := range s.models {
		if err := s.load(m, false); err != nil {
			s.Close()
			return nil, err
		}
	}
	s.work.Go(s.warm)
	if s.options.Watch > 0 {
		s.work.Go(s.watch)
	}
	return s, nil
}

// warm makes the programs for larger batches of the models that New has opened.
func (s *Server) warm() {
	for _, m := range s.models {
		g, leave := m.use()
		if err := g.Warm(s.ended); err != nil && s.ended.Err() == nil {
			s.options.Log.Warn("the programs for larger batches could not be made", "model", m.Name, "error", err)
		}
		leave()
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Drain makes the server say that it is not ready, so that no new clients are sent to it. It
// still answers.
func (s *Server) Drain() { s.draining.Store(true) }

// Close ends the watching of files, waits for the requests that are being computed, and releases the
// models. Later requests are refused.
func (s *Server) Close() error {
	s.Drain()
	s.line.close()
	s.end()
	s.work.Wait()
	var all error
	for _, m := range s.models {
		m.mu.Lock()
		g := m.now
		m.mu.Unlock()
		if g != nil {
			g.users.Wait()
			all = errors.Join(all, g.Close())
		}
	}
	return all
}

// model returns the model of a name, or the default one for "".
func (s *Server) model(name string) (*served, error) {
	if name == "" {
		return s.models[0], nil
	}
	for _, m := range s.models {
		if m.Name == name {
			return m, nil
		}
	}
	return nil, failure(http.StatusNotFound, "there is no model %q; GET /models lists them", name)
}

// version returns the generation of a model, and a function to call when it is no longer needed.
// version is empty for whatever serves now.
func (m *served) version(version string) (*generation, func(), error) {
	g, leave := m.use()
	if version != "" && version != g.version {
		leave()
		return nil, nil, failure(http.StatusNotFound, "model %s has the version %s and no version %q", m.Name, g.version, version)
	}
	return g, leave, nil
}

// routes returns the handler of all requests.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		s.patterns = append(s.patterns, pattern)
		mux.Handle(pattern, s.guarded(pattern, h))
	}
	open := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		s.patterns = append(s.patterns, pattern)
		mux.Handle(pattern, s.recovering(pattern, h))
	}
	for _, method := range []string{"POST", "PUT"} {
		handle(method+" /predict", s.predict)
		handle(method+" /models/{model}/predict", s.predict)
	}
	handle("GET /models", s.listModels)
	handle("GET /models/{model}", s.describeModel)
	handle("GET /metrics", s.meter.serve)
	open("GET /openapi.json", s.openAPI)
	open("GET /healthz", s.healthy)
	open("GET /readyz", s.ready)
	s.protocol(handle, open)
	s.page(open)
	open("/", s.unknown)
	return mux
}

// unknown answers requests for a path or a method that does not exist.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) error {
	for _, known := range []string{"/predict", "/models", "/metrics"} {
		if r.URL.Path == known {
			return failure(http.StatusMethodNotAllowed, "%s is not a method of %s; GET /openapi.json describes it", r.Method, known)
		}
	}
	return failure(http.StatusNotFound, "there is nothing at %s %.200s; GET /openapi.json describes what there is", r.Method, r.URL.Path)
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, map[string]any{"live": true})
}

func (s *Server) isReady() bool { return !s.draining.Load() }

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	if !s.isReady() {
		return answer(w, http.StatusServiceUnavailable, map[string]any{"ready": false})
	}
	return answer(w, http.StatusOK, map[string]any{"ready": true})
}

// deadline returns the context of a request with the time that it may take.
func (s *Server) deadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	limit := s.options.Timeout
	if text := r.Header.Get("X-Request-Timeout"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			d, err = time.ParseDuration(text + "s")
		}
		if err != nil || d <= 0 {
			return nil, nil, failure(http.StatusBadRequest, "X-Request-Timeout: %.40q is no time; give seconds, such as 1.5, or a number with a unit, such as 500ms", text)
		}
		limit = min(limit, d)
	}
	ctx, stop := context.WithTimeout(r.Context(), limit)
	return ctx, stop, nil
}
