//go:build !linux

package cpu

// advise does nothing; other systems choose huge pages themselves or have none.
func advise([]float32) {}
