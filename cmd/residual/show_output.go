package main

import (
	"io"
	"sync"
)

// output is the program's standard output. It remembers the first failure to write, so that a
// full disk behind a redirection is reported.
type output struct {
	w    io.Writer
	lock sync.Mutex
	err  error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		o.lock.Lock()
		defer o.lock.Unlock()
		if o.err == nil {
			o.err = err
		}
	}
	return n, err
}

// failure returns the first failure to write.
func (o *output) failure() error {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.err
}

// descriptor is implemented by files; it tells whether one is a terminal.
type descriptor interface{ Fd() uintptr }

// asFile returns o with the descriptor of its file, so that a terminal is recognised.
func asFile(o *output) io.Writer {
	if f, ok := o.w.(descriptor); ok {
		var w io.Writer = struct {
			*output
			descriptor
		}{o, f}
		if t, ok := asTerminal(o.w).(*terminal); ok {
			t.w = w
			return t
		}
		return w
	}
	return o
}
