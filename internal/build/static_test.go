package build

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestStatic builds the program for Linux without cgo and checks that the file needs no
// interpreter and no shared library. Other systems have no static programs in this
// sense.
func TestStatic(t *testing.T) {
	program := filepath.Join(t.TempDir(), "residual")
	goCommand(t, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + runtime.GOARCH}, "build", "-o", program, "./cmd/residual")
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a segment %v: it is not static", segment.Type)
		}
	}
	libraries, err := file.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	if len(libraries) > 0 {
		t.Errorf("the program needs the shared libraries %q: it is not static", libraries)
	}
}

// TestLibrariesAreOpenedUnderTheTag checks that the default build has no package that opens
// shared libraries at run time, for such a package makes a program dynamic.
func TestLibrariesAreOpenedUnderTheTag(t *testing.T) {
	const opener = "github.com/ebitengine/purego"
	for tags, want := range map[string]bool{"": false, "cuda": true} {
		out := goCommand(t, nil, "list", "-tags", tags, "-deps", "./...")
		if got := slices.Contains(strings.Fields(out), opener); got != want {
			t.Errorf("with tags %q the module needs %s: %v, want %v", tags, opener, got, want)
		}
	}
}

// goCommand runs the go command at the module's root, with env added to the environment,
// and returns its output. It fails the test if the command fails.
func goCommand(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v go %v: %v\n%s", env, args, err, out)
	}
	return string(out)
}
