package folder

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
)

// checked scans and checks a folder.
func checked(t *testing.T, path string) (*Index, *Report, []int) {
	t.Helper()
	x, err := Scan(path)
	if err != nil {
		t.Fatal(err)
	}
	r, groups, err := x.Check(context.Background(), Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return x, r, groups
}

func changes(t *testing.T, x *Index, want ...string) {
	t.Helper()
	got, err := x.Changed(context.Background())
	if err != nil || len(got) != len(want) {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) || strings.Contains(got[i], "new run") { // the caller gives the next step
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Changed and a Set notice that files have changed.
func TestChangesAreNoticed(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 4})
	x, _, _ := checked(t, dir)
	changes(t, x)
	first, second := x.Items[0].Path, x.Items[1].Path

	// A file with another time but the same content has not changed.
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(first, later, later); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(filepath.Dir(first), "new.jpg"), second)
	changes(t, x)

	set := func() *Set {
		s, err := x.Set(data.Train, Options{Size: 16, Broken: func(string, error) { t.Error("a changed image is not a broken one") }})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if _, _, err := set().Image(0); err != nil {
		t.Error(err)
	}
	copyFile(t, first, second)
	changes(t, x, first+": has changed")
	if _, _, err := set().Image(0); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), first) || strings.Count(err.Error(), "start a new run") != 1 {
		t.Errorf("a set that reads the other image says %v", err)
	}
	// A set without memory for full images reads a part of the image and notices the change too.
	parts, err := x.Set(data.Train, Options{Size: 16, CacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	corner := func(int, int) transforms.Crop { return transforms.Crop{Height: 8, Width: 8} }
	if _, _, err := parts.Part(0, corner); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), first) {
		t.Errorf("a set that reads a part of the other image says %v", err)
	}
	if m, _, err := parts.Part(1, corner); err != nil || m.Height != 8 || m.Width != 8 {
		t.Errorf("a part of an image that has not changed: [%d, %d], %v", m.Height, m.Width, err)
	}
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	changes(t, x, first+": has changed", second+": is no longer there")
}

