//go:build cuda

package driver

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Opening a missing library, or a file that is no driver, returns an error that says so.
func TestOpenFile(t *testing.T) {
	text := filepath.Join(t.TempDir(), "libcuda.so.1")
	if err := os.WriteFile(text, []byte("no library\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"libresidual-not-there.so.1", text} {
		if api, err := OpenFile(name); api != nil || err == nil || !strings.Contains(err.Error(), "no NVIDIA driver: "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := map[string]string{"linux": "libc.so.6", "darwin": "/usr/lib/libSystem.B.dylib", "windows": "kernel32.dll"}[runtime.GOOS]
	if api, err := OpenFile(other); api != nil || err == nil || !strings.Contains(err.Error(), "has no function cuInit") {
		t.Errorf("%s: %v", other, err)
	}
}

// Open opens the driver of this machine, or returns an error that says why it cannot.
func TestOpen(t *testing.T) {
	api, err := Open()
	if (api == nil) == (err == nil) {
		t.Errorf("%v and %v", api, err)
	}
	if err != nil {
		t.Logf("no driver here: %v", err)
	}
}

// Every function of the table has a tag with its name in the driver, and all names differ.
func TestNames(t *testing.T) {
	table := reflect.TypeFor[API]()
	seen := map[string]bool{}
	for i := range table.NumField() {
		f := table.Field(i)
		name := f.Tag.Get("cu")
		if !strings.HasPrefix(name, "cu") || seen[name] || f.Type.Kind() != reflect.Func || f.Type.NumOut() != 1 || f.Type.NumIn() > 11 {
			t.Errorf("%s is %q of type %v", f.Name, name, f.Type)
		}
		seen[name] = true
	}
}

func TestSignatures(t *testing.T) {
	const ptx = `.version 8.0
.visible .entry first(
	.param .u32 first_param_0,
	.param .u64 first_param_1,
	.param .f32 first_param_2,
	.param .f64 first_param_3,
	.param .align 8 .b8 first_param_4[56]
)
{
.visible .entry second()
{
`
	got := Signatures(ptx)
	if len(got) != 2 || !slices.Equal(got["first"], []int{4, 8, 4, 8, 56}) || len(got["second"]) != 0 {
		t.Errorf("%v", got)
	}
}

func TestError(t *testing.T) {
	a := &API{}
	if a.Check("cuInit", Success) != nil {
		t.Error("success is an error")
	}
	if err := a.Check("cuInit", 3); err == nil || !strings.HasPrefix(err.Error(), "cuInit: ") {
		t.Errorf("%v", err)
	}
	if Version(12040) != "12.4" || Version(11080) != "11.8" || Text([]byte("ab\x00c")) != "ab" {
		t.Error("versions or texts are misread")
	}
}
