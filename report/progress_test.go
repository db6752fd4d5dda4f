package report

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPlainProgress(t *testing.T) {
	var out strings.Builder
	c := newClock()
	p := NewProgress(&out, ProgressOptions{Epochs: 2, BatchesPerEpoch: 20, Now: c.now, Curves: falling()})
	for epoch := 1; epoch <= 2; epoch++ {
		for batch := 1; batch <= 20; batch++ {
			c.pass(3)
			p.Batch(BatchInfo{Epoch: epoch, Batch: batch, Loss: 1.5, Acc: 0.25, ImagesPerSecond: 1234.4})
		}
		c.pass(6) // the test
		p.EpochEnd(EpochInfo{Epoch: epoch, TrainLoss: 1.25, TrainAcc: 0.5, TestAcc: 0.125,
			ImagesPerSecond: 88, Elapsed: 66e9})
		if epoch == 1 {
			p.Note("saved \x1b[2Jruns/train-1/best.safetensors")
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p.Batch(BatchInfo{Epoch: 3, Batch: 2})
	p.EpochEnd(EpochInfo{Epoch: 3})
	p.Note("stopped")

	want := `epoch 1/2  loss 1.250  train acc 0.500  test acc 0.125  88 images/s  1m06s
saved �[2Jruns/train-1/best.safetensors
epoch 2/2  loss 1.250  train acc 0.500  test acc 0.125  88 images/s  1m06s
stopped
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A slow epoch prints a line once a minute, whether or not its length is known. Unknown
// values are left out, but a loss of NaN is printed. In the first epoch the duration of a
// test is unknown.
func TestPlainProgressOfASlowRun(t *testing.T) {
	var out strings.Builder
	c := newClock()
	p := NewProgress(&out, ProgressOptions{Now: c.now})
	for batch := 1; batch <= 7; batch++ {
		c.pass(25)
		p.Batch(BatchInfo{Epoch: 1, Batch: batch, Loss: math.NaN(), Acc: math.NaN(), ImagesPerSecond: math.NaN()})
	}
	c.pass(10)
	p.EpochEnd(EpochInfo{Epoch: 1, TrainLoss: 2e7, TrainAcc: math.NaN(), TestAcc: math.NaN(), ImagesPerSecond: 1.26})
	c.pass(55) // more than a minute after the last step, less after the last line
	p.Batch(BatchInfo{Epoch: 2, Batch: 1, Loss: 1, Acc: math.NaN()})
	p.Close()
	want := `epoch 1  batch 3  loss NaN
epoch 1  batch 6  loss NaN
epoch 1  loss 2e+07  1.3 images/s
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}

	out.Reset()
	p = NewProgress(&out, ProgressOptions{Epochs: 2, BatchesPerEpoch: 8, Now: c.now})
	for epoch := 1; epoch <= 2; epoch++ {
		for batch := 1; batch <= 8; batch++ {
			c.pass(20)
			p.Batch(BatchInfo{Epoch: epoch, Batch: batch, Loss: 1.5, Acc: 0.25, ImagesPerSecond: 1234.4})
		}
		c.pass(10) // the test
		p.EpochEnd(EpochInfo{Epoch: epoch, TrainLoss: 1.25, TrainAcc: 0.5, TestAcc: 0.125, ImagesPerSecond: 88, Elapsed: 170e9})
	}
	want = `epoch 1/2  batch 3/8 (37%)  loss 1.500  acc 0.250  1,234 images/s  left 1m40s  run 4m20s
epoch 1/2  batch 6/8 (75%)  loss 1.500  acc 0.250  1,234 images/s  left 40s  run 3m20s
epoch 1/2  loss 1.250  train acc 0.500  test acc 0.125  88 images/s  2m50s
epoch 2/2  batch 3/8 (37%)  loss 1.500  acc 0.250  1,234 images/s  left 1m50s
epoch 2/2  batch 6/8 (75%)  loss 1.500  acc 0.250  1,234 images/s  left 50s
epoch 2/2  loss 1.250  train acc 0.500  test acc 0.125  88 images/s  2m50s
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Short epochs have a line in five seconds, the last one a line in any case.
func TestPlainProgressOfQuickEpochs(t *testing.T) {
	for _, c := range []struct {
		epochs int // that are done, of 12
		pause  time.Duration
		want   []int // with a line
	}{{12, 0, []int{3, 6, 9, 12}}, {11, 0, []int{3, 6, 9, 11}}, {9, 0, []int{3, 6, 9}}, {4, -1, []int{1, 2, 3, 4}}, {1, 0, []int{1}}} {
		var out strings.Builder
		clock := newClock()
		p := NewProgress(&out, ProgressOptions{Epochs: 12, BatchesPerEpoch: 1, Now: clock.now, Pause: c.pause})
		for epoch := 1; epoch <= c.epochs; epoch++ {
			clock.pass(2)
			p.Batch(BatchInfo{Epoch: epoch, Batch: 1})
			p.EpochEnd(EpochInfo{Epoch: epoch, TrainLoss: 1, TrainAcc: math.NaN(), TestAcc: math.NaN()})
		}
		p.Close()
		var want strings.Builder
		for _, e := range c.want {
			fmt.Fprintf(&want, "epoch %s  loss 1.000\n", of(e, 12))
		}
		if d := cmp.Diff(want.String(), out.String()); d != "" {
			t.Errorf("%+v (-want +got):\n%s", c, d)
		}
	}
}

func TestPlainWithoutTerminal(t *testing.T) {
	for _, c := range []struct {
		name, term string
		o          ProgressOptions
		live       bool
	}{
		{"no terminal", "xterm", ProgressOptions{}, false},
		{"told so", "xterm", ProgressOptions{Terminal: true}, true},
		{"plain wins", "xterm", ProgressOptions{Terminal: true, Plain: true}, false},
		{"dumb wins", "dumb", ProgressOptions{Terminal: true}, false},
	} {
		t.Setenv("TERM", c.term)
		var out strings.Builder
		c.o.Epochs, c.o.BatchesPerEpoch, c.o.Now, c.o.Curves = 1, 10, newClock().now, falling()
		p := NewProgress(&out, c.o)
		p.Batch(BatchInfo{Epoch: 1, Batch: 1, Loss: 1})
		p.Note("note")
		p.Close()
		if got := strings.Contains(out.String(), "\x1b"); got != c.live {
			t.Errorf("%s: escape sequences %v, want %v", c.name, got, c.live)
		}
	}
}

func TestLiveProgress(t *testing.T) {
	withTerminal(t)
	g, c, curves := newGlass(t, 80, 24), newClock(), NewCurves(2)
	p := NewProgress(g, ProgressOptions{Terminal: true, Epochs: 2, BatchesPerEpoch: 100, Curves: curves,
		Now: c.now, Size: g.size})
	if g.writes != 0 {
		t.Error("something is written before the first step")
	}
	step := func(epoch, batch int) {
		c.pass(1)
		p.Batch(BatchInfo{Epoch: epoch, Batch: batch, Loss: 1.5, Acc: 0.25, ImagesPerSecond: 256})
	}
	step(1, 1)
	step(1, 2)
	want := "epoch 1/2  [        ]    2/100  loss 1.500  acc 0.250  256 images/s  left 1m38s\nrun 3m18s left"
	if got := g.text(); got != want {
		t.Errorf("without points: %q, want %q", got, want)
	}
	if !g.hidden {
		t.Error("the cursor is not hidden")
	}
	curves.Add(TrainLoss, 0.2, 1.5)
	for batch := 3; batch <= 100; batch++ {
		step(1, batch)
	}
	if got := g.text(); !strings.Contains(got, "testing\nrun ") || len(lines(got)) != 18 {
		t.Errorf("at the epoch's end:\n%s", got)
	}
	p.EpochEnd(EpochInfo{Epoch: 1, TrainLoss: 1.25, TrainAcc: 0.5, TestAcc: 0.125})
	p.Note(strings.Repeat("a long note ", 10))
	step(2, 1)
	got := lines(g.text())
	if got[0] != "epoch 1/2  loss 1.250  train acc 0.500  test acc 0.125" || !strings.HasPrefix(got[1], "a long note") {
		t.Errorf("kept lines: %q", got[:2])
	}
	want = "epoch 2/2  [        ]    1/100  loss 1.500  acc 0.250  256 images/s  left 1m39s"
	if len(got) != 1+2+17 || last(g.text()) != want {
		t.Errorf("%d lines, the last %q, want 20 and %q", len(got), last(g.text()), want)
	}
	p.Close()
	if g.hidden || g.x != 0 {
		t.Errorf("after Close: cursor hidden %v, column %d", g.hidden, g.x)
	}
	if got := last(g.text()); strings.Contains(got, "left") {
		t.Errorf("time left after Close: %q", got)
	}
	p.Note("the end")
	if last(g.text()) != "the end" {
		t.Errorf("note after Close: %q", last(g.text()))
	}
}

func TestLiveProgressLimitsRedraws(t *testing.T) {
	withTerminal(t)
	g, c := newGlass(t, 80, 24), newClock()
	p := NewProgress(g, ProgressOptions{Terminal: true, Epochs: 1, BatchesPerEpoch: 10000, Now: c.now, Size: g.size})
	for batch := 1; batch <= 1000; batch++ {
		c.pass(0.001)
		p.Batch(BatchInfo{Epoch: 1, Batch: batch, Loss: 1})
	}
	if g.writes != 5 {
		t.Errorf("%d draws in a second, want the first and one each 200 ms", g.writes)
	}
}

// However the terminal is resized, it shows one display, and the lines above stay.
func TestLiveProgressFollowsTheTerminal(t *testing.T) {
	withTerminal(t)
	g, c := newGlass(t, 100, 30), newClock()
	g.Write([]byte("$ residual train\n"))
	p := NewProgress(g, ProgressOptions{Terminal: true, Epochs: 10, BatchesPerEpoch: 235, Curves: falling(),
		Now: c.now, Size: g.size})
	batch := 0
	for _, size := range [][2]int{{100, 30}, {60, 30}, {31, 30}, {33, 25}, {20, 25}, {5, 25}, {90, 30}, {90, 60}} {
		g.resize(size[0], size[1])
		for range 3 {
			c.pass(1)
			batch++
			p.Batch(BatchInfo{Epoch: 1, Batch: batch, Loss: 1.5, Acc: 0.25, ImagesPerSecond: 256})
		}
		text := g.text()
		if first := lines(text)[0]; !strings.HasPrefix("$ residual train", first) {
			t.Errorf("%v: the line above is now %q", size, first)
		}
		if n := strings.Count(text, "epoc"); size[0] >= 31 && n != 2 || n > 2 {
			t.Errorf("%v: want one legend and one bar:\n%s", size, text)
		}
		for _, l := range lines(text) {
			if size[0] >= 31 && len([]rune(l)) >= size[0] {
				t.Errorf("%v: line as wide as the terminal: %q", size, l)
			}
		}
	}
}

func TestLowTerminalHasNoChart(t *testing.T) {
	withTerminal(t)
	for _, rows := range []int{2, 5, 9, 10, 11, 24} {
		g, c := newGlass(t, 80, rows), newClock()
		p := NewProgress(g, ProgressOptions{Terminal: true, Epochs: 1, BatchesPerEpoch: 10, Curves: falling(),
			Now: c.now, Size: g.size})
		for batch := 1; batch < 10; batch++ {
			c.pass(1)
			p.Batch(BatchInfo{Epoch: 1, Batch: batch, Loss: 1})
		}
		p.Close()
		if n := len(lines(g.text())); n >= rows || (n > 1) != (rows >= 10) {
			t.Errorf("%d rows: display of %d", rows, n)
		}
	}
}

func TestBarShrinksFirst(t *testing.T) {
	withTerminal(t)
	t.Setenv("NO_COLOR", "1")
	c := newClock()
	p := NewProgress(&strings.Builder{}, ProgressOptions{Terminal: true, Epochs: 10, BatchesPerEpoch: 235, Now: c.now})
	for batch := 1; batch <= 47; batch++ {
		c.pass(2)
		p.Batch(BatchInfo{Epoch: 3, Batch: batch, Loss: 0.345, Acc: 0.875, ImagesPerSecond: 118})
	}
	for width, want := range map[int]string{
		120: "epoch  3/10  [=====>                        ]   47/235  loss 0.345  acc 0.875  118 images/s  left 6m16s  run 1h01m",
		100: "epoch  3/10  [==>             ]   47/235  loss 0.345  acc 0.875  118 images/s  left 6m16s  run 1h01m",
		85:  "epoch  3/10  [=>          ]   47/235  loss 0.345  acc 0.875  118 images/s  left 6m16s",
		72:  "epoch  3/10   47/235  loss 0.345  acc 0.875  118 images/s  left 6m16s",
		60:  "epoch  3/10   47/235  loss 0.345  acc 0.875  left 6m16s",
		44:  "epoch  3/10   47/235  loss 0.345  acc 0.875",
		40:  "epoch  3/10  loss 0.345  acc 0.875",
		25:  "epoch  3/10  loss 0.345",
		15:  "epoch  3/10",
		8:   "epoch  …",
		0:   "",
	} {
		if got := p.bar(width); got != want {
			t.Errorf("width %d:\n got %q\nwant %q", width, got, want)
		}
	}
	for width := range 130 {
		if got := textWidth(p.bar(width)); got > width {
			t.Errorf("width %d: %d columns", width, got)
		}
	}
}

func TestProgressWithoutColor(t *testing.T) {
	for _, o := range []ProgressOptions{{NoColor: true}, {}} {
		withTerminal(t)
		if !o.NoColor {
			t.Setenv("NO_COLOR", "1")
		}
		var out strings.Builder
		o.Terminal, o.Epochs, o.BatchesPerEpoch, o.Curves, o.Now = true, 1, 10, falling(), newClock().now
		p := NewProgress(&out, o)
		p.Batch(BatchInfo{Epoch: 1, Batch: 5, Loss: 1})
		p.Close()
		if !strings.Contains(out.String(), clearBelow) {
			t.Errorf("NoColor %v: nothing is drawn", o.NoColor)
		}
		for _, color := range []string{"\x1b[94m", "\x1b[32m", "\x1b[0m"} {
			if strings.Contains(out.String(), color) {
				t.Errorf("NoColor %v: colour %q in the output", o.NoColor, color)
			}
		}
	}
}

// A display that cannot be written must not stop the training.
func TestProgressWriteError(t *testing.T) {
	withTerminal(t)
	gone := errors.New("terminal is gone")
	for _, live := range []bool{true, false} {
		p := NewProgress(failing{gone}, ProgressOptions{Terminal: live, Epochs: 1, BatchesPerEpoch: 2, Now: newClock().now})
		p.Batch(BatchInfo{Epoch: 1, Batch: 1})
		p.EpochEnd(EpochInfo{Epoch: 1})
		if err := p.Close(); !errors.Is(err, gone) {
			t.Errorf("live %v: Close returned %v", live, err)
		}
	}
}

// With the real clock a goroutine redraws too; run with -race.
func TestProgressFromManyGoroutines(t *testing.T) {
	withTerminal(t)
	g, curves := newGlass(t, 80, 24), NewCurves(1)
	p := NewProgress(g, ProgressOptions{Terminal: true, Epochs: 1, BatchesPerEpoch: 400, Curves: curves, Redraw: 1,
		Size: g.size})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for batch := 1; batch <= 20; batch++ {
				curves.Add(TrainLoss, 0.1, 1)
				p.Batch(BatchInfo{Epoch: 1, Batch: batch, Loss: 1})
				p.Note("note")
			}
		})
	}
	wait.Wait()
	p.Close()
	p.Close()
	if n := strings.Count(g.text(), "note\n"); n != 80 {
		t.Errorf("%d notes of 80 on the screen", n)
	}
}

func TestPaceForgetsTheSlowStart(t *testing.T) {
	c := newClock()
	p := pace{batches: 1000, epochs: 1}
	c.pass(100) // compilation
	p.step(c.at, 1, 1)
	if _, _, ok := p.left(c.at); ok {
		t.Error("one batch is no pace")
	}
	for batch := 2; batch <= 100; batch++ {
		if batch > 30 {
			c.pass(1)
		} else {
			c.pass(9)
		}
		p.step(c.at, 1, batch)
	}
	if left, _, ok := p.left(c.at); !ok || left.Seconds() != 900 {
		t.Errorf("left %v, want 900 batches of a second", left)
	}
	c.pass(5000)
	if left, _, _ := p.left(c.at); left != 0 {
		t.Errorf("left %v long after the estimate, want 0", left)
	}
}

func TestPaceCountsTheTests(t *testing.T) {
	c := newClock()
	p := pace{batches: 10, epochs: 4}
	for batch := 1; batch <= 10; batch++ {
		c.pass(1)
		p.step(c.at, 1, batch)
	}
	c.pass(5)
	p.epochEnd(c.at, 1)
	c.pass(1)
	p.step(c.at, 2, 1)
	if epoch, run, _ := p.left(c.at); epoch.Seconds() != 9+5 || run.Seconds() != 9+5+2*15 {
		t.Errorf("left %v and %v, want 14 s and 44 s", epoch, run)
	}
}
