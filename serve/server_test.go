package serve_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/serve"
	"github.com/residual-ml/residual/task"
)

var classes = []string{"ant", "bee", "cat", "dog"}

// about describes the small network of the tests.
func about() checkpoint.Model {
	return checkpoint.Model{
		Architecture: "cifar-resnet8", Classes: classes, Dataset: "animals", Epoch: 3, Metrics: checkpoint.Metrics{"test_accuracy": 0.75},
		Input: prepare.Input{Channels: 3, Height: 24, Width: 24, Preprocess: prepare.Steps{
			ResizeShorter: 27, Interpolation: "bilinear", Mean: []float64{0.5, 0.5, 0.5}, Std: []float64{0.25, 0.25, 0.25},
		}},
	}
}

// write writes a model with the weights of a seed to path.
func write(t testing.TB, path string, m checkpoint.Model, seed uint64, damage func(nn.Module)) {
	t.Helper()
	net, err := models.New(m.Architecture, models.Config{Channels: m.Channels, Classes: len(m.Names())})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(net, seed, nn.KaimingNormal)
	if damage != nil {
		damage(net)
	}
	if err := checkpoint.SaveModel(path, m, nn.StateDict(net)); err != nil {
		t.Fatal(err)
	}
}

func device(t testing.TB) engine.Device {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// quiet are options that log nothing.
func quiet() serve.Options { return serve.Options{Log: slog.New(slog.DiscardHandler), Watch: -1} }

// started returns a server of one model, called animals, and the model's file.
func started(t testing.TB, m checkpoint.Model, o serve.Options) (s *serve.Server, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "animals.safetensors")
	write(t, path, m, 1, nil)
	s, err := serve.New([]serve.Model{serve.File("", path, device(t))}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, path
}

// painted is an image that differs by its seed.
func painted(seed uint64, w, h int) image.Image {
	r := rand.New(rand.NewPCG(seed, 1))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	a, b := r.IntN(200)+20, r.IntN(9)+1
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(a + x*b), uint8(y * b), uint8(a ^ (x + y)), 255})
		}
	}
	return img
}

