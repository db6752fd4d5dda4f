// Package lattice keeps the layers of the module apart. imports.txt says which
// package may import which, and a test checks every source file against it, for
// all systems and build tags. It is modelled on go/build/deps_test.go of the Go
// repository.
package lattice
