package build

import (
	"os"
	"strings"
	"testing"
)

// TestCross builds every package for each other system of the program and type-checks the
// tests there. With empty caches this compiles the standard library three times, so the
// test runs only if RESIDUAL_LONG is set.
func TestCross(t *testing.T) {
	if os.Getenv("RESIDUAL_LONG") == "" {
		t.Skip("cross-builds take minutes with empty caches: set RESIDUAL_LONG=1 to run them")
	}
	for _, target := range []string{"linux/arm64", "darwin/arm64", "windows/amd64"} {
		t.Run(target, func(t *testing.T) {
			system, arch, _ := strings.Cut(target, "/")
			env := []string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + arch}
			goCommand(t, env, "build", "./...")
			goCommand(t, env, "vet", "./...")
		})
	}
}
