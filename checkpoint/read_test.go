package checkpoint

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// ReadMetrics reads what MetricsLog wrote, also while a line is being written.
func TestReadMetrics(t *testing.T) {
	r := &Run{Dir: t.TempDir()}
	if _, err := r.ReadMetrics(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a run without metrics: %v", err)
	}
	log, err := r.Metrics("epoch", "loss", "acc", "never")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []map[string]any{{"epoch": 0.5, "loss": 2.5}, {"epoch": 1, "loss": math.NaN(), "acc": 0.25}} {
		if err := log.Append(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(r.Path("metrics.csv"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("1.5,0.")
	f.Close()
	h, err := r.ReadMetrics()
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Column("epoch"); !slices.Equal(got, []float64{0.5, 1}) {
		t.Errorf("epochs %v", got)
	}
	if got := h.Column("loss"); len(got) != 2 || got[0] != 2.5 || !math.IsNaN(got[1]) {
		t.Errorf("losses %v", got)
	}
	if got := h.Column("acc"); len(got) != 2 || !math.IsNaN(got[0]) || got[1] != 0.25 {
		t.Errorf("accuracies %v", got)
	}
	if h.Column("never") != nil || h.Column("unknown") != nil {
		t.Error("a column without values has some")
	}
	if err := os.WriteFile(r.Path("metrics.csv"), []byte("a,b\n1\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadMetrics(); err == nil || !strings.Contains(err.Error(), "metrics.csv is damaged") {
		t.Errorf("a damaged table: %v", err)
	}
}

func TestListSettings(t *testing.T) {
	r := &Run{Dir: t.TempDir()}
	if _, err := r.ListSettings(); err == nil || !strings.Contains(err.Error(), "is not a run folder") {
		t.Errorf("a folder without settings: %v", err)
	}
	err := r.WriteSettings(struct {
		Model  string
		Blocks []int
		Inner  map[string]float64
	}{"resnet18", []int{2, 1}, map[string]float64{"lr": 0.5, "wd": 0.1}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.ListSettings()
	if want := []Setting{{"model", "resnet18"}, {"blocks", "2, 1"}, {"inner", "lr 0.5, wd 0.1"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("settings %v, %v; want %v", got, err, want)
	}
}
