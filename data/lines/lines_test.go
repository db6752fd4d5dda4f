package lines

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

func readAll(r *Reader) (lines []string, err error) {
	for {
		line, err := r.Next()
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
		if r.Number() != len(lines) {
			return lines, fmt.Errorf("line %d has the number %d", len(lines), r.Number())
		}
	}
}

// Every encoding and every line end gives the same lines, even if bytes arrive one by one.
func TestEncodings(t *testing.T) {
	want := []string{"path,label", "café/1.jpg,café", "", "猫 🐈,cat "}
	encodings := map[string]encoding.Encoding{
		"UTF-8": encoding.Nop, "UTF-8 with a mark": unicode.UTF8BOM,
		"UTF-16 LE": unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "UTF-16 BE": unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
		"UTF-32 LE": utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), "UTF-32 BE": utf32.UTF32(utf32.BigEndian, utf32.UseBOM),
	}
	for name, e := range encodings {
		for _, end := range []string{"\n", "\r\n", "\r"} {
			for _, last := range []string{"", end} {
				text, err := e.NewEncoder().String(strings.Join(want, end) + last)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
					if got, err := readAll(NewReader(r)); err != nil || !slices.Equal(got, want) {
						t.Errorf("%s, ends %q: %q, %v", name, end+last, got, err)
					}
				}
			}
		}
	}
}

func TestLines(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                     nil,
		"\ufeff":                               nil,
		"\n":                                   {""},
		"a\r\r\nb":                             {"a", "", "b"},
		"a\n\rb":                               {"a", "", "b"},
		"\ufeffa\n\ufeffb\ufeff":               {"a", "b\ufeff"}, // concatenated files
		"caf\xe9 \n":                           {"caf\xe9 "},     // a path may have any bytes
		"\xffa":                                {"\xffa"},
		strings.Repeat("x", Longest) + "\r\ny": {strings.Repeat("x", Longest), "y"},
	} {
		if got, err := readAll(NewReader(strings.NewReader(text))); err != nil || !slices.Equal(got, want) {
			t.Errorf("%.20q: %.40q, %v", text, got, err)
		}
	}
}

// Input that is not text is an error with the line number and without the text.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb\x00c\n":                          "line 2: has a zero byte",
		"a\x00\n\x00":                          "line 1: has a zero byte", // UTF-16 without a mark
		"a\n" + strings.Repeat("x", 3*Longest): "line 2: has more than 1048576 bytes",
		"\xff\xfea\x00\n\x00b":                 "line 2: is not valid", // half a unit
		"\xff\xfe\x00\xdca\x00":                "line 1: is not valid", // half a pair
		"\xff\xfe\x3d\xd8":                     "line 1: is not valid", // the other half
		"\xff\xfe\x00\x00\x00\x00\x11\x00":     "line 1: is not valid", // beyond Unicode
		"\xff\xfe\x00\x00\x00\xd8\x00\x00":     "line 1: is not valid", // a half, in UTF-32
		"\xfe\xff\x00a\x00\x00":                "line 1: has a zero byte",
	} {
		r := NewReader(strings.NewReader(text))
		if _, err := readAll(r); err == nil || !strings.HasPrefix(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
		if _, err := r.Next(); err == nil || err == io.EOF {
			t.Errorf("%.20q: after the error %v", text, err)
		}
	}
	broken := errors.New("the cable was pulled")
	r := NewReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)))
	if got, err := readAll(r); !slices.Equal(got, []string{"a"}) || !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
}

// A line is returned as soon as its end arrives, without waiting for the next one.
func TestLinesOneByOne(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(in)
		for i := range 3 {
			want := fmt.Sprint(i)
			if _, err := io.WriteString(out, want+end); err != nil {
				t.Fatal(err)
			}
			if got, err := r.Next(); err != nil || got != want { // a failure would hang
				t.Errorf("%q, %v", got, err)
			}
		}
		out.Close()
		if _, err := r.Next(); err != io.EOF {
			t.Error(err)
		}
		in.Close()
	}
}

