//go:build !linux || !amd64

package amxemu

import (
	"errors"
	"os"
)

// run returns an error: the emulator exists only for Linux on amd64.
func run(args, env []string, out *os.File) (outcome, error) {
	return outcome{}, errors.New("the emulator needs Linux on amd64")
}