func TestChangedListsAreNoticed(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 2})
	list := filepath.Join(dir, "list.csv")
	write := func(lines ...string) {
		if err := os.WriteFile(list, []byte("path,label,split\n"+strings.Join(lines, "\n")+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	lines := []string{"coat/0000.jpg,coat,train", "coat/0001.jpg,coat,val", "bag/0000.jpg,bag,train", "bag/0001.jpg,bag,val"}
	write(lines...)
	x, _, _ := checked(t, list)
	write(slices.Concat(lines[2:], lines[:2], []string{"shirt/0000.jpg,shirt,train"})...)
	changes(t, x)
	write("coat/0000.jpg,bag,train", "coat/0001.jpg,coat,train", lines[2])
	changes(t, x, "bag/0001.jpg is no longer in it", `coat/0000.jpg is "bag" now, and was "coat"`, "coat/0001.jpg is in the part train now, and was in test")
	write("coat/0000.jpg")
	changes(t, x, "list.csv")
}

func TestRecord(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 4})
	x, _, groups := checked(t, dir)
	if err := x.Holdout(0.25, 3, groups); err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(t.TempDir(), "pictures.csv")
	var b bytes.Buffer
	if err := x.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(record, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRecord(record, dir, x.Classes)
	if err != nil {
		t.Fatal(err)
	}
	for i, it := range x.Items {
		it.Mark.Modified = it.Mark.Modified.UTC()
		x.Items[i] = it
	}
	if !reflect.DeepEqual(got, x) {
		t.Errorf("read back: %+v, was %+v", got, x)
	}
	changes(t, got)
	for _, bad := range []struct{ from, to, want string }{
		{"path,", "name,", "first line"}, {",train,", ",both,", `the part "both"`}, {",coat,", ",cape,", `"cape"`}, {"T", "U", "line 2"},
	} {
		if err := os.WriteFile(record, []byte(strings.Replace(b.String(), bad.from, bad.to, 1)), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRecord(record, dir, x.Classes); err == nil || !strings.Contains(err.Error(), bad.want) || !strings.Contains(err.Error(), record) {
			t.Errorf("%s: %v", bad.want, err)
		}
	}
}

// Two of 40 images may be broken, but not three, and not all images of a class.
func TestWithout(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 4})
	x, _, _ := checked(t, dir)
	spoil := func(from, n int) {
		for _, it := range x.Items[from : from+n] {
			if err := os.WriteFile(it.Path, []byte("nothing"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	spoil(3, 2)
	x, r, groups := checked(t, dir)
	remaining, remainingGroups, err := x.Without(r, groups)
	if err != nil || len(remaining.Items) != 38 || len(remainingGroups) != 38 || len(x.Items) != 40 {
		t.Fatalf("%d images of %d groups: %v", len(remaining.Items), len(remainingGroups), err)
	}
	if slices.ContainsFunc(remaining.Items, func(it Item) bool { return it.Path == x.Items[3].Path || it.Path == x.Items[4].Path }) {
		t.Error("a broken image remains")
	}
	if err := remaining.Holdout(0.25, 0, remainingGroups); err != nil {
		t.Error(err)
	}
	spoil(5, 1)
	x, r, groups = checked(t, dir)
	if _, _, err := x.Without(r, groups); err == nil || !strings.Contains(err.Error(), "3 of the 40") || !strings.Contains(err.Error(), "residual data check "+dir) ||
		!strings.Contains(err.Error(), x.Items[3].Name) {
		t.Error(err)
	}

	x.Items = append(slices.Clone(x.Items), x.Items[8:]...) // so that the broken ones are less than 5%
	x.Items = append(x.Items, x.Items[8:]...)
	remaining, _, err = x.Without(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := remaining.Counts(data.Train)[1]; n != 2 {
		t.Fatalf("%d images left", n)
	}
	r.Broken = append(r.Broken, Problem{Name: x.Items[6].Name}, Problem{Name: x.Items[7].Name})
	if _, _, err := x.Without(r, nil); err == nil || !strings.Contains(err.Error(), `none of the 4 images of class "bag"`) {
		t.Error(err)
	}
}

// ScanAs uses the classes of the model, whichever of them the folder has.
func TestScanAs(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 2})
	all, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	model := slices.Clone(all.Classes)
	slices.Reverse(model)
	for _, class := range []string{"bag", "coat"} {
		if err := os.RemoveAll(filepath.Join(dir, class)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "coat"), 0o777); err != nil { // an empty folder does no harm
		t.Fatal(err)
	}
	x, err := ScanAs(dir, model)
	if err != nil || len(x.Items) != 16 || !slices.Equal(x.Classes, model) {
		t.Fatalf("%d images of %v: %v", len(x.Items), x.Classes, err)
	}
	for _, it := range x.Items {
		if class, _, _ := strings.Cut(it.Name, "/"); model[it.Label] != class {
			t.Errorf("%s has the label of %s", it.Name, model[it.Label])
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "cape"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := ScanAs(dir, model); err == nil || !strings.Contains(err.Error(), `a class "cape", which the model does not know`) {
		t.Error(err)
	}

	// A split may be missing.
	parts := makeFolder(t, MakeConfig{PerClass: 2, Val: 3})
	if err := os.RemoveAll(filepath.Join(parts, "train")); err != nil {
		t.Fatal(err)
	}
	if x, err = ScanAs(parts, model); err != nil || !x.Tested || x.count(data.Test) != 30 || len(x.Items) != 30 {
		t.Errorf("%v, %+v", err, x)
	}
	if x, err = ScanAs(filepath.Join(parts, "val"), model); err != nil || x.Tested || len(x.Items) != 30 {
		t.Errorf("%v, %+v", err, x)
	}
	list := filepath.Join(parts, "list.csv")
	if err := os.WriteFile(list, []byte("path,label\nval/coat/0000.jpg,coat\nval/bag/0000.jpg,sack\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ScanAs(list, model); err == nil || !strings.Contains(err.Error(), `line 3 gives val/bag/0000.jpg the label "sack"`) {
		t.Error(err)
	}
	if _, err := ScanAs(list, []string{"sack", "coat", "hat"}); err != nil {
		t.Error(err)
	}
}

func TestMaxImages(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 6})
	x, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := x.Set(data.Train, Options{MaxImages: 20})
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, 10)
	for _, it := range s.Items() {
		counts[it.Label]++
	}
	if !slices.Equal(counts, slices.Repeat([]int{2}, 10)) {
		t.Errorf("20 images of 10 classes: %v", counts)
	}
}
