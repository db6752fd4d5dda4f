package inference_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
)

// painted returns an image whose pixels depend on a seed.
func painted(seed uint64, w, h int) image.Image {
	r, img := rand.New(rand.NewPCG(seed, 1)), image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.SetNRGBA(i%w, i/w, color.NRGBA{uint8(r.IntN(256)), uint8(i % 251), uint8(r.IntN(256)), 255})
	}
	return img
}

// An embedding is what the module at the layer gives, and by default what goes into the head.
func TestEmbeddingsAreActivations(t *testing.T) {
	m, path := save(t, presetInfo(), nil)
	dev := device(t)
	c, err := inference.Load(path, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	img := painted(1, 40, 30)
	x, err := c.Prepare([]image.Image{img})
	if err != nil {
		t.Fatal(err)
	}
	all, err := forward.NewRunner(m, engine.NewStore(dev), engine.FP32).Activations(x, "flatten", "layer3", "fc", "layer1.0.relu_1")
	if err != nil {
		t.Fatal(err)
	}
	mean := func(path string) []float32 {
		a := all[path]
		s := a.Shape()
		out, area := make([]float32, s[1]), s[2]*s[3]
		for i, v := range a.Data() {
			out[i/area] += v / float32(area)
		}
		return out
	}
	for _, w := range []struct {
		config inference.EmbedConfig
		want   []float32
	}{
		{inference.EmbedConfig{}, all["flatten"].Data()},
		{inference.EmbedConfig{Flatten: true}, all["flatten"].Data()},
		{inference.EmbedConfig{Layer: "fc"}, all["fc"].Data()},
		{inference.EmbedConfig{Layer: "layer3"}, mean("layer3")},
		{inference.EmbedConfig{Layer: "layer1.0.relu_1"}, mean("layer1.0.relu_1")},
		{inference.EmbedConfig{Layer: "layer1.0.relu_1", Flatten: true}, all["layer1.0.relu_1"].Data()},
	} {
		e, err := c.Embedder(w.config)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Embed(img)
		if err != nil || len(got) != len(w.want) || e.Size() != len(got) {
			t.Errorf("%+v: %d numbers, want %d (%v)", w.config, len(got), len(w.want), err)
			continue
		}
		for i, v := range got {
			if math.Abs(float64(v-w.want[i])) > 1e-4 {
				t.Errorf("%+v: number %d is %v, want %v", w.config, i, v, w.want[i])
				break
			}
		}
	}
	if _, err := c.Embedder(inference.EmbedConfig{Layer: "layer9"}); err == nil || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), "layer1, layer2") {
		t.Errorf("an unknown layer gave %v", err)
	}
}

