// Package portable lets tests know a build without assembly, which the build tag noasm makes. Its
// kernels in plain Go are about twenty times slower, so a test that shows nothing of them, or that
// the build with assembly runs with them too, leaves that build out and says why.
package portable

import "testing"

// Skip skips a test in a build with the tag noasm. The reason says what still proves the same there.
// A test of arithmetic that runs with one set of kernels alone is never skipped.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if Build {
		t.Skip("without assembly: " + reason)
	}
}
