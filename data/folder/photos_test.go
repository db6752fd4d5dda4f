package folder

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/photo"
)

// The same settings write the same files, which have about the size of photos.
func TestMakePhotos(t *testing.T) {
	var first [][]byte
	for range 2 {
		dir := t.TempDir()
		if err := MakePhotos(context.Background(), dir, PhotoConfig{Count: 4, Classes: 2, Seed: 5}); err != nil {
			t.Fatal(err)
		}
		var all [][]byte
		for _, name := range []string{"000/00000.jpg", "001/00001.jpg", "000/00002.jpg", "001/00003.jpg"} {
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			m, info, err := photo.Decode(content, photo.Options{})
			if err != nil || m.Width != 500 || m.Height != 375 || info.Format != "jpeg" || len(content) < 30_000 || len(content) > 130_000 {
				t.Errorf("%s: %d bytes of %dx%d, %v", name, len(content), m.Width, m.Height, err)
			}
			all = append(all, content)
		}
		for i := range first {
			if !bytes.Equal(first[i], all[i]) {
				t.Errorf("photo %d differs", i)
			}
		}
		first = all
		if err := MakePhotos(context.Background(), dir, PhotoConfig{}); err == nil || !strings.Contains(err.Error(), "not empty") {
			t.Errorf("over others: %v", err)
		}
	}
	if err := MakePhotos(context.Background(), t.TempDir(), PhotoConfig{Quality: 101}); err == nil {
		t.Error("quality 101 is taken")
	}
}
