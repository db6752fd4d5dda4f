package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGeneratedFilesAreCurrent: what is committed is what this generator writes.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	dir := t.TempDir()
	generate(dir)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 58 {
		t.Fatalf("the generator wrote %v (%v), want 58 files", files, err)
	}
	for _, f := range files {
		want, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", filepath.Base(f)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is out of date: run go generate in the parent folder", filepath.Base(f))
		}
	}
}