func jpegOf(t testing.TB, seed uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, painted(seed, 60, 40), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ask sends a request to a handler.
func ask(h http.Handler, method, target string, body []byte, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	r.Host = "localhost:8000"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answered is the answer of POST /predict.
type answered struct {
	ID, Model, Version, Error string
	Classes, Labels           []inference.Prediction
	Values                    []inference.Value
	Images                    []answered
	Name                      string
	Milliseconds              map[string]float64
}

func read(t testing.TB, w *httptest.ResponseRecorder, status int) (a answered) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return a
}

// form returns a multipart body with files, and its Content-Type.
func form(t testing.TB, files ...[]byte) (body []byte, kind string) {
	t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	_ = m.WriteField("note", "no file")
	for i, f := range files {
		p, err := m.CreateFormFile("image", fmt.Sprint(i, ".jpg"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = p.Write(f)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), m.FormDataContentType()
}

// The answer is what the classifier predicts, however the image is sent.
func TestPredict(t *testing.T) {
	s, path := started(t, about(), quiet())
	c, err := inference.Load(path, device(t), engine.Auto)
	if err != nil {
		t.Fatal(err)
	}
	file := jpegOf(t, 1)
	want, err := c.PredictBytes(t.Context(), file, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range []struct{ method, target string }{
		{"POST", "/predict"}, {"PUT", "/predict"}, {"POST", "/models/animals/predict"}, {"POST", "/predict?model=animals&k=9"},
	} {
		a := read(t, ask(s, way.method, way.target, file), 200)
		if !slices.Equal(a.Classes, want) || a.Model != "animals" || len(a.Version) != 12 || a.ID == "" || len(a.Milliseconds) != 4 {
			t.Errorf("%s %s: %+v, want %v", way.method, way.target, a, want)
		}
	}
	if a := read(t, ask(s, "POST", "/predict?k=2", file), 200); !slices.Equal(a.Classes, want[:2]) {
		t.Errorf("k=2: %v", a.Classes)
	}
	if a := read(t, ask(s, "POST", "/predict?k=0", file), 200); len(a.Classes) != len(classes) {
		t.Errorf("k=0: %v", a.Classes)
	}
	body, kind := form(t, file, []byte("no image"), jpegOf(t, 2), file)
	a := read(t, ask(s, "POST", "/predict", body, "Content-Type", kind), 200)
	if len(a.Images) != 4 || !slices.Equal(a.Images[0].Classes, want) || !slices.Equal(a.Images[3].Classes, want) || a.Images[2].Name != "2.jpg" ||
		!strings.Contains(a.Images[1].Error, "not a JPEG") || a.Images[1].Classes != nil || len(a.Images[2].Classes) != len(classes) {
		t.Errorf("a form: %+v", a)
	}
	w := ask(s, "POST", "/predict?gradcam=1&class=2", file)
	img, err := png.Decode(w.Body)
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/png" || err != nil || img.Bounds().Dx() < 60 {
		t.Errorf("gradcam: %d, %v, %v", w.Code, w.Header(), err)
	}
}

// Models of other tasks answer with labels or values.
func TestPredictOtherTasks(t *testing.T) {
	labels, values := about(), about()
	labels.Task, labels.Classes, labels.Labels = task.Labels, nil, classes
	values.Task, values.Classes, values.Values = task.Values, nil, []string{"weight", "age"}
	values.ValueMean, values.ValueStd = []float64{10, 20}, []float64{2, 3}
	s, _ := started(t, labels, quiet())
	if a := read(t, ask(s, "POST", "/predict", jpegOf(t, 1)), 200); len(a.Labels) != 4 || a.Classes != nil {
		t.Errorf("labels: %+v", a)
	}
	s, _ = started(t, values, quiet())
	if a := read(t, ask(s, "POST", "/predict", jpegOf(t, 1)), 200); len(a.Values) != 2 || a.Values[1].Name != "age" {
		t.Errorf("values: %+v", a)
	}
	if w := ask(s, "POST", "/predict?gradcam", jpegOf(t, 1)); w.Code != 400 || !strings.Contains(w.Body.String(), "answers with values") {
		t.Errorf("gradcam of values: %d %s", w.Code, w.Body)
	}
	w := ask(s, "POST", "/v2/models/animals/infer", jpegOf(t, 1), "Inference-Header-Content-Length", "0")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"name":"values","datatype":"FP32","shape":[1,2]`) {
		t.Errorf("values by the protocol: %d %s", w.Code, w.Body)
	}
}

// Every refusal has its status, a sentence and an id, and names no path of the server.
func TestErrors(t *testing.T) {
	o := quiet()
	o.MaxBody, o.MaxImages, o.MaxPixels = 100_000, 3, 10_000
	s, path := started(t, about(), o)
	file := jpegOf(t, 1)
	many, kind := form(t, file, file, file, file)
	none, noneKind := form(t)
	var large bytes.Buffer
	if err := png.Encode(&large, image.NewGray(image.Rect(0, 0, 200, 100))); err != nil {
		t.Fatal(err)
	}
	infer := func(text string) []byte { return []byte(text) }
	for _, c := range []struct {
		method, target string
		body           []byte
		header         []string
		status         int
		part           string
	}{
		{"POST", "/predict", nil, nil, 400, "the body is empty"},
		{"POST", "/predict", []byte("text"), nil, 415, "not a JPEG"},
		{"POST", "/predict", file[:200], nil, 415, "image"},
		{"POST", "/predict", large.Bytes(), nil, 415, "pixels"},
		{"POST", "/predict", make([]byte, 100_001), nil, 413, "larger than 100000 bytes"},
		{"POST", "/predict", many, []string{"Content-Type", kind}, 413, "more than 3 images"},
		{"POST", "/predict", none, []string{"Content-Type", noneKind}, 400, "no file"},
		{"POST", "/predict", file, []string{"Content-Type", "multipart/form-data"}, 400, "form"},
		{"POST", "/predict", file, []string{"Content-Type", "multipart/form-data; boundary=x"}, 400, "form"},
		{"POST", "/predict?model=other", file, nil, 404, `no model "other"`},
		{"POST", "/models/other/predict", file, nil, 404, `no model "other"`},
		{"GET", "/models/other", nil, nil, 404, `no model "other"`},
		{"POST", "/predict?k=x", file, nil, 400, "no whole number"},
		{"POST", "/predict?gradcam=maybe", file, nil, 400, "give 1 or 0"},
		{"POST", "/predict?gradcam=1&class=4", file, nil, 400, "classes 0 to 3"},
		{"POST", "/predict", file, []string{"X-Request-Timeout", "soon"}, 400, "no time"},
		{"GET", "/predict", nil, nil, 405, "not a method"},
		{"GET", "/nothing", nil, nil, 404, "nothing at"},
		{"GET", "/v2/models/other", nil, nil, 404, `no model "other"`},
		{"GET", "/v2/models/animals/versions/1", nil, nil, 404, `no version "1"`},
		{"POST", "/v2/models/animals/infer", infer("{"), nil, 400, "JSON"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[]}`), nil, 400, "has none"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`), nil, 400, `has "x"`},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[1],"datatype":"FP31","data":[1]}]}`), nil, 400, "no datatype"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[1],"datatype":"INT8","data":[1]}]}`), nil, 400, "takes FP32"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[1],"datatype":"FP32","data":[1]}]}`), nil, 400, "is not [N, channels, height, width]"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[1,3,24,25],"datatype":"FP32","data":[1]}]}`), nil, 400, "[-1 3 24 24]"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[-1,3,24,24],"datatype":"FP32","data":[1]}]}`), nil, 400, "[-1 3 24 24]"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[4,3,24,24],"datatype":"FP32","data":[1]}]}`), nil, 413, "4 images are more than 3"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[1,3,24,24],"datatype":"FP32","data":[1]}]}`), nil, 400, "1728 numbers, and there are 1"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[1,3,24,24],"datatype":"FP32","data":["a"]}]}`), nil, 400, "no list of numbers"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[1,3,24,24],"datatype":"FP32"}]}`), nil, 400, "has no data"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[1],"datatype":"BYTES","data":["?"]}]}`), nil, 400, "not base64"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[2],"datatype":"BYTES","data":["QQ=="]}]}`), nil, 400, "of 2 files, and there are 1"},
		{"POST", "/v2/models/animals/infer", infer(`{"inputs":[{"name":"input","shape":[9],"datatype":"BYTES","data":["QQ=="]}]}`), nil, 413, "1 to 3 files"},
		{"POST", "/v2/models/animals/infer", infer(`{}xx`), []string{"Inference-Header-Content-Length", "2"}, 400, "has none"},
		{"POST", "/v2/models/animals/infer", infer(`{}xx`), []string{"Inference-Header-Content-Length", "9"}, 400, "is not the length"},
		{"POST", "/v2/models/animals/infer", infer(`{"parameters":{"timeout":"x"},"inputs":[{"name":"input","shape":[1],"datatype":"BYTES","data":["QQ=="]}]}`), nil, 400, "timeout is no whole"},
		{"POST", "/v2/models/animals/infer", infer(`x`), []string{"Content-Encoding", "br"}, 415, "send gzip"},
		{"POST", "/v2/models/animals/infer", infer(`x`), []string{"Content-Encoding", "gzip"}, 400, "not gzip"},
		{"POST", "/v2/repository/models/animals/load", nil, nil, 400, "not allowed"},
		{"POST", "/v2/systemsharedmemory/region/a/register", nil, nil, 400, "shared memory"},
		{"POST", "/v2/models/animals/generate", nil, nil, 400, "does not generate"},
	} {
		w := ask(s, c.method, c.target, c.body, c.header...)
		var e struct{ Error, ID string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
			t.Errorf("%s %s: %v: %s", c.method, c.target, err, w.Body)
		}
		if w.Code != c.status || !strings.Contains(e.Error, c.part) || e.ID == "" || e.ID != w.Header().Get("X-Request-Id") {
			t.Errorf("%s %s: status %d, %q; want %d and %q", c.method, c.target, w.Code, e.Error, c.status, c.part)
		}
		if strings.Contains(e.Error, filepath.Dir(path)) {
			t.Errorf("%s %s names a path: %s", c.method, c.target, e.Error)
		}
	}
	if a := read(t, ask(s, "POST", "/predict", file, "X-Request-Id", "mine"), 200); a.ID != "mine" {
		t.Errorf("the id of the client became %q", a.ID)
	}
}

