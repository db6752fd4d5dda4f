//go:build !amd64 || noasm

package kernel

// sets is empty: only Portable can run here.
var sets [len(names)]*Set
