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

// caught is the signal that interrupted a command; 0 where none did.
type caught struct{ signal atomic.Int32 }

// caughtKey finds the *caught of a command line in its context.
type caughtKey struct{}

// status is the exit status after a signal, as a shell has it: 130 after Ctrl-C, 143 after
// SIGTERM. It is 0 where no signal came.
func (c *caught) status() int {
	if s := c.signal.Load(); s != 0 {
		return 128 + int(s)
	}
	return 0
}

// interruptible returns a context that ends at the first Ctrl-C or SIGTERM, for commands
// that leave something whole behind. The second one ends the program.
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

// hearing runs a command that leaves nothing half done behind, so that it can be left where
// it is when the first Ctrl-C comes in the middle of something long.
func hearing(ctx context.Context, work func() error) error {
	err := promptly.Do(ctx, work)
	if err != nil && err == ctx.Err() {
		return errors.New("interrupted")
	}
	return err
}
