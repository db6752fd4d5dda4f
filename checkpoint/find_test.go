package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// leave writes files, each a minute younger than the one before.
func leave(t *testing.T, paths ...string) {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	for i, p := range paths {
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		when := at.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindModel(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := FindModel(Last); err == nil || err.Error() != "last: no run in the folder runs has what is asked for; train one with residual train, or give a path" {
		t.Error(err)
	}
	leave(t, "runs/train-9/best.safetensors", "runs/train-9/last.safetensors", "runs/train-10/last.safetensors", "runs/train-10/settings.yaml",
		"runs/lr-find-1/lr-find.csv", "runs/train-11/settings.yaml", "runs/prune-1/pruned.safetensors", "runs/grow-1/grown.safetensors",
		"runs/grow-1/train/best.safetensors", "runs/grow-1/train/last.safetensors", "other/train-1/best.safetensors", "other/train-1/settings.yaml", "growth/settings.yaml", "growth/step-1/best.safetensors", "growth/step-2/best.safetensors",
		"shards/model.safetensors")
	for path, want := range map[string]string{
		"last":              "runs/grow-1/train/last.safetensors",
		"other/last":        "other/train-1/best.safetensors",
		"runs/train-9":      "runs/train-9/best.safetensors",
		"runs/train-9/":     "runs/train-9/best.safetensors",
		"runs/train-10":     "runs/train-10/last.safetensors",
		"runs/prune-1":      "runs/prune-1/pruned.safetensors",
		"runs/grow-1":       "runs/grow-1/train/last.safetensors",
		"runs/grow-1/train": "runs/grow-1/train/best.safetensors",
		"./last":            "./last", // a file's name
		"growth":            "growth/step-2/best.safetensors",
		"shards":            "shards",
		"runs/lr-find-1":    "runs/lr-find-1",
		"absent":            "absent",
		"":                  "",

		"runs/train-9/last.safetensors": "runs/train-9/last.safetensors",
	} {
		if got, err := FindModel(path); err != nil || filepath.ToSlash(got) != want {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
	}
	if _, err := FindModel("runs/train-11"); err == nil || !strings.HasPrefix(err.Error(), "runs/train-11: the run has no model yet") {
		t.Error(err)
	}
	leave(t, "other/last")
	if got, err := FindModel("other/last"); err != nil || got != "other/last" {
		t.Errorf("a file that is there is not taken: %s, %v", got, err)
	}
}

func TestFindRun(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := FindRun(Last); err == nil || !strings.HasPrefix(err.Error(), "last: no run in the folder runs") {
		t.Error(err)
	}
	leave(t, "runs/train-2/settings.yaml", "runs/train-1/settings.yaml", "runs/notes.txt", "runs/lr-find-1/lr-find.csv")
	for path, want := range map[string]string{"last": "runs/train-1", "runs/last": "runs/train-1", "runs/train-2": "runs/train-2", "absent": "absent"} {
		if got, err := FindRun(path); err != nil || filepath.ToSlash(got) != want {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
	}
}
