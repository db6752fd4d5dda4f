package checkpoint

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/residual-ml/residual/tensor"
)

func sampleState() (State, Values) {
	return State{
			Epoch: 3, Steps: 30, OptimizerSteps: 30, BestEpoch: 2, BestAccuracy: 0.1 + 0.2, Seconds: 1.5,
			Settings: json.RawMessage(`{"lr":0.05,"seed":18446744073709551615}`), Model: sampleModel(),
		}, Values{
			Model: []tensor.Named{
				{Name: "z.weight", Tensor: tensor.FromSlice([]float32{1, float32(math.Inf(-1)), 1e-45, float32(math.Copysign(0, -1))}, 2, 2)},
				{Name: "a.count", Tensor: tensor.FromInts([]int64{-7, math.MaxInt64}, 2)},
			},
			Optimizer: []tensor.Named{{Name: "z.weight.0", Tensor: tensor.FromSlice([]float32{5, 6, 7, 8}, 2, 2)}},
			Average:   []tensor.Named{{Name: "z.weight", Tensor: tensor.FromSlice([]float32{0.5, 2, 3, -1}, 2, 2)}},
		}
}

func TestStateRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.safetensors")
	want, values := sampleState()
	score := Number(-1.0 / 3) // the score of a custom metric
	want.BestScore = &score
	if err := SaveState(path, want, values); err != nil {
		t.Fatal(err)
	}
	want.Version, want.Model = stateVersion, want.Model.resolved()
	got, v, err := LoadState(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("state (-want +got):\n%s", d)
	}
	if short, err := ReadState(path); err != nil || !cmp.Equal(got, short, cmpopts.EquateNaNs()) {
		t.Errorf("without its tensors it is %+v, %v", short, err)
	}
	for part, pair := range map[string][2][]tensor.Named{"model": {v.Model, values.Model}, "optimizer": {v.Optimizer, values.Optimizer}, "average": {v.Average, values.Average}} {
		if g, w := bits(pair[0]), bits(pair[1]); !slices.Equal(g, w) {
			t.Errorf("%s: got %q, want %q", part, g, w)
		}
	}
}

