package serve

import (
	"context"
	"fmt"
	"time"
)

// watch looks at the files of the models from time to time.
func (s *core) watch() {
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

// reload is Server.Reload.
func (s *core) reload() {
	for _, m := range s.models {
		if now, err := m.stamp(); err != nil || !now.same(m.lookedAt()) {
			s.replace(m)
		}
	}
}

// replace loads the file of a model and tells what came of it.
func (s *core) replace(m *served) {
	if err := s.load(m, true); err != nil && s.ended.Err() == nil {
		s.meter.swap(m.Name, false)
		s.options.Log.Error("the new file of a model cannot be served; the old one still is", "model", m.Name, "version", m.current().version, "error", err)
	}
}

// load opens the file of a model beside what serves now, and lets it serve then. What served before is
// closed when its last request is answered.
func (s *core) load(m *served, warm bool) error {
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
	s.options.Log.Info("serving", "model", m.Name, "version", g.version, "file", g.path, "network", titleOf(g.Info()), "precision", g.Precision().String(), "took", g.took.Round(time.Millisecond))
	if old != nil {
		s.meter.swap(m.Name, true)
		s.work.Go(func() {
			old.users.Wait()
			_ = old.Close()
		})
	}
	return nil
}

// open reads the file and computes an image with it.
func (s *core) open(ctx context.Context, m *served, path string, warm bool) (g *generation, err error) {
	start := time.Now()
	g = &generation{path: path, loaded: start}
	digest := make(chan error, 1)
	go func() { // beside the loading and the first image, which take longer
		var err error
		g.version, g.bytes, err = digestOf(path)
		digest <- err
	}()
	opened, err := m.Open(path)
	if err != nil {
		<-digest
		return nil, err
	}
	c, release := s.store.take(opened)
	g.Classifier, g.release = c, release
	defer func() {
		if err != nil {
			_ = release()
		}
	}()
	c.SetBatching(s.options.Batching)
	c.Decoding.MaxPixels, c.Memory = s.options.MaxPixels, s.memory
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	if warm {
		if err := c.Warm(ctx); err != nil {
			return nil, err
		}
	}
	if err := rehearsed(ctx, c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := <-digest; err != nil {
		return nil, err
	}
	g.took = time.Since(start)
	return g, nil
}
