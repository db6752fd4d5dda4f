package photo

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{
		"a/2.jpg", "a/10.PNG", "a/deep/er/1.webp", "a/notes.txt", "a/.hidden/3.jpg", "a/.4.jpg", "b/5.gif", "b/6.jpeg", "odd.dat", "[x].jpg", "none/readme.txt", "none/clip.mp4", "phone/1.HEIC", "phone/2.cr2", "phone/3.pdf",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		if err := os.Symlink("../b/5.gif", "a/link.gif"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../b", "a/loop.jpg"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ paths, want string }{
		{"odd.dat missing.png", "odd.dat missing.png"},
		{"a", "a/10.PNG a/2.jpg a/deep/er/1.webp a/link.gif"},
		{"b a/deep", "b/5.gif b/6.jpeg a/deep/er/1.webp"},
		{"a/*.jpg", "a/.4.jpg a/2.jpg"},
		{"a/**/*.{webp,PNG}", "a/10.PNG a/deep/er/1.webp"},
		{"?/*", "a/.4.jpg a/10.PNG a/2.jpg a/link.gif b/5.gif b/6.jpeg"},
		{"[x].jpg", "[x].jpg"},
		{"phone phone/*", "phone/1.HEIC phone/2.cr2 phone/1.HEIC phone/2.cr2"},
		{"none b/*.gif", "!folder none: holds no image (.jpg, .jpeg, .png, .gif, .webp, .bmp, .tif, .tiff, .jfif, .jpe) b/5.gif"},
		{"*.bmp odd.dat", "!pattern *.bmp: matches no image odd.dat"},
		{"nowhere/** odd.dat", "!pattern nowhere/**: matches no image odd.dat"},
		{"{a", "!pattern {a: syntax error in pattern"},
	} {
		var got []string
		for path, err := range Find(slices.Values(strings.Fields(c.paths))) {
			if err != nil {
				path = "!" + err.Error()
			}
			got = append(got, filepath.ToSlash(path))
		}
		if text := strings.Join(got, " "); text != c.want && !(runtime.GOOS == "windows" && strings.Contains(c.want, "link")) {
			t.Errorf("%s:\n got %s\nwant %s", c.paths, text, c.want)
		}
	}
	for path := range Find(slices.Values([]string{"a", "b"})) {
		if path != filepath.Join("a", "10.PNG") {
			t.Errorf("after the end of the loop came %s", path)
		}
		break
	}
}
