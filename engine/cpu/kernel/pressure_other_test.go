//go:build !unix

package kernel

// interrupt has no signal to send here.
func interrupt() {}