// A CSV parser can read the lines, and a quote without an end does not fill the memory.
func TestRead(t *testing.T) {
	r := NewReader(strings.NewReader("\ufeff\"a\",\"b\r\nc\"\rd,e"))
	if line, err := r.Peek(); err != nil || line != `"a","b` {
		t.Errorf("%q, %v", line, err)
	}
	got, err := csv.NewReader(r).ReadAll()
	if err != nil || len(got) != 2 || !slices.Equal(got[0], []string{"a", "b\nc"}) || !slices.Equal(got[1], []string{"d", "e"}) {
		t.Errorf("%q, %v", got, err)
	}
	long := bytes.Repeat([]byte("a,b\n"), Longest/2)
	r = NewReader(io.MultiReader(strings.NewReader("x,\"y\n"), bytes.NewReader(long)))
	c := csv.NewReader(r)
	r.StartRecord()
	if _, err := c.Read(); err == nil || !strings.Contains(err.Error(), "a quote without an end") {
		t.Error(err)
	}
	r = NewReader(bytes.NewReader(long)) // longer in total, but in short records
	c = csv.NewReader(r)
	for n := 0; ; n++ {
		r.StartRecord()
		if _, err := c.Read(); err == io.EOF && n == Longest/2 {
			break
		} else if err != nil {
			t.Fatal(n, err)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"cat": "cat", " cat\t": "cat", "\u00a0cat\u202f": "cat", "\ufeffcat\u200b": "cat", "ice\u00a0cream": "ice cream", "two  words": "two  words",
		"cafe\u0301": "café", "\u1112\u1161\u11ab": "한", "Cat": "Cat", "": "", "\ufb01sh": "\ufb01sh",
	} {
		if got, err := ClassName(name); got != want || err != nil {
			t.Errorf("%+q: %+q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"caf\xe9": `"caf\xe9" is not UTF-8; save the file`, strings.Repeat("x", 5000): "has 5000 bytes", strings.Repeat("\xff", 5000): "is not UTF-8",
	} {
		if got, err := ClassName(name); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("%.10q: %.20q, %v", name, got, err)
		}
	}
	groups := Alike([]string{"Cat", "dog", "cat", "ice cream", "CAT", "icecream", "-1", "1"})
	if fmt.Sprint(groups) != "[[Cat cat CAT] [ice cream icecream]]" {
		t.Error(groups)
	}
}

func TestNamesOfAFile(t *testing.T) {
	got, err := Names(strings.NewReader("\ufeffa\r\nb c \r\ncafe\u0301\r\n\r\n"))
	if err != nil || !slices.Equal(got, []string{"a", "b c", "café"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Names(strings.NewReader("\ufeff\n \n")); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for text, want := range map[string]string{
		"a\n\n \nb": "line 2 is empty", "a\ncaf\xe9": `line 2: "caf\xe9" is not UTF-8`, "a\x00": "line 1: has a zero byte",
	} {
		if got, err := Names(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestPath(t *testing.T) {
	disk := []string{"a.jpg", "p/b/e\u0301.jpg", `q\r.jpg`, " b.jpg", "e\u0301.jpg", "ö.jpg", "caf\xe9.jpg"}
	for written, want := range map[string]string{
		"a.jpg": "a.jpg", " a.jpg ": "a.jpg", " b.jpg": " b.jpg", "\u00e9.jpg": "e\u0301.jpg", "o\u0308.jpg\u00a0": "ö.jpg",
		"caf\xe9.jpg ": "caf\xe9.jpg", " none ": "none", `p\b\` + "\u00e9.jpg": "p/b/e\u0301.jpg", `q\r.jpg`: `q\r.jpg`, `x\y`: `x\y`, "caf\xe8.jpg": "caf\xe8.jpg",
	} {
		if got := Path(written, func(p string) bool { return slices.Contains(disk, p) }); got != want {
			t.Errorf("%+q: %+q", written, got)
		}
	}
}

func TestShort(t *testing.T) {
	if got := Short(strings.Repeat("é", 101)); got != strings.Repeat("é", 100)+"…" {
		t.Error(got)
	}
	if got := Short("x" + strings.Repeat("é", 100)); got != "x"+strings.Repeat("é", 99)+"…" {
		t.Error(got)
	}
	if got := Short("short"); got != "short" {
		t.Error(got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\xff\xfea\x00\n\x00"))
	f.Add([]byte("\ufeffa\r\nb\rc"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, err := readAll(NewReader(bytes.NewReader(text)))
		for _, line := range lines {
			if strings.ContainsAny(line, "\x00\r\n") || len(line) > Longest {
				t.Errorf("%q has the line %q", text, line)
			}
		}
		if err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
