//go:build !amd64 || noasm

package kernel

// set returns nil: only Portable can run here.
func (i ISA) set() *Set { return nil }
