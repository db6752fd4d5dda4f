package build

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// goCommand runs the go command at the module's root with variables added to
// the environment, and fails the test with what it prints.
func goCommand(t *testing.T, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v go %v: %v\n%s", env, args, err, out)
	}
}
