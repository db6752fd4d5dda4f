// Package lattice keeps the layers of the module apart: imports.txt says which
// package may import which, and its test holds every source file to it, for
// all systems and build tags at once. The model is go/build/deps_test.go of
// the Go tree.
package lattice