// A full queue refuses at once and says when to come again; what was accepted is answered.
func TestFullQueue(t *testing.T) {
	o := quiet()
	o.Queue, o.Batching = 4, inference.Batching{MaxBatch: 8, MaxDelay: 300 * time.Millisecond}
	s, _ := started(t, about(), o)
	file := jpegOf(t, 1)
	var all sync.WaitGroup
	codes := make(chan *httptest.ResponseRecorder, 12)
	for range 12 {
		all.Go(func() { codes <- ask(s, "POST", "/predict", file) })
	}
	all.Wait()
	close(codes)
	answered, refused := 0, 0
	for w := range codes {
		switch w.Code {
		case 200:
			answered++
		case 503:
			refused++
			if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "queue of 4 images is full") {
				t.Errorf("a refusal: %v %s", w.Header(), w.Body)
			}
		default:
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	}
	if answered != 4 || refused != 8 {
		t.Errorf("%d answered and %d refused, want 4 and 8", answered, refused)
	}
	if w := ask(s, "GET", "/metrics", nil); !strings.Contains(w.Body.String(), `residual_refusals_total{reason="full"} 8`) {
		t.Errorf("metrics: %s", w.Body)
	}
	body, kind := form(t, file, file, file, file, file)
	if w := ask(s, "POST", "/predict", body, "Content-Type", kind); w.Code != 413 {
		t.Errorf("a form that the queue never holds: %d %s", w.Code, w.Body)
	}
}

