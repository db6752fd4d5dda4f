package report

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/residual-ml/residual/tensor"
)

func TestTable(t *testing.T) {
	table := NewTable(Column{"layer", Left}, Column{"shape", Left}, Column{"params", Right})
	table.Row("b1.0", "1x64x112x112", Count(3200))
	table.Row("ReLU")
	table.Row("卷积层", "1x512x7x7", Count(11178378))
	table.Rule()
	table.Row("total", "", Count(11181578))
	want := `layer   shape             params
────────────────────────────────
b1.0    1x64x112x112       3,200
ReLU
卷积层  1x512x7x7     11,178,378
────────────────────────────────
total                 11,181,578
`
	if d := cmp.Diff(want, table.String()); d != "" {
		t.Errorf("table (-want +got):\n%s", d)
	}
}

func TestTableWithoutHead(t *testing.T) {
	table := NewTable(Column{}, Column{})
	table.Indent = 2
	table.Row("cores", "2")
	table.Row("memory", "8.00 GiB")
	want := "  cores   2\n  memory  8.00 GiB\n"
	if got := table.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Control characters in a file name must not reach the terminal.
func TestTableReplacesControlCharacters(t *testing.T) {
	table := NewTable(Column{"file", Left})
	table.Row("a\x1b[2J\nb\u009bc\rd")
	if got := table.String(); strings.ContainsAny(got, "\x1b\r\u009b") || strings.Count(got, "\n") != 3 {
		t.Errorf("control characters in %q", got)
	}
}

func TestTableTooManyCells(t *testing.T) {
	defer func() {
		if r := tensor.Recovered(recover()); r == nil || !strings.Contains(r.Error(), "2 cells for 1 columns") {
			t.Errorf("recovered %v", r)
		}
	}()
	NewTable(Column{"one", Left}).Row("a", "b")
}

func TestTableWriteError(t *testing.T) {
	full := errors.New("disk full")
	if err := NewTable(Column{"a", Left}).Write(failing{full}); !errors.Is(err, full) {
		t.Errorf("Write returned %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestTextWidth(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "abc": 3, "卷积": 4, "é": 1, "e\u0301": 1, "\x1b[94m──\x1b[0m ok": 5, "a\x1b[3": 1,
	} {
		if got := textWidth(s); got != want {
			t.Errorf("textWidth(%q) = %d, want %d", s, got, want)
		}
	}
	if got := clip("卷积层", 5); got != "卷积…" || textWidth(got) != 5 {
		t.Errorf("clip = %q", got)
	}
}
