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

// TestStatic builds the program without cgo and looks into the file: it must
// ask for no interpreter and no shared library. Elsewhere than on Linux it
// builds for Linux, since only there such a thing exists.
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

// TestLibrariesAreOpenedUnderTheTag holds what opens shared libraries at run time,
// which makes a program a dynamic one, out of the default build.
func TestLibrariesAreOpenedUnderTheTag(t *testing.T) {
	const opener = "github.com/ebitengine/purego"
	for tags, want := range map[string]bool{"": false, "cuda": true} {
		out := goCommand(t, nil, "list", "-tags", tags, "-deps", "./...")
		if got := slices.Contains(strings.Fields(out), opener); got != want {
			t.Errorf("with tags %q the module needs %s: %v, want %v", tags, opener, got, want)
		}
	}
}

// goCommand runs the go command at the module's root with variables added to the
// environment, returns what it prints, and fails the test with it.
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
