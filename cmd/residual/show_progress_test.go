package main

import (
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/train"
)

// hand is a clock that a test moves.
type hand struct{ at time.Time }

func newHand() *hand                  { return &hand{time.Unix(1e9, 0)} }
func (h *hand) now() time.Time        { return h.at }
func (h *hand) pass(by time.Duration) { h.at = h.at.Add(by) }

// Without a terminal there is a line a minute, and none if the work takes less.
func TestCountIsSeldom(t *testing.T) {
	for _, c := range []struct {
		live bool
		each time.Duration
		want string
	}{
		{false, time.Second, ""},
		{false, 25 * time.Second, "4 of 8 images\n7 of 8 images\n"},
		{false, 2 * time.Minute, "2 of 8 images\n3 of 8 images\n4 of 8 images\n5 of 8 images\n6 of 8 images\n7 of 8 images\n"},
		{true, time.Second, "\r1 of 8 images\r2 of 8 images\r3 of 8 images\r4 of 8 images\r5 of 8 images\r6 of 8 images\r7 of 8 images\r\x1b[K"},
	} {
		var out strings.Builder
		h := newHand()
		count := countTo(&out, c.live, h.now)
		for i := 1; i <= 8; i++ {
			count(i, 8)
			h.pass(c.each)
		}
		if out.String() != c.want {
			t.Errorf("terminal %v, %v each: %q, want %q", c.live, c.each, out.String(), c.want)
		}
	}
}

// A range test writes a line a minute.
func TestRangeTestIsSeldom(t *testing.T) {
	for each, want := range map[time.Duration]int{100 * time.Millisecond: 0, 5 * time.Second: 8} {
		var out strings.Builder
		h := newHand()
		v := &lrFindView{w: &out, test: train.LRFind{Steps: 100}, lines: newSeldom(false, h.now)}
		for i := 1; i <= 100; i++ {
			h.pass(each)
			v.step(train.Step{Batch: i})
		}
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("%v a step: %d lines, want %d\n%s", each, got, want, out.String())
		}
	}
}
