package photo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
)

// A panic in a decoder becomes an error, and a panic in the function that chooses the part is not
// recovered.
func TestPanics(t *testing.T) {
	defer func(was []format) { formats = was }(formats)
	var none []int
	stumbles := func([]byte) (transforms.Image, error) { return transforms.NewImage(1, none[0], 1), nil }
	size := func([]byte) (int, int, error) { return 3, 2, nil }
	formats = append(formats[:len(formats):len(formats)],
		format{"late", starts("late"), size, stumbles},
		format{"early", starts("early"), func([]byte) (int, int, error) { return none[0], 1, nil }, stumbles})
	for _, content := range []string{"late", "early"} {
		_, _, err := Decode([]byte(content), Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "cannot be decoded (") || !strings.Contains(err.Error(), "index out of range") {
			t.Errorf("%s: %v", content, err)
		}
	}

	formats = formats[:len(formats)-2]
	read := map[string]bool{}
	for _, f := range pillow(t) {
		if read[f.Format] {
			continue
		}
		read[f.Format] = true
		content, err := os.ReadFile(filepath.Join("testdata", f.Name))
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if r := recover(); r != "lost count" {
					t.Errorf("%s: the panic passed as %v", f.Name, r)
				}
			}()
			_, _, err := DecodePart(content, Options{}, func(int, int) transforms.Crop { panic("lost count") })
			t.Errorf("%s: the panic became %v", f.Name, err)
		}()
	}
	if !read["jpeg"] || len(read) < 3 {
		t.Errorf("only %v were tried", read)
	}
}
