//go:build cuda

package driver

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/ebitengine/purego"
)

// Open opens the driver of this machine, trying the names in Libraries in order.
func Open() (*API, error) {
	var first error
	for _, name := range Libraries {
		api, err := OpenFile(name)
		if err == nil {
			return api, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// OpenFile opens a driver's library by its name or path and looks up its functions. The
// library stays open.
func OpenFile(name string) (*API, error) {
	library, err := openLibrary(name)
	if err != nil {
		if strings.Contains(err.Error(), name) { // dlerror names the file already
			return nil, fmt.Errorf("no NVIDIA driver: %w", err)
		}
		return nil, fmt.Errorf("no NVIDIA driver: %s cannot be opened: %w", name, err)
	}
	api := &API{}
	table := reflect.ValueOf(api).Elem()
	for i := range table.NumField() {
		symbol := table.Type().Field(i).Tag.Get("cu")
		address, err := findSymbol(library, symbol)
		if err != nil || address == 0 {
			return nil, fmt.Errorf("%s has no function %s: it is not an NVIDIA driver, or one from before CUDA 12.0; install driver 525.60 or a later one", name, symbol)
		}
		purego.RegisterFunc(table.Field(i).Addr().Interface(), address)
	}
	return api, nil
}
