package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlainDownload(t *testing.T) {
	var out strings.Builder
	c := newClock()
	d := newDownload(&out, "labels.gz", false, false, c.now)
	for done := int64(0); done <= 4096; done += 128 {
		d.tell(done, 4096)
		c.pass(5)
	}
	d.tell(4096, 4096) // the second call prints nothing
	want := `labels.gz  1.50 KiB of 4.00 KiB  25 B/s  left 1m40s
labels.gz  3.00 KiB of 4.00 KiB  25 B/s  left 40s
labels.gz  4.00 KiB of 4.00 KiB  25 B/s
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// The total is unknown, and the download starts again from another mirror.
func TestDownloadOfUnknownLength(t *testing.T) {
	var out strings.Builder
	c := newClock()
	tell := newDownload(&out, "x\x1b[2J", false, false, c.now).tell
	for _, done := range []int64{0, 3 << 20, 6 << 20, 1 << 20, 2 << 20} {
		tell(done, -1)
		c.pass(60)
	}
	want := `x�[2J  3.00 MiB  51.2 KiB/s
x�[2J  6.00 MiB  51.2 KiB/s
x�[2J  2.00 MiB  17.1 KiB/s
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestLiveDownload(t *testing.T) {
	g, c := newGlass(t, 80, 24), newClock()
	d := newDownload(g, "labels.gz", true, true, c.now)
	d.screen.size = g.size
	for done := int64(0); done <= 4096; done += 64 {
		d.tell(done, 4096)
		if done == 2048 {
			want := "labels.gz  [============>             ]  2.00 KiB of 4.00 KiB  64 B/s  left 32s"
			if got := g.text(); got != want {
				t.Errorf("half way: %q, want %q", got, want)
			}
		}
		c.pass(1)
	}
	want := "labels.gz  [==============================]  4.00 KiB of 4.00 KiB  64 B/s"
	if got := g.text(); got != want {
		t.Errorf("at the end: %q, want %q", got, want)
	}
	if g.hidden || g.x != 0 || g.y != 1 {
		t.Errorf("cursor hidden %v at %d,%d; want it free on the next line", g.hidden, g.x, g.y)
	}
}

func TestDownloadLineFits(t *testing.T) {
	c := newClock()
	d := newDownload(&strings.Builder{}, "训练图像.gz", true, true, c.now)
	d.tell(0, 1<<40)
	c.pass(10)
	for _, total := range []int64{0, 1 << 20, 1 << 40} {
		for width := range 120 {
			if got := textWidth(d.line(c.at, 1<<19, total, width)); got > width {
				t.Errorf("total %d, width %d: %d columns", total, width, got)
			}
		}
	}
}