// What nobody waits for any more is not computed.
func TestDeadline(t *testing.T) {
	o := quiet()
	o.Batching.MaxDelay = 200 * time.Millisecond
	s, _ := started(t, about(), o)
	for _, header := range []string{"0.01", "10ms"} {
		if w := ask(s, "POST", "/predict", jpegOf(t, 1), "X-Request-Timeout", header); w.Code != 504 {
			t.Errorf("a deadline of %s: %d %s", header, w.Code, w.Body)
		}
	}
	body := `{"parameters":{"timeout":9000},"inputs":[{"name":"input","shape":[1,3,24,24],"datatype":"FP32","data":[` + strings.Repeat("0,", 1727) + `0]}]}`
	if w := ask(s, "POST", "/v2/models/animals/infer", []byte(body)); w.Code != 504 {
		t.Errorf("a deadline of 9000 microseconds: %d %s", w.Code, w.Body)
	}
	time.Sleep(250 * time.Millisecond)
	if w := ask(s, "GET", "/metrics", nil); strings.Contains(w.Body.String(), "residual_images_total{") {
		t.Errorf("images were computed: %s", w.Body)
	}
}

// Weights that are not finite, a damaged file and an unknown path are errors of New; two models need two names.
func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	dev := device(t)
	spoilt, text := filepath.Join(dir, "spoilt.safetensors"), filepath.Join(dir, "text.safetensors")
	write(t, spoilt, about(), 1, func(m nn.Module) { nn.StateDict(m)[0].Tensor.Data()[0] = float32(math.NaN()) })
	if err := os.WriteFile(text, []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "good.safetensors")
	write(t, good, about(), 1, nil)
	for _, c := range []struct {
		models []serve.Model
		part   string
	}{
		{nil, "no model"},
		{[]serve.Model{serve.File("", spoilt, dev)}, "not finite"},
		{[]serve.Model{serve.File("", text, dev)}, "text.safetensors"},
		{[]serve.Model{serve.File("", filepath.Join(dir, "none"), dev)}, "none"},
		{[]serve.Model{serve.File("", good, dev), serve.File("good", good, dev)}, "two models are called good"},
		{[]serve.Model{serve.File("a/b", good, dev)}, "cannot be called"},
	} {
		s, err := serve.New(c.models, quiet())
		if err == nil || !strings.Contains(err.Error(), c.part) {
			t.Errorf("got %v, want an error with %q", err, c.part)
		}
		if err == nil {
			s.Close()
		}
	}
}

// The token is needed wherever something is told or computed, and not for health and the page.
func TestToken(t *testing.T) {
	o := quiet()
	o.Token = "secret"
	s, _ := started(t, about(), o)
	file := jpegOf(t, 1)
	for target, method := range map[string]string{"/predict": "POST", "/models": "GET", "/metrics": "GET", "/v2": "GET", "/v2/models/animals": "GET", "/v2/models/animals/infer": "POST"} {
		for _, header := range []string{"", "Bearer", "Bearer wrong", "Basic secret", "Bearer secretive"} {
			w := ask(s, method, target, file, "Authorization", header)
			if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with %q: %d", method, target, header, w.Code)
			}
		}
		if w := ask(s, method, target, file, "Authorization", "Bearer secret"); w.Code == 401 {
			t.Errorf("%s %s with the token: %d", method, target, w.Code)
		}
	}
	for _, target := range []string{"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/", "/page.js", "/page.css", "/openapi.json"} {
		if w := ask(s, "GET", target, nil); w.Code != 200 {
			t.Errorf("GET %s without the token: %d", target, w.Code)
		}
	}
}

// Pages of other sites cannot use the server through the browser of somebody who can.
func TestOtherSites(t *testing.T) {
	o := quiet()
	o.Hosts = []string{"shoes.example"}
	s, _ := started(t, about(), o)
	server := httptest.NewServer(s)
	defer server.Close()
	file := jpegOf(t, 1)
	send := func(host string, header ...string) int {
		r, err := http.NewRequest("POST", server.URL+"/predict", bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, a.Body)
		a.Body.Close()
		return a.StatusCode
	}
	for _, c := range []struct {
		status int
		host   string
		header []string
	}{
		{200, "localhost:8000", nil},
		{200, "evil.example", nil}, // no browser
		{200, "localhost:8000", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8000"}},
		{200, "192.0.2.7:8000", []string{"Sec-Fetch-Site", "same-origin"}},
		{200, "shoes.example", []string{"Sec-Fetch-Site", "same-origin"}},
		{403, "localhost:8000", []string{"Sec-Fetch-Site", "cross-site"}},
		{403, "localhost:8000", []string{"Origin", "http://evil.example"}},
		{403, "evil.example", []string{"Sec-Fetch-Site", "same-origin"}}, // a name that was made to point here
	} {
		if got := send(c.host, c.header...); got != c.status {
			t.Errorf("%s %v: status %d, want %d", c.host, c.header, got, c.status)
		}
	}
	h := ask(s, "GET", "/", nil).Header()
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(h.Get("Content-Security-Policy"), part) {
			t.Errorf("the page's policy lacks %s: %v", part, h)
		}
	}
}
