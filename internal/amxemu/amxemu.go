// Package amxemu runs tests of AMX code on machines without AMX by emulating the
// processor's tiles. Only tests use it; it is linked into no program.
//
// A test runs its own binary again as a traced process. When that process reaches a
// tile instruction, which its processor does not have, the kernel stops it, and the
// tracer changes its registers and memory as the instruction would. This tests the
// same bytes that a processor with AMX runs: their encodings, addresses and
// arithmetic, and that every thread configures its own tiles before it uses them.
//
// The instructions are LDTILECFG, STTILECFG, TILERELEASE, TILEZERO, TILELOADD,
// TILELOADDT1, TILESTORED and TDPBF16PS, as Intel's Software Developer's Manual,
// volume 2, describes them, with the faults it names. Three things differ: the
// payload of a NaN is not modelled, an instruction that faults halfway does not
// record the row where it stopped, and a signal handler sees the tiles of the code
// that it interrupted, where Linux would give it new ones.
package amxemu

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/cpu"
)

// traced is the environment variable that is set in a traced process.
const traced = "RESIDUAL_TEST_AMX_TRACED"

// Emulated reports whether this process runs AMX in the emulator, where an
// instruction takes some microseconds.
func Emulated() bool { return os.Getenv(traced) != "" }

// A traced process must believe that its processor has AMX. CPUID cannot be
// intercepted, so the features that were read from it are changed here. The tracer
// grants the permission of the kernel that the process asks for.
func init() {
	if Emulated() {
		cpu.X86.HasAMXTile, cpu.X86.HasAMXBF16 = true, true
	}
}

// Test runs f with AMX. If have is set, which says that the code under test finds AMX,
// it calls f in this process. Otherwise it runs the calling test again in a process
// under the emulator, where the test reaches this call again and f runs. That process
// runs no other test, and its output becomes the log of this one. If AMX can be had in
// neither way, the test is skipped. Call Test once in a test, before slow work.
func Test(t *testing.T, have bool, f func(t *testing.T)) {
	t.Helper()
	switch {
	case have:
		f(t)
	case Emulated():
		t.Fatal("AMX is emulated here, but the code under test does not find it")
	case !cpu.X86.HasAVX512BF16:
		t.Skip("AMX code needs the AVX-512 and AVX512_BF16 that every processor with AMX has, and this one has not")
	default:
		again(t)
	}
}

// again runs the calling test in a traced process.
func again(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{self, "-test.v", "-test.count=1", "-test.run=" + pattern(t.Name())}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	if end, ok := t.Deadline(); ok {
		args = append(args, fmt.Sprintf("-test.timeout=%v", time.Until(end)*9/10))
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	start := time.Now()
	end, err := run(args, append(os.Environ(), traced+"=1"), out)
	if err != nil {
		t.Skipf("cannot emulate AMX: %v", err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("under the emulator, %.1f s, %d tile instructions in %d stops:\n%s", time.Since(start).Seconds(), end.instructions, end.stops, text)
	switch result := verdict(text, t.Name()); {
	case end.code != 0:
		t.Errorf("failed under the emulator with %s", end)
	case result == "SKIP":
		t.Skip("skipped under the emulator")
	case result != "PASS":
		t.Errorf("the process under the emulator did not run %s", t.Name())
	}
}

// pattern returns the argument of -test.run that selects one test.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// verdict returns the result of a test in a verbose log: PASS, FAIL, SKIP or "".
func verdict(log []byte, name string) string {
	for line := range bytes.Lines(log) {
		rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("--- "))
		word, rest, _ := bytes.Cut(rest, []byte(": "))
		if got, _, _ := bytes.Cut(rest, []byte(" (")); ok && string(got) == name {
			return string(word)
		}
	}
	return ""
}

// An outcome is how a traced process ended.
type outcome struct {
	code                int // its exit code, or -1
	signal              string
	instructions, stops int // tile instructions carried out, and how often the process stopped for them
}

func (o outcome) String() string {
	if o.signal != "" {
		return "signal " + o.signal
	}
	return fmt.Sprintf("exit code %d", o.code)
}
