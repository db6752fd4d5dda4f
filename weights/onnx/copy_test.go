package onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Copy keeps all other bytes of a file, including fields that are not read, and appends the
// metadata.
func TestCopyKeepsOtherFields(t *testing.T) {
	m := sample()
	m.Metadata = map[string]string{"other": "stays", "residual": "old"}
	var b bytes.Buffer
	if err := Write(&b, m); err != nil {
		t.Fatal(err)
	}
	unread := appendText(nil, 6, "a text that this package does not read")
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(path, append(b.Bytes(), unread...), 0o666); err != nil {
		t.Fatal(err)
	}
	var first, again bytes.Buffer
	if err := Copy(&first, path, map[string]string{"residual": "new", "more": "added"}); err != nil {
		t.Fatal(err)
	}
	got, err := Read(first.Bytes(), "copy")
	if err != nil {
		t.Fatal(err)
	}
	m.Metadata = map[string]string{"other": "stays", "residual": "new", "more": "added"}
	if !same(got, m) || !bytes.Contains(first.Bytes(), unread) || bytes.Contains(first.Bytes(), []byte("old")) {
		t.Errorf("the copy holds %+v", got)
	}
	if err := os.WriteFile(path, first.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := Copy(&again, path, map[string]string{"residual": "new", "more": "added"}); err != nil || !bytes.Equal(again.Bytes(), first.Bytes()) {
		t.Errorf("a copy with the same metadata differs, %v", err)
	}
	for n := 1; n < 40; n++ { // a truncated file
		if err := os.WriteFile(path, first.Bytes()[:len(first.Bytes())-n], 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err != nil && Copy(&again, path, nil) == nil {
			t.Errorf("%d bytes short, it was copied", n)
		}
	}
	if err := Copy(&full{}, path, nil); err == nil {
		t.Error("to a full disk it was copied")
	}
}

// Copy moves weights from other files into the model.
func TestCopyBringsWeightsInside(t *testing.T) {
	path := beside(t, inFile("a", Float, 3, entry("location", "m.onnx.data"), entry("offset", "8"), entry("length", "12")))
	var out bytes.Buffer
	if err := Copy(&out, path, map[string]string{"residual": "new"}); err != nil {
		t.Fatal(err)
	}
	got, err := Read(out.Bytes(), "copy")
	if err != nil || got.Metadata["residual"] != "new" || !slices.Equal(got.Graph.Initialisers[0].Tensor.Data(), []float32{0.25, 0.375, 0.5}) {
		t.Errorf("%+v, %v", got, err)
	}
}
