// Package promptly runs work so that its caller can react to a cancelled context within a second.
package promptly

import (
	"context"
	"time"
)

// patience is how long Result waits for work to return after the context has ended.
const patience = 700 * time.Millisecond

// Result runs work and returns its result. If ctx ends, work, which may use ctx itself, has
// less than a second to return; otherwise Result returns the error of ctx. Work then goes on
// in the background and its result is lost. So it must not change anything that the caller
// uses, or anything that must not be left half done. A panic in work is raised in the caller.
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

// Do is Result for work without a result.
func Do(ctx context.Context, work func() error) error {
	_, err := Result(ctx, func() (struct{}, error) { return struct{}{}, work() })
	return err
}
