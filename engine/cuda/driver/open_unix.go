//go:build cuda && !windows

package driver

import "github.com/ebitengine/purego"

// Libraries are the names of the driver's library. The second is its path under WSL.
var Libraries = []string{"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"}

func openLibrary(name string) (uintptr, error) {
	return purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

func findSymbol(library uintptr, name string) (uintptr, error) { return purego.Dlsym(library, name) }
