//go:build !linux

package cpu

// advise does nothing: other systems choose large pages themselves or not at all.
func advise([]float32) {}
