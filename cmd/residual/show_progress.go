package main

import (
	"fmt"
	"io"
	"time"

	"github.com/residual-ml/residual/report"
)

// seldom decides which lines of progress are written: all on a terminal, and elsewhere, as in
// a file or in CI, at most one a minute.
type seldom struct {
	live bool
	now  func() time.Time
	last time.Time
}

// newSeldom starts the first minute.
func newSeldom(live bool, now func() time.Time) *seldom {
	return &seldom{live: live, now: now, last: now()}
}

func (s *seldom) due() bool {
	now := s.now()
	if !s.live && now.Sub(s.last) < time.Minute {
		return false
	}
	s.last = now
	return true
}

// showCount shows the number of images done: on a terminal in one line that changes, elsewhere
// in a line a minute.
func showCount(w io.Writer) func(done, total int) {
	return countTo(w, report.IsTerminal(w), time.Now)
}

func countTo(w io.Writer, live bool, now func() time.Time) func(done, total int) {
	var s *seldom
	if live {
		w = direct(w)
	}
	return func(done, total int) {
		if s == nil {
			s = newSeldom(live, now)
		}
		count := fmt.Sprintf("%s of %s images", report.Count(int64(done)), report.Count(int64(total)))
		switch {
		case !live && (done >= total || !s.due()):
		case !live:
			fmt.Fprintln(w, count)
		case done >= total:
			fmt.Fprint(w, "\r\x1b[K")
		default:
			fmt.Fprint(w, "\r"+count)
		}
	}
}

// showStages shows what a command of several stages is doing: on a terminal in one line that
// changes, elsewhere in a line for each stage and one a minute within it.
func showStages(w io.Writer) func(stage string, done, total int) {
	return stagesTo(w, report.IsTerminal(w), time.Now)
}

func stagesTo(w io.Writer, live bool, now func() time.Time) func(stage string, done, total int) {
	if live {
		w = direct(w)
	}
	var s *seldom
	last := ""
	return func(stage string, done, total int) {
		if stage != last || s == nil {
			last, s = stage, newSeldom(live, now)
			if !live {
				fmt.Fprintln(w, stage)
			}
		}
		count := fmt.Sprintf("%s: %s of %s", stage, report.Count(int64(done)), report.Count(int64(total)))
		switch {
		case live && done >= total:
			fmt.Fprint(w, "\r\x1b[K")
		case live:
			fmt.Fprint(w, "\r\x1b[K"+count)
		case done > 0 && done < total && s.due():
			fmt.Fprintln(w, count)
		}
	}
}
