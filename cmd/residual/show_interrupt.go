package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/internal/promptly"
)

// caught records the signal that interrupted a command; 0 stands for none.
type caught struct{ signal atomic.Int32 }

// caughtKey finds the *caught of a command line in its context.
type caughtKey struct{}

// status returns the exit status after a signal, as a shell has it: 130 after Ctrl-C and 143
// after SIGTERM. It is 0 if no signal came.
func (c *caught) status() int {
	if s := c.signal.Load(); s != 0 {
		return 128 + int(s)
	}
	return 0
}

// interruptible returns a context that ends at the first Ctrl-C or SIGTERM, for commands that
// then finish their work. A second signal ends the program.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(cmd.Context())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(signals)
		select {
		case s := <-signals:
			if c, ok := cmd.Context().Value(caughtKey{}).(*caught); ok {
				number, _ := s.(syscall.Signal)
				c.signal.Store(int32(number))
			}
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// hearing runs the work of a command that writes nothing before its end. It returns soon after
// the first Ctrl-C, even if the work does not look at ctx.
func hearing(ctx context.Context, work func() error) error {
	err := promptly.Do(ctx, work)
	if err != nil && err == ctx.Err() {
		return errors.New("interrupted")
	}
	return err
}
