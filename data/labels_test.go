package data

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// counted is a data set that is not Described; it counts the images that are read.
type counted struct {
	Dataset
	reads, broken int
}

func (c *counted) Get(i int, pix []uint8) (int, error) {
	c.reads++
	label, err := c.Dataset.Get(i, pix)
	if c.broken > 0 && i == c.broken {
		label = 77
	}
	return label, err
}

// named is a data set that is Described and whose images must not be read.
type named struct{ Dataset }

func (n named) Get(int, []uint8) (int, error) { panic("read") }
func (n named) Describe(i int) (int, string)  { return 9 - i%10, "image " + string(rune('a'+i)) }

func TestLabels(t *testing.T) {
	ds, err := Open(context.Background(), "garments", Options{Size: 12})
	if err != nil {
		t.Fatal(err)
	}
	want, pix := make([]int, 7), make([]uint8, ds.Info().Numel())
	for i := range want {
		if want[i], err = ds.Get(i, pix); err != nil {
			t.Fatal(err)
		}
	}
	c := &counted{Dataset: ds}
	for _, d := range []Dataset{ds, c} {
		got, err := Labels(context.Background(), Resize(First(d, 7), 14))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("labels %v, %v, want %v", got, err, want)
		}
	}
	if c.reads != 7 || Describe(Resize(c, 14), 3) != "" {
		t.Errorf("%d images were read for 7 labels", c.reads)
	}
	n := First(Resize(named{ds}, 14), 3)
	if got, err := Labels(context.Background(), n); err != nil || !slices.Equal(got, []int{9, 8, 7}) || Describe(n, 2) != "image c" {
		t.Errorf("labels %v, %v; image 2 is %q", got, err, Describe(n, 2))
	}
	c.broken = 5
	if _, err := Labels(context.Background(), c); err == nil || !strings.Contains(err.Error(), "image 5: label 77 is outside 0..9") {
		t.Errorf("an impossible label: %v", err)
	}
	over, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Labels(over, ds); err != context.Canceled {
		t.Errorf("with a cancelled context: %v", err)
	}
}
