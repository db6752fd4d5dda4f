package weights_test

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/safetensors"
)

// writeShards writes tensors of one number each into the files of a folder, and an index.
func writeShards(t *testing.T, dir string, files map[string][]string, index map[string]string) string {
	t.Helper()
	for name, tensors := range files {
		var state []tensor.Named
		for _, n := range tensors {
			state = append(state, tensor.Named{Name: n, Tensor: tensor.New(1).Fill(float32(len(n)))})
		}
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := safetensors.Write(f, state, map[string]string{"format": "pt"}); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	text, err := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 12}, "weight_map": index})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "model.safetensors.index.json")
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	path := writeShards(t, dir, map[string][]string{"a.safetensors": {"one", "three"}, "b.safetensors": {"eleven"}},
		map[string]string{"one": "a.safetensors", "three": "a.safetensors", "eleven": "b.safetensors"})
	for _, p := range []string{path, dir} {
		f, err := weights.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		all, err := f.Tensors()
		if err != nil {
			t.Fatal(err)
		}
		if f.Format != weights.Safetensors || f.Path != path || f.Metadata["format"] != "pt" || len(all) != 3 || !slices.Equal(f.Names(), []string{"one", "three", "eleven"}) {
			t.Errorf("%s: %s of %s, %v, %v", p, f.Format, f.Path, f.Metadata, f.Names())
		}
		for name, v := range all {
			if _, shape, ok := f.Info(name); !ok || !shape.Equal(tensor.Shape{1}) || v.Data()[0] != float32(len(name)) {
				t.Errorf("%s is %v of %v", name, v.Data(), shape)
			}
		}
		if one, err := f.Tensor("eleven"); err != nil || one.Data()[0] != 6 {
			t.Errorf("eleven: %v, %v", one, err)
		}
		if _, err := f.Tensor("two"); err == nil || !strings.Contains(err.Error(), `no tensor "two"`) {
			t.Errorf("two: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if names, err := weights.Shards(path); err != nil || !slices.Equal(names, []string{"a.safetensors", "b.safetensors"}) {
		t.Errorf("shards %q, %v", names, err)
	}
	if format, err := weights.Detect(path); err != nil || format != weights.Safetensors {
		t.Errorf("%s, %v", format, err)
	}
	// A single file is preferred to an index.
	b, err := os.ReadFile(filepath.Join(dir, "b.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	single := filepath.Join(dir, "model.safetensors")
	if err := os.WriteFile(single, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if found, err := weights.Locate(dir); err != nil || found != single {
		t.Errorf("located %s, %v", found, err)
	}
	if _, err := weights.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a folder with none of model.safetensors, model.safetensors.index.json") {
		t.Errorf("an empty folder: %v", err)
	}
}

// In huggingface_hub's cache the files of a snapshot are links into a neighbouring folder.
func TestShardsInACache(t *testing.T) {
	model := t.TempDir()
	blobs, snapshot := filepath.Join(model, "blobs"), filepath.Join(model, "snapshots", "abc")
	for _, dir := range []string{blobs, snapshot} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	writeShards(t, blobs, map[string][]string{"1234": {"one"}}, map[string]string{"one": "a.safetensors"})
	for to, from := range map[string]string{"1234": "a.safetensors", "model.safetensors.index.json": "model.safetensors.index.json"} {
		if err := os.Symlink(filepath.Join("..", "..", "blobs", to), filepath.Join(snapshot, from)); err != nil {
			t.Skip("this system makes no symbolic links: ", err)
		}
	}
	f, err := weights.Open(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !slices.Equal(f.Names(), []string{"one"}) {
		t.Errorf("names %q", f.Names())
	}
}

func TestShardsRefuse(t *testing.T) {
	const a, b = "a.safetensors", "b.safetensors"
	files := map[string][]string{a: {"one"}, b: {"two"}}
	for what, c := range map[string]struct {
		index map[string]string
		text  string // in place of that
		spoil func(dir string) error
		want  []string
	}{
		"a tensor that its shard lacks":     {index: map[string]string{"one": a, "two": b, "three": b}, want: []string{`"three"`, b}},
		"a tensor in another shard":         {index: map[string]string{"one": b, "two": b, "four": a}, spoil: more(a, "one", "four"), want: []string{`"one"`, a, b}},
		"a tensor that is not listed":       {index: map[string]string{"one": a, "two": b}, spoil: more(a, "one", "four"), want: []string{`"four"`, a}},
		"a shard that is not there":         {index: map[string]string{"one": a, "two": "c.safetensors"}, want: []string{"c.safetensors", "put that file beside the index"}},
		"a path upwards":                    {index: map[string]string{"one": "../" + a}, want: []string{`"../a.safetensors"`, "not the name of a file beside it"}},
		"an absolute path":                  {index: map[string]string{"one": "/etc/passwd"}, want: []string{"/etc/passwd", "not the name of a file"}},
		"a folder":                          {index: map[string]string{"one": ".."}, want: []string{`".."`}},
		"a path of another system":          {index: map[string]string{"one": `..\a`, "two": "c:a"}, want: []string{"not the name of a file"}},
		"no name":                           {index: map[string]string{"one": ""}, want: []string{`""`}},
		"itself":                            {index: map[string]string{"one": "model.safetensors.index.json"}, want: []string{"not the name of a file"}},
		"a link out of the folder":          {index: map[string]string{"one": a, "two": b}, spoil: link(b, "/etc/hostname"), want: []string{b, "escapes"}},
		"a link to a device":                {index: map[string]string{"one": a, "two": b}, spoil: link(b, "/dev/zero"), want: []string{b}},
		"a folder in the place of a shard":  {index: map[string]string{"one": a, "two": b}, spoil: folder(b), want: []string{b, "not a regular file"}},
		"a shard that is something else":    {index: map[string]string{"one": a, "two": b}, spoil: text(b, "<html>"), want: []string{b}},
		"an empty shard":                    {index: map[string]string{"one": a, "two": b}, spoil: text(b, ""), want: []string{b}},
		"no weight_map":                     {text: `{"metadata": {}}`, want: []string{"no weight_map"}},
		"no JSON":                           {text: `{"weight_map": `, want: []string{"no index of shards"}},
		"a weight_map of something else":    {text: `{"weight_map": {"one": 1}}`, want: []string{"no index of shards"}},
		"more files than can be":            {index: manyFiles(), want: []string{"600 files"}},
		"an index that is a list of tables": {text: `[]`, want: []string{"no index of shards"}},
	} {
		dir := t.TempDir()
		path := writeShards(t, dir, files, c.index)
		if c.text != "" {
			if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if c.spoil != nil {
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
		}
		_, err := weights.Open(path)
		for _, want := range append(c.want, path) {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: want %q, got %v", what, want, err)
			}
		}
	}
}

func more(name string, tensors ...string) func(string) error {
	return func(dir string) error {
		return create(filepath.Join(dir, name), func(w io.Writer) error {
			var state []tensor.Named
			for _, n := range tensors {
				state = append(state, tensor.Named{Name: n, Tensor: tensor.New(1)})
			}
			return safetensors.Write(w, state, nil)
		})
	}
}

func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return write(f)
}

func link(name, to string) func(string) error {
	return func(dir string) error {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.Symlink(to, path)
	}
}

func folder(name string) func(string) error {
	return func(dir string) error {
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.Mkdir(path, 0o777)
	}
}

func text(name, content string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666) }
}

func manyFiles() map[string]string {
	all := map[string]string{}
	for i := range 600 {
		name := strings.Repeat("x", i+1)
		all[name] = name
	}
	return maps.Clone(all)
}
