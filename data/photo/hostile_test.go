package photo

import (
	"bytes"
	"strings"
	"testing"
)

// Headers that claim more than the file holds soon give an error or the same pixels.
func TestHostileHeaders(t *testing.T) {
	_, contents := kinds(t)
	for _, c := range []struct{ name, old, new, want string }{
		{"grey8-1.tif", "\x02\x01\x03\x00\x01\x00\x00\x00", "\x02\x01\x03\x00\xff\xff\xff\xff", "samples of different sizes"},
		{"grey8-1.tif", "\x11\x01\x04\x00\x01\x00\x00\x00", "\x11\x01\x04\x00\xff\xff\xff\xff", "cut short"},
		{"grey8-1.tif", "\x15\x01\x03\x00\x01\x00\x00\x00\x01\x00", "\x15\x01\x03\x00\x01\x00\x00\x00\xff\xff", "65535 samples a pixel"},
		{"grey8-1.tif", "\x16\x01\x03\x00\x01\x00\x00\x00\x07\x00", "\x16\x01\x03\x00\x01\x00\x00\x00\x00\x00", "its parts are 13x0"},
		{"tiles5.tif", "\x42\x01\x03\x00\x01\x00\x00\x00\x10\x00", "\x42\x01\x03\x00\x01\x00\x00\x00\xff\xff", "its tiles are 65535 wide"},
		{"tiles5.tif", "\x43\x01\x03\x00\x01\x00\x00\x00\x10\x00", "\x43\x01\x03\x00\x01\x00\x00\x00\xff\xff", ""},
		{"shared.gif", ",\x00\x00\x00\x00\x02\x00\x02\x00", ",\x00\x00\x00\x00\x02\x00\xff\x0f", "cut short"},
		{"smaller.gif", ",\x01\x00\x01\x00", ",\xff\xff\xff\xff", "is too large: 65537x65537"},
		{"header40-8.bmp", "\x28\x00\x00\x00\x0d\x00\x00\x00\x07\x00\x00\x00", "\x28\x00\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x80", "its size is 13x2147483648"},
		{"header40-8.bmp", "\x28\x00\x00\x00\x0d\x00\x00\x00", "\x28\x00\x00\x00\xff\xff\xff\xff", "its size is -1x7"},
		{"header40-8.bmp", "\x28\x00\x00\x00\x0d\x00\x00\x00", "\x28\x00\x00\x00\x00\x00\x00\x00", "has no pixels (0x7)"},
		{"animation-lossless.webp", "VP8X\x0a\x00\x00\x00", "VP8X\x0a\x00\x00\x70", "cut short"},
		{"lossy-30.webp", "\x9d\x01\x2a\x2d\x00\x22\x00", "\x9d\x01\x2a\xff\x3f\xff\x3f", "is too large: 16383x16383"},
	} {
		content := contents[c.name]
		if !strings.Contains(string(content), c.old) {
			t.Errorf("%s has no %q", c.name, c.old)
			continue
		}
		full, _, err := Decode(content, Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		m, _, err := Decode([]byte(strings.Replace(string(content), c.old, c.new, 1)), Options{})
		switch {
		case c.want == "":
			if err != nil || !bytes.Equal(m.Pix, full.Pix) {
				t.Errorf("%s with %q is another image, %v", c.name, c.new, err)
			}
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s with %q: %v, want %q", c.name, c.new, err, c.want)
		}
	}
}
