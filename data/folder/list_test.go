package folder

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/residual-ml/residual/data"
)

// utf16LE encodes text as UTF-16 LE with a byte order mark, as Excel does.
func utf16LE(text string) string {
	b := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(text)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// The same list in any form gives the same index.
func TestListsInEveryForm(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.jpg": "", "b c.jpg": "", "d.jpg": "", "caf\u00e9.jpg": ""})
	const list = "path,label,split\na.jpg,cat,train\nb c.jpg,ice cream,val\nd.jpg,cat,Dev Set\ncaf\u00e9.jpg,caf\u00e9,TRAIN\n"
	const json = `{"path": "a.jpg", "label": "cat"}` + "\n\n" + `{"Path": "b c.jpg", "label": "ice cream", "split": "val"}` + "\n" +
		`{"path": "d.jpg", "label": "cat", "split": "Dev Set"}` + "\n" + `{"path": "caf\u00e9.jpg", "label": "caf\u00e9", "split": "TRAIN"}`
	quoted := `"` + strings.NewReplacer(",", `","`, "\n", "\"\n\"").Replace(strings.TrimSpace(list)) + `"`
	change := func(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }
	for name, text := range map[string]string{
		"plain.csv": list, "quoted.csv": quoted, "mark.csv": "\ufeff" + list, "mark-quoted.csv": "\ufeff" + quoted,
		"crlf.csv": change(list, "\n", "\r\n"), "cr.csv": change(list, "\n", "\r"), "cr-quoted.csv": change(quoted, "\n", "\r"),
		"utf16.csv": utf16LE(list), "utf16-quoted.csv": utf16LE(change(quoted, "\n", "\r\n")), "utf16-tabs.csv": utf16LE(change(list, ",", "\t")),
		"semicolons.csv": change(list, ",", ";"), "sep.csv": "sep=;\r\n" + change(list, ",", ";"), "tabs.csv": change(list, ",", "\t"), "tabs-quoted.csv": change(quoted, ",", "\t"),
		"spaces.csv": change(list, ",cat", ", cat ", "label", " label "), "spaces-quoted.csv": change(quoted, `"cat"`, ` "cat "`),
		"nbsp.csv": change(list, "ice cream", "ice\u00a0cream\u00a0", ",cat", ",\u00a0cat"), "composed.csv": change(list, "\u00e9", "e\u0301"),
		"blank.csv": "\n\n" + list + "\n", "capitals.csv": change(list, "path,label,split", "File,CLASS,Split"),
		"plain.jsonl": json, "mark.jsonl": "\ufeff" + json, "crlf.jsonl": change(json, "\n", "\r\n"), "cr.ndjson": change(json, "\n", "\r"), "utf16.jsonl": utf16LE(json),
		"spaces.jsonl": change(json, `"cat"`, `" cat "`, `"a.jpg"`, `"a.jpg "`), "nbsp.jsonl": change(json, "ice cream", `\u00a0ice\u00a0cream`), "composed.jsonl": change(json, "\u00e9", `e\u0301`),
	} {
		write(t, dir, map[string]string{name: text})
		x, err := Scan(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := [][]string{x.Classes, names(x, data.Train), names(x, data.Test)}; x.Notes != nil || x.Layout != nil || !reflect.DeepEqual(got, [][]string{
			{"caf\u00e9", "cat", "ice cream"}, {"caf\u00e9:caf\u00e9.jpg", "cat:a.jpg"}, {"cat:d.jpg", "ice cream:b c.jpg"},
		}) {
			t.Errorf("%s: %q, %v, %q", name, got, x.Layout, x.Notes)
		}
		if _, err := ScanAs(filepath.Join(dir, name), []string{"cafe\u0301", "cat ", "ice cream", "cow"}); err != nil { // the classes of an older model
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Test images are not used if there are validation images, as in folders.
func TestListsOfThreeParts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"1.jpg": "", "2.jpg": "", "3.jpg": "", "4.jpg": "", "5.jpg": "",
		"three.csv": "path,label,split\n1.jpg,a,train\n2.jpg,b,training\n3.jpg,a,valid\n4.jpg,b,test\n5.jpg,B,holdout\n",
		"two.csv":   "path,label,split\n1.jpg,a,train\n2.jpg,b,\n3.jpg,a,test\n4.jpg,b,hold-out\n",
	})
	x, err := Scan(filepath.Join(dir, "three.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if got := [][]string{names(x, data.Train), names(x, data.Test)}; !reflect.DeepEqual(got, [][]string{{"a:1.jpg", "b:2.jpg"}, {"a:3.jpg"}}) || !slices.Equal(x.Layout, []Part{{"test", "", 2, 0}}) {
		t.Errorf("%v, %v", got, x.Layout)
	}
	if len(x.Notes) != 1 || !strings.Contains(x.Notes[0], `"B" and "b" are different classes`) {
		t.Errorf("%q", x.Notes)
	}
	if x, err = Scan(filepath.Join(dir, "two.csv")); err != nil || !slices.Equal(x.Counts(data.Test), []int{1, 1}) || x.Layout != nil {
		t.Errorf("%v, %+v", err, x)
	}
}

func TestListsRefused(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", 3<<20)
	write(t, dir, map[string]string{"a.jpg": "", "b.jpg": ""})
	for name, c := range map[string]struct{ text, want string }{
		"1252.csv":     {"path,label\na.jpg,tea\nb.jpg,caf\xe9\n", `line 3: the label "caf\xe9" is not UTF-8; save the file in that encoding (in Excel: CSV UTF-8)`},
		"1252.jsonl":   {"{\"path\": \"a.jpg\", \"label\": \"caf\xe9\"}\n", "line 1: "},
		"header.csv":   {"path,label,gr\xf6\xdfe\na.jpg,tea,1\n", "line 1: "},
		"path.csv":     {"path,label\ncaf\xe9.jpg,tea\n", `line 2: no such file, and the path "caf\xe9.jpg" is not UTF-8`},
		"zero.csv":     {"path,label\na.jpg,te\x00a\n", "line 2: has a zero byte"},
		"unmarked.csv": {utf16LE("path,label\na.jpg,tea\n")[2:], "line 1: has a zero byte"},
		"half.csv":     {utf16LE("path,label\na.jpg,tea\n") + "x", "line 3: is not valid in the encoding"},
		"long.csv":     {"path,label\na.jpg," + long + "\n", "line 2: has more than 1048576 bytes"},
		"long.jsonl":   {"{\"path\": \"a.jpg\", \"label\": \"tea\"}\n" + long, "line 2: has more than 1048576 bytes"},
		"label.csv":    {"path,label\na.jpg," + long[:5000] + "\n", "the name of a class has at most 1000"},
		"name.csv":     {"path,label\n" + long[:50000] + ",tea\n", "line 2: "},
		"nolabel.csv":  {"path,label\n" + long[:50000] + ",\n", "line 2 gives "},
		"column.csv":   {long[:50000] + "\n", "does not name the columns"},
		"split.csv":    {"path,label,split\na.jpg,tea," + long[:50000] + "\n", "line 2: unknown split"},
		"quote.csv":    {"path,label\n\"a.jpg,tea\n" + strings.Repeat("b.jpg,tea\n", 200000), "a quote without an end"},
		"fields.csv":   {"sep=,\npath,label\na.jpg\n", "record on line 3: wrong number of fields"},
		"nbsp.csv":     {"path,label\na.jpg,\u00a0\n", "line 2 gives a.jpg no label"},
	} {
		write(t, dir, map[string]string{name: c.text})
		for _, known := range [][]string{nil, {"tea", "x"}} {
			_, err := scan(filepath.Join(dir, name), known)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), filepath.Join(dir, name)) || len(err.Error()) > 1500 {
				t.Errorf("%s: want %q, got %.300v", name, c.want, err)
			}
		}
	}
}

// Paths are any bytes: they need not be UTF-8, and the list may compose letters in another way
// than the file system.
func TestPathsOfLists(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux may file names be any bytes")
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"p/cafe\u0301.jpg": "", "p/t\xe9.jpg": "", "p/ space.jpg": "", "p/end.jpg ": "",
		"list.csv": "path,label\np/caf\u00e9.jpg,a\np/t\xe9.jpg,b\n\"p/ space.jpg\",a\n\"p/end.jpg \",b\n",
	})
	x, err := Scan(filepath.Join(dir, "list.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(x, data.Train), []string{"a:p/ space.jpg", "a:p/cafe\u0301.jpg", "b:p/end.jpg ", "b:p/t\xe9.jpg"}; !slices.Equal(got, want) {
		t.Errorf("%+q", got)
	}
	for _, it := range x.Items {
		if _, err := os.Stat(it.Path); err != nil {
			t.Error(err)
		}
	}
	again := filepath.Join(dir, "again.csv")
	write(t, dir, map[string]string{"again.csv": "path,label\np/cafe\u0301.jpg,a\np/caf\u00e9.jpg,b\n"})
	if _, err := Scan(again); err == nil || !strings.Contains(err.Error(), "line 3 names") {
		t.Error(fmt.Errorf("one image under two names: %w", err))
	}
}
