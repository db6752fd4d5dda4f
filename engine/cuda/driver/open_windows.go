//go:build cuda

package driver

import "golang.org/x/sys/windows"

// Libraries are the names of the driver's library.
var Libraries = []string{"nvcuda.dll"}

func openLibrary(name string) (uintptr, error) {
	h, err := windows.LoadLibraryEx(name, 0, windows.LOAD_LIBRARY_SEARCH_SYSTEM32)
	return uintptr(h), err
}

func findSymbol(library uintptr, name string) (uintptr, error) {
	return windows.GetProcAddress(windows.Handle(library), name)
}
