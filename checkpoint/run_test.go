package checkpoint

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRunsAreNumbered(t *testing.T) {
	root := filepath.Join(t.TempDir(), "new", "runs")
	for _, c := range []struct{ name, want string }{
		{"train", "train-1"}, {"train", "train-2"}, {"study", "study-1"}, {"train", "train-3"},
	} {
		r, err := NewRun(root, c.name)
		if err != nil || r.Dir != filepath.Join(root, c.want) {
			t.Fatalf("%s: %v, %v", c.want, r, err)
		}
	}
	if err := os.Remove(filepath.Join(root, "train-1")); err != nil {
		t.Fatal(err)
	}
	// Folders with other names, one that only looks like a number, and a file.
	for _, other := range []string{"train-x", "train-007", "train", "train-99999999999999999999", "trainer-9"} {
		if err := os.Mkdir(filepath.Join(root, other), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "train-10"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if r, err := NewRun(root, "train"); err != nil || filepath.Base(r.Dir) != "train-11" {
		t.Errorf("after train-10: %v, %v", r, err)
	}
}

func TestRunsAtTheSameTime(t *testing.T) {
	root := t.TempDir()
	const n = 40
	var wg sync.WaitGroup
	dirs := make([]string, n)
	for i := range n {
		wg.Go(func() {
			r, err := NewRun(root, "train")
			if err != nil {
				t.Error(err)
				return
			}
			dirs[i] = r.Dir
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, d := range dirs {
		if seen[d] {
			t.Errorf("%s was given twice", d)
		}
		seen[d] = true
	}
}

func TestNewRunWhereItCannot(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{blocked, filepath.Join(blocked, "runs")} {
		_, err := NewRun(root, "train")
		if err == nil || !strings.Contains(err.Error(), "the folder "+root+" ") || !strings.Contains(err.Error(), "with Out") {
			t.Errorf("%s: %v", root, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, "/a"} {
		if _, err := NewRun(t.TempDir(), name); err == nil {
			t.Errorf("name %q was taken", name)
		}
	}
}

func TestReadOnlyFolder(t *testing.T) {
	root := t.TempDir()
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	if os.WriteFile(filepath.Join(root, "probe"), nil, 0o666) == nil {
		t.Skip("this user may write to read-only folders: run as a user without that right")
	}
	if _, err := NewRun(root, "train"); err == nil || !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "with Out") {
		t.Errorf("got %v", err)
	}
}

func TestSettings(t *testing.T) {
	r, err := NewRun(t.TempDir(), "train")
	if err != nil {
		t.Fatal(err)
	}
	type settings struct {
		Model string
		LR    float64 `yaml:"lr"`
		Data  struct{ Resize int }
	}
	s := settings{Model: "d2l-resnet18", LR: 0.05}
	s.Data.Resize = 96
	if err := r.WriteSettings(s); err != nil {
		t.Fatal(err)
	}
	text := read(t, r.Path("settings.yaml"))
	if want := "model: d2l-resnet18\nlr: 0.05\ndata:\n  resize: 96\n"; text != want {
		t.Errorf("got %q", text)
	}
	var back settings
	if err := yaml.Unmarshal([]byte(text), &back); err != nil || back != s {
		t.Errorf("%+v, %v", back, err)
	}
}

func openLog(t *testing.T, r *Run, columns ...string) *MetricsLog {
	t.Helper()
	m, err := r.Metrics(columns...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestMetricsLog(t *testing.T) {
	r := &Run{Dir: t.TempDir()}
	m := openLog(t, r, "epoch", "loss", "test_acc", "note", "best")
	accuracy := float32(0.9)
	type row struct {
		Epoch  int
		Loss   float64
		Test   *float32 `json:"test_acc,omitempty"`
		Note   string   `json:"note,omitempty"`
		Hidden []int    `json:"-"`
		secret int
	}
	for _, x := range []any{
		row{Epoch: 1, Loss: math.NaN(), secret: 1},
		&row{Epoch: 2, Loss: 1e-7, Test: &accuracy, Note: `a "b", c`},
		map[string]any{"epoch": uint8(3), "best": true, "loss": nil, "test_acc": 1e6},
		map[string]float64{"loss": math.Inf(-1)},
	} {
		if err := m.Append(x); err != nil {
			t.Fatal(err)
		}
	}
	// The rows are in the files before Close.
	wantCSV := "epoch,loss,test_acc,note,best\n" +
		"1,NaN,,,\n2,1e-07,0.9,\"a \"\"b\"\", c\",\n3,,1e+06,,true\n,-Inf,,,\n"
	wantJSON := `{"epoch":1,"loss":null}` + "\n" + `{"epoch":2,"loss":1e-07,"test_acc":0.9,"note":"a \"b\", c"}` + "\n" +
		`{"epoch":3,"test_acc":1e+06,"best":true}` + "\n" + `{"loss":"-Inf"}` + "\n"
	if d := cmp.Diff(wantCSV, read(t, r.Path("metrics.csv"))); d != "" {
		t.Errorf("CSV (-want +got):\n%s", d)
	}
	if d := cmp.Diff(wantJSON, read(t, r.Path("metrics.jsonl"))); d != "" {
		t.Errorf("JSON lines (-want +got):\n%s", d)
	}
	for want, x := range map[string]any{
		`no column "lr"; the columns are epoch`: map[string]any{"epoch": 4, "lr": 1},
		"loss: a value of type []int":           map[string]any{"loss": []int{1}},
		"has several lines":                     map[string]any{"note": "a\nb"},
		"a row of type []int":                   []int{1},
		"a row of type <nil>":                   nil,
		"a row of type *checkpoint.row":         (*row)(nil),
		"a row of type map[int]int":             map[int]int{1: 1},
	} {
		if err := m.Append(x); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if read(t, r.Path("metrics.csv")) != wantCSV || read(t, r.Path("metrics.jsonl")) != wantJSON {
		t.Error("a refused row left something")
	}
	if err := m.Append(row{}); err == nil {
		t.Error("a closed log takes rows")
	}
}

func TestMetricsGoOn(t *testing.T) {
	r := &Run{Dir: t.TempDir()}
	for i := range 3 {
		m := openLog(t, r, "epoch", "loss")
		if err := m.Append(map[string]int{"epoch": i}); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		// A power failure during the next row.
		for _, name := range []string{"metrics.csv", "metrics.jsonl"} {
			text := read(t, r.Path(name))
			if err := os.WriteFile(r.Path(name), []byte(text+"1,0."), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	openLog(t, r, "epoch", "loss")
	if got, want := read(t, r.Path("metrics.csv")), "epoch,loss\n0,\n1,\n2,\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := read(t, r.Path("metrics.jsonl")), "{\"epoch\":0}\n{\"epoch\":1}\n{\"epoch\":2}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := os.WriteFile(r.Path("metrics.csv"), []byte("epoch,lo"), 0o666); err != nil { // an incomplete head
		t.Fatal(err)
	}
	openLog(t, r, "epoch", "loss")
	if got := read(t, r.Path("metrics.csv")); got != "epoch,loss\n" {
		t.Errorf("a cut head became %q", got)
	}
}

func TestMetricsRefuse(t *testing.T) {
	r := &Run{Dir: t.TempDir()}
	const foreign = "a,b\n1,2" // the incomplete last line stays as it is
	if err := os.WriteFile(r.Path("metrics.csv"), []byte(foreign), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Metrics("a", "c"); err == nil || !strings.Contains(err.Error(), `has the columns "a,b", not "a,c"`) {
		t.Errorf("other columns: %v", err)
	}
	if got := read(t, r.Path("metrics.csv")); got != foreign {
		t.Errorf("the other log became %q", got)
	}
	for _, columns := range [][]string{{}, {""}, {"a", "a"}, {"a\nb"}} {
		if _, err := r.Metrics(columns...); err == nil {
			t.Errorf("columns %q were taken", columns)
		}
	}
	absent := &Run{Dir: filepath.Join(t.TempDir(), "absent")}
	if _, err := absent.Metrics("a"); err == nil || !strings.Contains(err.Error(), "with Out") {
		t.Errorf("an absent folder: %v", err)
	}
}

// fullDisk writes half of the data of the write that it fails.
type fullDisk struct {
	lineFile
	full bool
}

func (d *fullDisk) WriteAt(p []byte, at int64) (int, error) {
	if d.full {
		n, _ := d.lineFile.WriteAt(p[:len(p)/2], at)
		return n, errInjected
	}
	return d.lineFile.WriteAt(p, at)
}

// A row that cannot be written completely leaves nothing in either file.
func TestMetricsOnAFullDisk(t *testing.T) {
	r := &Run{Dir: t.TempDir()}
	m := openLog(t, r, "epoch")
	table, objects := &fullDisk{lineFile: m.table.f}, &fullDisk{lineFile: m.objects.f}
	m.table.f, m.objects.f = table, objects
	for i, full := range [][2]bool{{}, {true, false}, {false, true}, {true, true}, {}} {
		table.full, objects.full = full[0], full[1]
		err := m.Append(map[string]int{"epoch": i})
		if failed := full[0] || full[1]; failed != errors.Is(err, errInjected) || failed && !strings.Contains(err.Error(), "metrics.") {
			t.Errorf("row %d: %v", i, err)
		}
	}
	if got := read(t, r.Path("metrics.csv")); got != "epoch\n0\n4\n" {
		t.Errorf("got %q", got)
	}
	if got := read(t, r.Path("metrics.jsonl")); got != "{\"epoch\":0}\n{\"epoch\":4}\n" {
		t.Errorf("got %q", got)
	}
}
