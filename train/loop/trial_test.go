package loop

import (
	"slices"
	"testing"
	"time"
)

// A stall of the machine in a step does not influence the estimate. Fast and slow steps in
// turn, as with a loader that cannot keep up, all count.
func TestStallsDoNotCount(t *testing.T) {
	for name, pattern := range map[string][]time.Duration{
		"steady":     {10 * time.Millisecond},
		"in turn":    {200 * time.Millisecond, 20 * time.Millisecond},
		"every 5th":  {20 * time.Millisecond, 20 * time.Millisecond, 20 * time.Millisecond, 20 * time.Millisecond, 500 * time.Millisecond},
		"slow steps": {3 * time.Second},
	} {
		for _, n := range []int{4, 5, 8, 15, 30, 100} {
			if n < 4*len(pattern) && len(pattern) > 1 {
				continue // too few to tell
			}
			times, sizes := make([]time.Duration, n), slices.Repeat([]int{64}, n)
			for i := range times {
				times[i] = pattern[i%len(pattern)]
			}
			mean := time.Duration(0)
			for _, p := range pattern {
				mean += p / time.Duration(len(pattern))
			}
			within := func(what string) {
				t.Helper()
				var w timing
				w.sum(times, sizes)
				if w.of != w.timed*64 {
					t.Fatalf("%s, %d steps, %s: %d images in %d batches", name, n, what, w.of, w.timed)
				}
				if got := w.timeOf(64); len(pattern) == 1 && got != mean || got < mean*6/10 || got > mean*14/10 {
					t.Errorf("%s, %d steps, %s: %v a step, where the mean is %v", name, n, what, got, mean)
				}
			}
			within("undisturbed")
			for i := range times {
				was := times[i]
				times[i] += time.Minute
				within("with a stall")
				times[i] = was
			}
		}
	}
}

// The last batch of an epoch is smaller; a few steps are added up without a median.
func TestSumOfAFewSteps(t *testing.T) {
	for _, c := range []struct {
		times []time.Duration
		sizes []int
		want  timing
	}{
		{nil, nil, timing{}},
		{[]time.Duration{9}, []int{3}, timing{took: 9, of: 3, timed: 1}},
		{[]time.Duration{90, 8}, []int{4, 2}, timing{took: 8, of: 2, timed: 1}},
		{[]time.Duration{90, 8, 40}, []int{4, 4, 4}, timing{took: 48, of: 8, timed: 2}},
		{[]time.Duration{90, 8, 900, 3}, []int{4, 4, 4, 1}, timing{took: 27, of: 9, timed: 3}},
	} {
		var w timing
		if w.sum(c.times, c.sizes); w != c.want {
			t.Errorf("%v of %v: %+v, want %+v", c.times, c.sizes, w, c.want)
		}
	}
}
