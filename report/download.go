package report

import (
	"io"
	"strings"
	"sync"
	"time"
)

// Download shows the progress of a download to w under the name `what`. It
// returns the function that the downloader calls with the bytes done and their
// total, 0 or less where it is unknown. On a terminal a bar is redrawn in
// place; elsewhere a plain line is written each minute and at the end. The
// output is complete after every call, so a failed download needs no cleanup.
func Download(w io.Writer, what string) func(done, total int64) {
	d := newDownload(w, what, IsTerminal(w), UseColor(w), time.Now)
	return d.tell
}

type download struct {
	mu     sync.Mutex
	what   string
	live   bool
	color  bool
	now    func() time.Time
	screen screen

	start  time.Time
	first  int64 // bytes present at the start (of a resumed download)
	last   time.Time
	told   bool
	before int64
}

func newDownload(w io.Writer, what string, live, color bool, now func() time.Time) *download {
	d := &download{what: printable(what), live: live, color: color, now: now}
	d.screen = screen{w: w, size: func() (int, int) { return TerminalSize(w) }}
	d.screen.hidden = true // the cursor stays visible for one line, so it needs no restoring
	return d
}

func (d *download) tell(done, total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if !d.told || done < d.before { // the first call, or a restart from another mirror
		d.start, d.first = now, done
		d.last = time.Time{}
		if !d.live {
			d.last = now
		}
	}
	again := d.told && done == d.before && total > 0 && done == total
	d.told, d.before = true, done
	if again {
		return
	}
	complete := total > 0 && done >= total
	if d.live {
		if complete || now.Sub(d.last) >= 200*time.Millisecond {
			columns, _ := d.screen.size()
			d.screen.draw(nil, []string{d.line(now, done, total, columns-1)})
			d.last = now
		}
		return
	}
	if complete || now.Sub(d.last) >= time.Minute {
		d.screen.write(strings.Join(d.parts(now, done, total), "  ") + "\n")
		d.last = now
	}
}

// line is the live line in at most width columns. Where there is little room
// it drops the bar first, then the time left and the speed.
func (d *download) line(now time.Time, done, total int64, width int) string {
	parts := d.parts(now, done, total)
	for n := len(parts); n > 1; n-- {
		text := strings.Join(parts[:n], "  ")
		free := width - textWidth(text) - 2
		if free >= 8 && total > 0 && n == len(parts) {
			return parts[0] + "  " + fill(min(free, 32), int(done*100/max(1, total)), 100, d.color) +
				text[len(parts[0]):]
		}
		if free >= -2 {
			return text
		}
	}
	return clip(d.what, width)
}

func (d *download) parts(now time.Time, done, total int64) []string {
	size := Bytes(done)
	if total > 0 {
		size += " of " + Bytes(total)
	}
	parts := []string{d.what, size}
	took := now.Sub(d.start).Seconds()
	if took <= 0 || done <= d.first {
		return parts
	}
	speed := float64(done-d.first) / took
	parts = append(parts, Bytes(int64(speed))+"/s")
	if total > done {
		parts = append(parts, "left "+wholeSeconds(time.Duration(float64(total-done)/speed*float64(time.Second))))
	}
	return parts
}
