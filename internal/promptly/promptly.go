// Package promptly lets a program hear a signal within a second, whatever it is doing.
package promptly

import (
	"context"
	"time"
)

// patience is how long work that may listen to the context itself has to end.
const patience = 700 * time.Millisecond

// Result returns what work returns, or the context's error when that ends and work, which
// may listen to it, does not within a second. Such work goes on beside what the caller does
// next, and its result is lost: it must change nothing that the caller looks at, and nothing
// that would be left half done. A panic in work is one of the caller.
func Result[T any](ctx context.Context, work func() (T, error)) (result T, err error) {
	type outcome struct {
		result   T
		err      error
		panicked any
		returned bool
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if !o.returned {
				o.panicked = recover()
			}
			done <- o
		}()
		o.result, o.err = work()
		o.returned = true
	}()
	take := func(o outcome) (T, error) {
		if !o.returned {
			panic(o.panicked)
		}
		return o.result, o.err
	}
	select {
	case o := <-done:
		return take(o)
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return take(o)
	case <-time.After(patience):
		return result, ctx.Err()
	}
}

// Do is Result for work that has none.
func Do(ctx context.Context, work func() error) error {
	_, err := Result(ctx, func() (struct{}, error) { return struct{}{}, work() })
	return err
}
