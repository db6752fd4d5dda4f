package checkpoint

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"
)

// MetricsRows reads what MetricsLog wrote, NaN included, and leaves out an incomplete line.
func TestMetricsRows(t *testing.T) {
	type row struct {
		Epoch    int
		Loss     Number
		Accuracy *Number `json:"test_acc"`
		Rate     Number
	}
	r := &Run{Dir: t.TempDir()}
	empty := row{Rate: -1}
	if _, err := MetricsRows(r, empty); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a run without metrics: %v", err)
	}
	log, err := r.Metrics("epoch", "loss", "test_acc", "rate")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []map[string]any{{"epoch": 1, "loss": math.NaN()}, {"epoch": 2, "loss": math.Inf(1), "test_acc": 0.5, "rate": 3}} {
		if err := log.Append(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.Path("metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.Path("metrics.jsonl"), append(text, `{"epoch":3,"lo`...), 0o666); err != nil {
		t.Fatal(err)
	}
	rows, err := MetricsRows(r, empty)
	if err != nil || len(rows) != 2 || !math.IsNaN(float64(rows[0].Loss)) || rows[0].Accuracy != nil || rows[0].Rate != -1 ||
		!math.IsInf(float64(rows[1].Loss), 1) || *rows[1].Accuracy != 0.5 || rows[1].Rate != 3 {
		t.Errorf("%+v, %v", rows, err)
	}
	if err := os.WriteFile(r.Path("metrics.jsonl"), []byte("{\"epoch\":1}\n{\"epoch\":2,\"loss\":\"little\"}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := MetricsRows(r, empty); err == nil || !strings.Contains(err.Error(), "metrics.jsonl, line 2: ") {
		t.Errorf("a damaged row: %v", err)
	}
}
