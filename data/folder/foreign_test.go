package folder

import (
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"
)

// Files that are not images are counted and reported: by their names, or by their content if
// they have the name of an image.
func TestForeignFilesAreNamed(t *testing.T) {
	root := t.TempDir()
	var b strings.Builder
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 40))); err != nil {
		t.Fatal(err)
	}
	heic := "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
	write(t, root, map[string]string{
		"a/1.png": b.String(), "a/phone.heic": heic, "a/phone.jpg": heic,
		"b/1.png": b.String(), "b/page.jpg": "<!DOCTYPE html><title>404</title>", "b/clip.mov": "\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ",
	})
	x, err := Scan(root)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := x.Check(t.Context(), Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Kinds(r.Others), "1 .heic, 1 .mov; convert .heic to JPEG or PNG"; got != want || !slices.Equal(r.Others, []string{"a/phone.heic", "b/clip.mov"}) {
		t.Errorf("%s: %q", got, r.Others)
	}
	if len(r.Broken) != 2 || !strings.HasSuffix(r.Broken[0].Error, "phone.jpg: is a HEIC image, which is not read here; convert it to JPEG or PNG") ||
		!strings.HasSuffix(r.Broken[1].Error, "page.jpg: is a web page, not an image; give an image in its place") {
		t.Errorf("%+v", r.Broken)
	}
	if r.Formats["png"] != 2 {
		t.Errorf("%v", r.Formats)
	}
}
