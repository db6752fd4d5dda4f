package serve

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/task"
)

// verdict is what a model answers for an image.
type verdict struct {
	Name    string                 `json:"name,omitempty"`
	Classes []inference.Prediction `json:"classes,omitempty"`
	Labels  []inference.Prediction `json:"labels,omitempty"`
	Values  []inference.Value      `json:"values,omitempty"`
	Error   string                 `json:"error,omitempty"` // in place of the above
}

// times are the milliseconds that a request spent.
type times struct {
	Decode  float64 `json:"decode"`
	Queue   float64 `json:"queue"`
	Compute float64 `json:"compute"`
	Total   float64 `json:"total"`
}

// verdicts is the answer to POST /predict.
type verdicts struct {
	ID      string `json:"id"`
	Model   string `json:"model"`
	Version string `json:"version"`
	verdict
	Images       []verdict `json:"images,omitempty"` // of a form, in its order
	Milliseconds times     `json:"milliseconds"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / 1e6 }

// predict answers POST and PUT /predict: the body is an image file, or a form with several.
func (s *core) predict(w http.ResponseWriter, r *http.Request) error {
	begun := time.Now()
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return failure(http.StatusBadRequest, "the query of the address cannot be read: %v", err)
	}
	m, err := s.model(r.PathValue("model"))
	if name := q.Get("model"); name != "" && r.PathValue("model") == "" {
		m, err = s.model(name)
	}
	if err != nil {
		return err
	}
	k, err := whole(q, "k", 5)
	if err != nil {
		return err
	}
	cam, err := flag(q, "gradcam")
	if err != nil {
		return err
	}
	ctx, stop, err := s.deadline(r)
	if err != nil {
		return err
	}
	defer stop()
	content, release, err := s.read(w, r)
	if err != nil {
		return err
	}
	defer release()
	images, form, err := s.uploads(r, content)
	if err != nil {
		return err
	}
	if cam {
		if len(images) != 1 {
			return failure(http.StatusBadRequest, "gradcam draws one image, and the request has %d; send one at a time", len(images))
		}
		class, err := whole(q, "class", -1)
		if err != nil {
			return err
		}
		return s.gradCAM(ctx, w, m, images[0].content, class)
	}
	g, leave := m.use()
	defer leave()
	done, err := s.compute(ctx, m, g, images)
	if err != nil {
		return err
	}
	a := verdicts{Model: m.Name, Version: g.version, ID: w.(*watcher).id}
	all := make([]verdict, len(images))
	for i, d := range done {
		if all[i], err = g.verdict(d, k); err != nil {
			return err
		}
		all[i].Name = images[i].name
		a.Milliseconds.Decode = max(a.Milliseconds.Decode, milliseconds(d.decoded))
		a.Milliseconds.Queue = max(a.Milliseconds.Queue, milliseconds(d.Queued))
		a.Milliseconds.Compute = max(a.Milliseconds.Compute, milliseconds(d.Computed))
	}
	if form {
		a.Images = all
	} else {
		if done[0].err != nil {
			return done[0].err
		}
		a.verdict = all[0]
	}
	a.Milliseconds.Total = milliseconds(time.Since(begun))
	return answer(w, http.StatusOK, a)
}

// verdict says what the outputs of an image stand for.
func (g *generation) verdict(d computed, k int) (v verdict, err error) {
	if d.err != nil {
		return verdict{Error: d.err.Error()}, nil
	}
	switch g.Info().Task.Named() {
	case task.Values:
		v.Values, err = g.Estimate(d.Logits)
	case task.Labels:
		v.Labels, err = g.Rank(d.Logits, k)
	default:
		v.Classes, err = g.Rank(d.Logits, k)
	}
	return v, err
}

// largestMap is the longer side of a drawn map in pixels.
const largestMap = 1024

// gradCAM answers with the image, and over it what speaks for a class.
func (s *core) gradCAM(ctx context.Context, w http.ResponseWriter, m *served, content []byte, class int) error {
	g, leave := m.use()
	defer leave()
	if of := g.Info().Task.Named(); of != task.Classes && of != task.Labels {
		return failure(http.StatusBadRequest, "gradcam explains a class, and model %s answers with %s", m.Name, of)
	}
	if n := len(g.Info().Names()); class >= n {
		return failure(http.StatusBadRequest, "class %d: model %s has the classes 0 to %d", class, m.Name, n-1)
	}
	var b bytes.Buffer
	err := s.inLine(1, func() error {
		release, err := s.acquire(ctx)
		if err != nil {
			return err
		}
		defer release()
		o := g.Decoding
		o.Channels, o.Context = g.Info().Channels, ctx
		hold, err := g.Memory.Hold(content, o)
		if err != nil {
			return err
		}
		defer hold()
		pixels, _, err := photo.Decode(content, o)
		if err != nil {
			return &inference.ImageError{Err: errors.New("the image " + err.Error())}
		}
		found, err := g.GradCAM(transforms.ToImage(pixels), class)
		if err != nil {
			return err
		}
		shown := transforms.ToImage(judge.Within(pixels, largestMap))
		return png.Encode(&b, judge.Heat(shown, g.Seen(shown.Bounds()), found))
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	_, _ = w.Write(b.Bytes())
	return nil
}

// uploads returns the images of a request, and whether they came in a form.
func (s *core) uploads(r *http.Request, content []byte) (images []upload, form bool, err error) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		if len(content) == 0 {
			return nil, false, failure(http.StatusBadRequest, "the body is empty; send an image file, as by curl -T photo.jpg")
		}
		return []upload{{content: content}}, false, nil
	}
	parts := multipart.NewReader(bytes.NewReader(content), parameters["boundary"])
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, true, failure(http.StatusBadRequest, "the form cannot be read: %v", err)
		}
		if p.FileName() == "" {
			continue // a field that is no file
		}
		if len(images) == s.options.MaxImages {
			return nil, true, failure(http.StatusRequestEntityTooLarge, "the form has more than %d images", s.options.MaxImages)
		}
		image, err := io.ReadAll(p)
		if err != nil {
			return nil, true, failure(http.StatusBadRequest, "the form cannot be read: %v", err)
		}
		images = append(images, upload{name: p.FileName(), content: image})
	}
	if len(images) == 0 {
		return nil, true, failure(http.StatusBadRequest, "the form has no file; send images as by curl -F image=@photo.jpg")
	}
	return images, true, nil
}

// whole reads a whole number of the query.
func whole(q url.Values, name string, otherwise int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, failure(http.StatusBadRequest, "%s=%.20q is no whole number", name, text)
	}
	return n, nil
}

// flag reads a yes or no of the query.
func flag(q url.Values, name string) (bool, error) {
	text := q.Get(name)
	if text == "" && !q.Has(name) {
		return false, nil
	}
	switch text {
	case "", "1", "true", "yes":
		return true, nil
	case "0", "false", "no":
		return false, nil
	}
	return false, failure(http.StatusBadRequest, "%s=%.20q: give 1 or 0", name, text)
}