// EmbedFiles gives the embeddings in order, with the same bits for any number of threads, and the
// errors of files that cannot be read.
func TestEmbedFiles(t *testing.T) {
	_, path := save(t, presetInfo(), nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Embedder(inference.EmbedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var names []string
	for i := range 40 {
		name := filepath.Join(dir, string(rune('A'+i))+".png")
		names = append(names, name)
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if i == 7 {
			_, err = f.WriteString("no image")
		} else {
			err = png.Encode(f, painted(uint64(i), 30+i, 28))
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	all := func(yield func(string, error) bool) {
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
	run := func() (out [][]float32) {
		i := 0
		err := e.EmbedFiles(context.Background(), all, photo.Options{}, nil, func(name string, v []float32, err error) error {
			if name != names[i] || (err != nil) != (i == 7) {
				t.Errorf("answer %d is of %s (%v)", i, name, err)
			}
			out = append(out, v)
			i++
			return nil
		})
		if err != nil || i != len(names) {
			t.Fatal(err, i)
		}
		return out
	}
	first := run()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if !slices.EqualFunc(first, run(), slices.Equal) {
		t.Error("one thread gives other bits")
	}
	alone, err := e.EmbedFile(names[3])
	near := func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-4 }
	if err != nil || !slices.EqualFunc(alone, first[3], near) {
		t.Errorf("an image alone has another embedding (%v)", err)
	}
	stop := errors.New("stop")
	if err := e.EmbedFiles(context.Background(), all, photo.Options{}, nil, func(string, []float32, error) error { return stop }); err != stop {
		t.Errorf("got %v", err)
	}
}

// A gallery finds the images with the largest cosine similarity, and of equal ones the first.
func TestGallery(t *testing.T) {
	var g inference.Gallery
	for name, v := range map[string][]float32{"": nil} {
		if _, err := g.Nearest(v, 1); err != nil {
			t.Errorf("%s: an empty gallery gives %v", name, err)
		}
	}
	vectors := [][]float32{{1, 0, 0}, {0, 2, 0}, {3, 3, 0}, {-1, 0, 0}, {0, 0, 0}, {10, 0, 0}, {0, 1, 0}}
	for i, v := range vectors {
		if err := g.Add(string(rune('a'+i)), v); err != nil {
			t.Fatal(err)
		}
	}
	list := func(found []inference.Neighbour) (s string) {
		for _, n := range found {
			s += n.Image
		}
		return s
	}
	for _, c := range []struct {
		of   []float32
		k    int
		want string
	}{{vectors[0], 3, "afc"}, {vectors[1], 4, "bgca"}, {vectors[4], 2, "ab"}, {[]float32{-2, 0, 0}, 0, "dbegcaf"}, {vectors[0], 99, "afcbegd"}} {
		found, err := g.Nearest(c.of, c.k)
		if got := list(found); err != nil || got != c.want {
			t.Errorf("the nearest %d of %v are %q, want %q (%v)", c.k, c.of, got, c.want, err)
		}
	}
	found, _ := g.Nearest(vectors[2], 2)
	if got := found[1].Similarity; math.Abs(got-math.Sqrt2/2) > 1e-6 || math.Abs(found[0].Similarity-1) > 1e-6 {
		t.Errorf("the similarities are %v", found)
	}
	got := ""
	if err := g.Each(context.Background(), 2, func(name string, near []inference.Neighbour) error {
		got += name + ":" + list(near) + " "
		return nil
	}); err != nil || got != "a:fc b:gc c:ab d:be e:ab f:ac g:bc " {
		t.Errorf("got %s (%v)", got, err)
	}
	if err := g.Add("x", []float32{1}); err == nil || !strings.Contains(err.Error(), "x: an embedding of 1 numbers in a gallery of 3") {
		t.Errorf("another size gave %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Each(ctx, 1, func(string, []inference.Neighbour) error { return nil }); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

// The saliency map of an image has the size of the model's input.
func TestClassifierSaliency(t *testing.T) {
	_, path := save(t, presetInfo(), nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	img := painted(3, 50, 40)
	likeliest, err := c.Predict(img, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Saliency(img, -1)
	if err != nil || s.Class != likeliest[0].Index || s.Height != 24 || s.Width != 24 || s.Image().Bounds() != image.Rect(0, 0, 24, 24) {
		t.Errorf("the map is of class %d, %dx%d (%v)", s.Class, s.Width, s.Height, err)
	}
	if _, err := c.Saliency(img, 10); err == nil || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("an unknown class gave %v", err)
	}
}

// A model of labels or of values has the embeddings that its network has as a classifier.
func TestEmbeddingsOfTasks(t *testing.T) {
	names := []string{"red", "large", "new"}
	img := imageAt(t, garments(t, 4), 3)
	embed := func(path string) []float32 {
		c, err := inference.Load(path, device(t), engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Embedder(inference.EmbedConfig{})
		if err != nil {
			t.Fatal(err)
		}
		row, err := e.Embed(img)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return row
	}
	_, _, paths := answering(t, task.Targets{Task: task.Labels, Names: names})
	want := embed(paths[0])
	if len(want) != 84 {
		t.Fatalf("the embedding has %d numbers, want the 84 that the last layer takes", len(want))
	}
	_, _, values := answering(t, task.Targets{Task: task.Values, Names: names, Mean: []float64{1, 2, 3}, Std: []float64{4, 5, 6}})
	for _, path := range append(paths[1:], values...) {
		got := embed(path)
		if len(got) != len(want) {
			t.Fatalf("%s: %d numbers, want %d", path, len(got), len(want))
		}
		for i := range got {
			if math.Abs(float64(got[i]-want[i])) > 1e-5 {
				t.Fatalf("%s: number %d is %v, want %v", path, i, got[i], want[i])
			}
		}
	}
}

// Graphs of other programs have embeddings, too: what their last linear layer takes.
func TestEmbeddingsOfForeignGraphs(t *testing.T) {
	dev, embedded := device(t), 0
	for _, w := range foreignCases(t) {
		c, _, err := inference.LoadAs(w.path(), w.config(), dev, engine.FP32)
		if err != nil {
			t.Fatal(w.Name, err)
		}
		net, ok := c.Module().(*exchange.Network)
		if !ok {
			continue
		}
		l, ok := net.Layers[nn.Head(net)].(*nn.Linear)
		if !ok {
			t.Errorf("%s: the head is %q", w.Name, nn.Head(net))
			continue
		}
		img, err := c.OpenImage("testdata/photo.png")
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Embedder(inference.EmbedConfig{})
		if err != nil {
			t.Errorf("%s: %v", w.Name, err)
			continue
		}
		v, err := e.Embed(img)
		if err != nil || len(v) != l.Weight.Value.Shape()[1] {
			t.Errorf("%s: %d numbers (%v)", w.Name, len(v), err)
			continue
		}
		x, err := c.Prepare([]image.Image{img})
		if err != nil {
			t.Fatal(err)
		}
		logits, err := c.Logits(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range logits.Data() {
			got := l.Bias.Value.Data()[i]
			for j, f := range v {
				got += f * l.Weight.Value.Data()[i*len(v)+j]
			}
			if math.Abs(float64(got-want)) > 1e-4 {
				t.Errorf("%s: the embedding gives the logit %v, the network %v", w.Name, got, want)
			}
		}
		embedded++
		if _, err := c.Embedder(inference.EmbedConfig{Layer: "layer4"}); err == nil || !strings.Contains(err.Error(), "of an ONNX graph only layers with parameters") {
			t.Errorf("%s: an unknown layer gave %v", w.Name, err)
		}
	}
	if embedded == 0 {
		t.Error("no graph was embedded")
	}
}
