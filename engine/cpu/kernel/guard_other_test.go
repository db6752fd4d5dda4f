//go:build !linux && !darwin

package kernel

import "testing"

// guarded returns n floats between two bands that are checked when the test
// ends.
func guarded(t testing.TB, n int) []float32 {
	t.Helper()
	all := make([]float32, n+2*band)
	mark(all[:band])
	mark(all[band+n:])
	t.Cleanup(func() {
		marked(t, all[:band])
		marked(t, all[band+n:])
	})
	return all[band:][:n:n]
}
