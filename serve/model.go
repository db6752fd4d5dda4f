package serve

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/tensor"
)

// Model is a model that a Server is to serve.
type Model struct {
	// Name is how requests call the model: letters, digits and the signs . _ -
	Name string

	// Path is the file, a run folder, or another path that checkpoint.FindModel knows. It is
	// watched for changes.
	Path string

	// Open opens the file as a classifier that is used by nobody else. The Server closes it.
	Open func(path string) (*inference.Classifier, error)
}

// File is a model in a file, computed on dev as suits the two best. If name is empty, that of the
// file, or of its run, is taken.
func File(name, path string, dev engine.Device) Model {
	return Model{Name: cmp.Or(name, NameOf(path)), Path: path, Open: func(path string) (*inference.Classifier, error) {
		return inference.Load(path, dev, engine.Auto)
	}}
}

// NameOf returns a name for the model at a path: that of the file without its ending, or that of
// the run folder if the file has the name that trainings give.
func NameOf(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if file, err := checkpoint.FindModel(path); err == nil && filepath.Dir(file) != "." {
		base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if name = base; base == "best" || base == "last" {
			name = filepath.Base(filepath.Dir(file))
		}
	}
	name = strings.Map(func(r rune) rune {
		if nameSign(r) {
			return r
		}
		return '-'
	}, name)
	return cmp.Or(strings.Trim(name, ".-"), "model")
}

func nameSign(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
}

// served is a model of a server. What it serves is replaced as a whole.
type served struct {
	Model
	loading sync.Mutex // one load at a time

	mu     sync.RWMutex
	now    *generation
	seen   stamp     // of the file that was looked at last
	failed error     // why that file is not served; nil if it is
	since  time.Time // of the failure
}

// generation is one content of a model's file, ready to compute.
type generation struct {
	*inference.Classifier
	version string // the beginning of the file's SHA-256
	path    string
	bytes   int64
	loaded  time.Time
	took    time.Duration
	users   sync.WaitGroup
	release func() error // gives the classifier back
}

// Close shadows that of the classifier, whose network other models may use.
func (g *generation) Close() error { return g.release() }

// stamp tells contents of a file apart without reading it.
type stamp struct {
	path string
	size int64
	time time.Time
	id   os.FileInfo
}

func (a stamp) same(b stamp) bool {
	return a.path == b.path && a.size == b.size && a.time.Equal(b.time) && a.id != nil && b.id != nil && os.SameFile(a.id, b.id)
}

func (m *served) stamp() (s stamp, err error) {
	if s.path, err = checkpoint.FindModel(m.Path); err != nil {
		return s, err
	}
	st, err := os.Stat(s.path)
	if err != nil {
		return s, err
	}
	return stamp{s.path, st.Size(), st.ModTime(), st}, nil
}

// use returns the generation that serves now, and a function to call when it is no longer needed.
func (m *served) use() (*generation, func()) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	g := m.now
	g.users.Add(1)
	return g, g.users.Done
}

// current returns the generation that serves now, for its description only.
func (m *served) current() *generation {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.now
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

// trouble returns why the newest file is not served, and since when.
func (m *served) trouble() (error, time.Time) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.failed, m.since
}

// rehearsed computes an image and returns an error if the answer cannot be right.
func rehearsed(ctx context.Context, c *inference.Classifier) error {
	out, err := c.Infer(ctx, tensor.New(c.ImageShape()...))
	if err != nil {
		return err
	}
	if names := c.Info().Names(); len(out[0].Logits) < len(names) {
		return fmt.Errorf("the network has %d outputs for %d names", len(out[0].Logits), len(names))
	}
	for _, v := range out[0].Logits {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return errors.New("the network's output for an empty image is not finite; the weights are damaged, or the training diverged")
		}
	}
	return nil
}

func digestOf(path string) (digest string, size int64, err error) {
	f, err := regular.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil))[:12], size, nil
}
