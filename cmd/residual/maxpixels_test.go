package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// Every command that refuses an image of too many pixels says once which flag accepts it.
func TestTooManyPixelsNameTheFlag(t *testing.T) {
	dir := t.TempDir()
	photos, runs := filepath.Join(dir, "photos"), filepath.Join(dir, "runs")
	model := filepath.Join(runs, "train-1", "best.safetensors")
	for _, args := range [][]string{
		{"data", "make", photos, "--per-class", "2"},
		{"train", "--data", photos, "--model", "cifar-resnet8", "--resize", "32", "--epochs", "1", "--cache", "off", "--holdout", "0.5", "--out", runs},
	} {
		var out, errs bytes.Buffer
		if status := run(context.Background(), args, &out, &errs); status != 0 {
			t.Fatalf("%s: status %d, %s", args[0], status, errs.String())
		}
	}
	for _, args := range [][]string{
		{"eval", model},
		{"predict", model, filepath.Join(photos, "bag", "0000.jpg")},
		{"train", "--resume", filepath.Join(runs, "train-1"), "--epochs", "2"},
	} {
		var out, errs bytes.Buffer
		status := run(context.Background(), append(args, "--max-pixels", "100"), &out, &errs)
		if status != 1 || !strings.Contains(errs.String(), "where 100 pixels are possible") || strings.Count(errs.String(), "(--max-pixels ") != 1 {
			t.Errorf("%s: status %d, %q", args[0], status, errs.String())
		}
	}
	var out, errs bytes.Buffer
	status := run(context.Background(), []string{"train", "--data", photos, "--dry-run", "--cache", "off", "--max-pixels", "100"}, &out, &errs)
	if status != 1 || !strings.Contains(errs.String(), "20 of these for having more pixels than are allowed, up to ") {
		t.Errorf("a folder of images that are all too large: status %d, %q", status, errs.String())
	}
}
