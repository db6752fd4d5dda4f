package promptly

import (
	"context"
	"errors"
	"testing"
)

func TestResult(t *testing.T) {
	odd := errors.New("odd")
	if n, err := Result(t.Context(), func() (int, error) { return 3, odd }); n != 3 || err != odd {
		t.Error(n, err)
	}
	func() {
		defer func() {
			if r := recover(); r != "stumbled" {
				t.Errorf("a panic became %v", r)
			}
		}()
		_ = Do(t.Context(), func() error { panic("stumbled") })
	}()
	ctx, cancel := context.WithCancel(t.Context())
	never := make(chan struct{})
	cancel()
	if err := Do(ctx, func() error { <-never; return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Work that listens has the last word.
	if err := Do(ctx, func() error { <-ctx.Done(); return odd }); err != odd {
		t.Error(err)
	}
}
