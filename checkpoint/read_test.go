package checkpoint

import (
	"slices"
	"strings"
	"testing"
)

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