// bits lists names, shapes and elements, sorted, since Int64 tensors may come before the others.
func bits(all []tensor.Named) []string {
	var lines []string
	for _, n := range all {
		line := fmt.Sprint(n.Name, n.Tensor.Shape(), n.Tensor.Ints())
		for _, x := range n.Tensor.Data() {
			line += fmt.Sprintf(" %08x", math.Float32bits(x))
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// A file that differs from the original in any bit, or in its length, is refused.
func TestDamagedStates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.safetensors")
	s, values := sampleState()
	if err := SaveState(path, s, values); err != nil {
		t.Fatal(err)
	}
	whole := read(t, path)
	broken := func(what, content string) {
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		got, v, err := LoadState(path)
		if err == nil {
			t.Fatalf("%s was taken: %+v %v", what, got, bits(v.Model))
		}
		if strings.Count(err.Error(), path) != 1 || !strings.Contains(err.Error(), "start a new run") {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for n := range len(whole) {
		broken(fmt.Sprintf("a file of %d bytes", n), whole[:n])
	}
	broken("a longer file", whole+"\x00")
	header := int(whole[0]) | int(whole[1])<<8
	spared := 0
	for at := range len(whole) {
		flipped := []byte(whole)
		flipped[at] ^= 4
		if at >= 8 && at < 8+header && harmless(t, path, flipped, values) {
			spared++ // such as other white space after the header
			continue
		}
		broken(fmt.Sprintf("byte %d changed", at), string(flipped))
	}
	if spared > 16 {
		t.Errorf("%d changed bytes are not noticed", spared)
	}
	os.Remove(path)
	if _, _, err := LoadState(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("without the file: %v", err)
	}
}

// harmless reports whether a changed header still describes the same state and values.
func harmless(t *testing.T, path string, content []byte, want Values) bool {
	t.Helper()
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	_, v, err := LoadState(path)
	return err == nil && slices.Equal(bits(v.Model), bits(want.Model)) && slices.Equal(bits(v.Optimizer), bits(want.Optimizer))
}

func TestStatesThatCannotBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.safetensors")
	for want, change := range map[string]func(*State){
		"after epoch 0":      func(s *State) { s.Epoch = 0 },
		"the best of which":  func(s *State) { s.BestEpoch = 4 },
		"after 2 steps":      func(s *State) { s.Steps = 2 },
		"-1 of the opti":     func(s *State) { s.OptimizerSteps = -1 },
		"accuracy 1.5":       func(s *State) { s.BestAccuracy = 1.5 },
		"accuracy NaN":       func(s *State) { s.BestAccuracy = math.NaN() },
		"-1 seconds":         func(s *State) { s.Seconds = -1 },
		"without settings":   func(s *State) { s.Settings = nil },
		"names no classes":   func(s *State) { s.Model.Classes = nil },
		"names no architect": func(s *State) { s.Model.Architecture = "" },
	} {
		s, v := sampleState()
		change(&s)
		if err := SaveState(path, s, v); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a state that cannot be was written")
	}
	if _, err := stateIn(`{"version":2}`); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("of a later version: %v", err)
	}
}

func TestCutMetrics(t *testing.T) {
	const csv, rows = "epoch,note\n1,\"a \"\"b\"\n2,x\n3,y\n", "{\"epoch\":1}\n{\"epoch\":2}\n{\"epoch\":3}\n"
	type row struct{ Epoch int }
	upTo := func(last int) func(row) bool { return func(r row) bool { return r.Epoch <= last } }
	for _, c := range []struct {
		name, csv, rows string
		last            int
		wantCSV         string
		wantRows        string
		want            string // part of the error
	}{
		{"two of three", csv, rows, 2, csv[:len(csv)-4], rows[:24], ""},
		{"all", csv, rows, 9, csv, rows, ""},
		{"none", csv, rows, 0, "epoch,note\n", "", ""},
		{"a row of which only the first file has any", csv + "4,z\n", rows, 9, csv, rows, ""},
		{"a crash between the files", csv, rows[:24], 2, csv[:len(csv)-4], rows[:24], ""},
		{"rows that were cut in the middle", csv + "4,", rows + "{\"epo", 9, csv, rows, ""},
		{"behind the cut all may be damaged", csv, rows[:24] + "{\"epoch\":9}\nxx\n", 2, csv[:len(csv)-4], rows[:24], ""},
		{"empty files", "", "", 2, "", "", ""},
		{"damaged", csv, rows[:12] + "xx\n", 9, csv, rows[:12] + "xx\n", "metrics.jsonl, line 2"},
		{"lost rows", csv[:len(csv)-4], rows, 9, csv[:len(csv)-4], rows, "metrics.csv has 2 rows where metrics.jsonl has 3"},
	} {
		r := &Run{Dir: t.TempDir()}
		for name, text := range map[string]string{"metrics.csv": c.csv, "metrics.jsonl": c.rows} {
			if err := os.WriteFile(r.Path(name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		err := CutMetrics(r, row{}, upTo(c.last))
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, got %v", c.name, c.want, err)
		}
		if gotCSV, gotRows := read(t, r.Path("metrics.csv")), read(t, r.Path("metrics.jsonl")); gotCSV != c.wantCSV || gotRows != c.wantRows {
			t.Errorf("%s: left %q and %q, want %q and %q", c.name, gotCSV, gotRows, c.wantCSV, c.wantRows)
		}
	}
	if err := CutMetrics(&Run{Dir: t.TempDir()}, row{}, upTo(1)); err != nil {
		t.Errorf("without files: %v", err)
	}
}

func TestReadSettings(t *testing.T) {
	r := &Run{Dir: t.TempDir()}
	type settings struct {
		LR   float32 `yaml:"lr"`
		Seed uint64
	}
	var got settings
	if err := r.ReadSettings(&got); err == nil || !strings.Contains(err.Error(), r.Dir+" is not a run folder") {
		t.Errorf("without a file: %v", err)
	}
	for _, want := range []settings{{0.05, math.MaxUint64}, {math.Nextafter32(0.1, 1), 0}, {math.SmallestNonzeroFloat32, 1}, {math.MaxFloat32, 2}} {
		if err := r.WriteSettings(want); err != nil {
			t.Fatal(err)
		}
		if err := r.ReadSettings(&got); err != nil || got != want {
			t.Errorf("got %+v, want %+v (%v)", got, want, err)
		}
	}
	for text, want := range map[string]string{
		"lr: [1":                "settings.yaml is damaged",
		"lr: 1\nseee: 4\n":      `line 2: there is no setting "seee"`,
		"lr: 1\nlr: 2\n":        "already defined",
		"lr: much\n":            "cannot unmarshal",
		"lr: 1\n---\nlr: 2\n":   "more text after the settings",
		"lr: 1\nlR: 2\nseed: 4": `there is no setting "lR"`,
		"":                      "settings.yaml is damaged",
	} {
		if err := os.WriteFile(r.Path("settings.yaml"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := r.ReadSettings(&got); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "checkpoint.") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := os.WriteFile(r.Path("settings.yaml"), []byte("lr: 3\nother: 4\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := r.PickSettings(&got); err != nil || got.LR != 3 {
		t.Errorf("picked %+v (%v)", got, err)
	}
}

// Sweep removes only what a killed program left.
func TestSweep(t *testing.T) {
	r := &Run{Dir: t.TempDir()}
	kept := []string{".residual-note", "a.tmp", "last.safetensors"}
	for _, name := range append([]string{tempName("0123456789abcdef")}, kept...) {
		if err := os.WriteFile(r.Path(name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Sweep(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if !slices.Equal(left, kept) {
		t.Errorf("left %q, want %q", left, kept)
	}
}
