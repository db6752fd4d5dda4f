package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/residual-ml/residual/data/photo"
)

// Server answers requests with the predictions of models. It is an http.Handler.
type Server struct {
	core
	handler  http.Handler
	patterns []string // of handler
}

// New opens the models and returns a server that is ready to answer. The first model is the
// default of requests that name none. New computes an image with every model; the programs for
// larger batches are made beside the first requests.
func New(models []Model, o Options) (*Server, error) {
	if len(models) == 0 {
		return nil, errors.New("serve: no model was given")
	}
	s := &Server{core: core{options: o.resolved(), memory: photo.NewBudget(0), begun: time.Now(), answered: make(chan struct{})}}
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
	s.meter = newMeter(&s.line, s.behind, s.store.bytes)
	s.handler, s.patterns = s.routes()
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

// warm makes the programs for larger batches of the models that New has opened. It leaves the first answer the
// processors: whoever starts a server waits for that.
func (s *Server) warm() {
	wait := time.NewTimer(warmDelay)
	defer wait.Stop()
	select {
	case <-s.answered:
	case <-wait.C:
	case <-s.ended.Done():
		return
	}
	for _, m := range s.models {
		g, leave := m.use()
		if err := g.Warm(s.ended); err != nil && s.ended.Err() == nil {
			s.options.Log.Warn("the programs for larger batches could not be made", "model", m.Name, "error", err)
		}
		leave()
	}
}

// warmDelay is how long the making of programs for larger batches waits for a first answer.
const warmDelay = 500 * time.Millisecond

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Drain makes the server say that it is not ready, so that no new clients are sent to it. It
// still answers.
func (s *Server) Drain() { s.draining.Store(true) }

// Reload looks at the files of all models now, and replaces those that have changed. It returns
// when the new ones serve. A file that cannot be served leaves the model as it is.
func (s *Server) Reload() { s.reload() }

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
