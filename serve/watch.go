package serve

import (
	"fmt"
	"time"
)

// watch looks at the files of the models from time to time.
func (s *Server) watch() {
	tick := time.NewTicker(s.options.Watch)
	defer tick.Stop()
	last := make([]stamp, len(s.models)) // a file must look the same twice, so that one that is being written is left alone
	for {
		select {
		case <-s.ended.Done():
			return
		case <-tick.C:
		}
		for i, m := range s.models {
			now, err := m.stamp()
			if err != nil || now.same(m.lookedAt()) || !now.same(last[i]) {
				last[i] = now
				continue
			}
			s.replace(m)
		}
	}
}

func (m *served) lookedAt() stamp {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.seen
}

// Reload looks at the files of all models now, and replaces those that have changed. It returns
// when the new ones serve. A file that cannot be served leaves the model as it is.
func (s *Server) Reload() {
	for _, m := range s.models {
		if now, err := m.stamp(); err != nil || !now.same(m.lookedAt()) {
			s.replace(m)
		}
	}
}

// replace loads the file of a model and tells what came of it.
func (s *Server) replace(m *served) {
	if err := s.load(m, true); err != nil && s.ended.Err() == nil {
		s.meter.swap(m.Name, false)
		s.options.Log.Error("the new file of a model cannot be served; the old one still is", "model", m.Name, "version", m.current().version, "error", err)
	}
}

// load opens the file of a model beside what serves now, and lets it serve then. What served before is
// closed when its last request is answered.
func (s *Server) load(m *served, warm bool) error {
	m.loading.Lock()
	defer m.loading.Unlock()
	before, err := m.stamp()
	var g *generation
	if err == nil {
		if g, err = s.open(s.ended, m, before.path, warm); err == nil {
			if after, changed := m.stamp(); changed != nil || !after.same(before) {
				_ = g.Close()
				err = fmt.Errorf("%s changed while it was read", before.path)
				before = stamp{} // look again
			}
		}
	}
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.seen, m.failed, m.since = before, err, time.Now()
		return err
	}
	m.mu.Lock()
	old := m.now
	if old != nil && old.version == g.version { // the same content was written again
		m.seen, m.failed = before, nil
		m.mu.Unlock()
		return g.Close()
	}
	m.now, m.seen, m.failed = g, before, nil
	m.mu.Unlock()
	s.options.Log.Info("serving", "model", m.Name, "version", g.version, "file", g.path, "network", g.card.Architecture, "precision", g.Precision().String(), "took", g.took.Round(time.Millisecond))
	if old != nil {
		s.meter.swap(m.Name, true)
		s.work.Go(func() {
			old.users.Wait()
			_ = old.Close()
		})
	}
	return nil
}
