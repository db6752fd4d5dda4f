//go:build !amd64 || noasm

package kernel

// sets is empty: only Portable can run here.
var sets [AVX512 + 1]*Set
