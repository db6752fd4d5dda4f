package photo

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"testing"
)

// turnedFile is an entry of testdata/orientation.json.
type turnedFile struct {
	Name, Content, CRC string
	Height, Width      int
}

func turnedFiles(t testing.TB) []turnedFile {
	t.Helper()
	text, err := os.ReadFile("testdata/orientation.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Files []turnedFile }
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Files) < 100 {
		t.Fatalf("%d files", len(f.Files))
	}
	return f.Files
}

func (f turnedFile) content(t testing.TB) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(f.Content)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Images are rotated exactly when Pillow rotates them, however the orientation is stored.
func TestOrientationMatchesPillow(t *testing.T) {
	turned := 0
	for _, f := range turnedFiles(t) {
		m, info, err := Decode(f.content(t), Options{})
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if crc := fmt.Sprintf("%08x", crc32.ChecksumIEEE(m.Pix)); m.Height != f.Height || m.Width != f.Width || crc != f.CRC {
			t.Errorf("%s: %d by %d, %s, by orientation %d; Pillow has %d by %d, %s", f.Name, m.Height, m.Width, crc, info.Orientation, f.Height, f.Width, f.CRC)
		}
		if m.Height > m.Width {
			turned++
		}
	}
	if turned < 30 {
		t.Errorf("only %d images were rotated by a quarter turn", turned)
	}
}
