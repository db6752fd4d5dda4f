//go:build !windows

package report

func understandsEscapes(uintptr) bool { return true }
