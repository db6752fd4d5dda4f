package folder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
)

// makeFolder writes a folder of generated images.
func makeFolder(t *testing.T, c MakeConfig) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "photos")
	if err := Make(context.Background(), dir, c); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write writes files with these contents below dir.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func names(x *Index, split data.Split) (out []string) {
	for _, it := range x.Items {
		if it.Split == split {
			out = append(out, x.Classes[it.Label]+":"+it.Name)
		}
	}
	return out
}

func TestScanFolders(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"plain/b/2.jpg": "", "plain/b/10.PNG": "", "plain/a/deep/er/1.webp": "", "plain/a/notes.txt": "",
		"plain/a/.hidden.jpg": "", "plain/.git/x.jpg": "", "plain/__MACOSX/x.jpg": "", "plain/read.me": "",
		"both/train/b/1.gif": "", "both/train/a/1.bmp": "", "both/val/a/2.jpeg": "", "both/test/a/3.jpg": "",
		"tested/train/b/1.gif": "", "tested/train/a/1.bmp": "", "tested/test/b/3.jpg": "",
	})
	for folder, want := range map[string]struct{ train, test, others []string }{
		"plain":  {[]string{"a:a/deep/er/1.webp", "b:b/10.PNG", "b:b/2.jpg"}, nil, []string{"a/notes.txt"}},
		"both":   {[]string{"a:train/a/1.bmp", "b:train/b/1.gif"}, []string{"a:val/a/2.jpeg"}, nil},
		"tested": {[]string{"a:train/a/1.bmp", "b:train/b/1.gif"}, []string{"b:test/b/3.jpg"}, nil},
	} {
		x, err := Scan(filepath.Join(dir, folder))
		if err != nil {
			t.Error(err)
			continue
		}
		if !slices.Equal(x.Classes, []string{"a", "b"}) || x.Name != folder || x.Tested != (want.test != nil) {
			t.Errorf("%s: %+v", folder, x)
		}
		if got := [][]string{names(x, data.Train), names(x, data.Test), x.Others}; !reflect.DeepEqual(got, [][]string{want.train, want.test, want.others}) {
			t.Errorf("%s: %v", folder, got)
		}
		if _, err := os.Stat(x.Items[0].Path); err != nil {
			t.Error(err)
		}
		if got := slices.Contains(x.Layout, Part{Name: "test", Images: 1, Classes: 1}); got != (folder == "both") || len(x.Notes) > 0 {
			t.Errorf("%s: parts %v, notes %q", folder, x.Layout, x.Notes)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "plain", "b"), filepath.Join(dir, "plain", "linked")); err == nil {
		x, err := Scan(filepath.Join(dir, "plain"))
		if err != nil || !slices.Equal(x.Classes, []string{"a", "b", "linked"}) || x.Counts(data.Train)[2] != 2 {
			t.Errorf("a link to a folder: %+v, %v", x, err)
		}
	}
}

func TestScanLists(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a.jpg": "", "sub/b.jpg": "", "c.jpg": "",
		"list.csv":    "\ufeffFile, Class,split\nc.jpg,two words,train\n\"sub/b.jpg\",1,val\na.jpg,two words,\n",
		"list.jsonl":  "{\"image\": \"c.jpg\", \"label\": \"x\"}\n\n{\"path\": \"./sub/b.jpg\", \"label\": 7}\n",
		"no.csv":      "file,size\na.jpg,3\n",
		"empty.csv":   "",
		"twice.csv":   "path,label\na.jpg,1\n./a.jpg,2\n",
		"missing.csv": "path,label\na.jpg,1\nnone.jpg,2\n",
		"blank.jsonl": "{\"path\": \"a.jpg\"}\n",
		"bad.jsonl":   "{\"path\": \"a.jpg\", \"label\": 1}\n{\n",
		"split.csv":   "path,label,split\na.jpg,1,tset\n",
		"folder.csv":  "path,label\nsub,1\na.jpg,2\n",
		"short.csv":   "path,label\na.jpg\n",
		"one.csv":     "path,label\na.jpg,1\n",
		"list.txt":    "a.jpg 1\n",
	})
	x, err := Scan(filepath.Join(dir, "list.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if got := [][]string{x.Classes, names(x, data.Train), names(x, data.Test)}; x.Name != "list" || !x.Tested || !reflect.DeepEqual(got, [][]string{
		{"1", "two words"}, {"two words:a.jpg", "two words:c.jpg"}, {"1:sub/b.jpg"},
	}) {
		t.Errorf("csv: %v, %+v", got, x)
	}
	if x, err = Scan(filepath.Join(dir, "list.jsonl")); err != nil || !slices.Equal(names(x, data.Train), []string{"7:sub/b.jpg", "x:c.jpg"}) || x.Tested {
		t.Errorf("jsonl: %+v, %v", x, err)
	}
	write(t, dir, map[string]string{ // the content counts, and not the name
		"table.txt": "path;label\na.jpg;1\nc.jpg;2\n", "table": "sep=,\npath,label\na.jpg,1\nc.jpg,2\n", "table.jsonl": "path,label\na.jpg,1\nc.jpg,2\n",
		"lines.csv": "{\"path\": \"a.jpg\", \"label\": 1}\n{\"path\": \"c.jpg\", \"label\": 2}\n",
		"lines.log": "\n{\"path\": \"a.jpg\", \"label\": 1}\n{\"path\": \"c.jpg\", \"label\": 2}\n",
	})
	for _, list := range []string{"table.txt", "table", "table.jsonl", "lines.csv", "lines.log"} {
		x, err := Scan(filepath.Join(dir, list))
		if err != nil || !slices.Equal(names(x, data.Train), []string{"1:a.jpg", "2:c.jpg"}) || !IsList(filepath.Join(dir, list)) {
			t.Errorf("%s: %+v, %v", list, x, err)
		}
	}
	for list, want := range map[string]string{
		"no.csv": "path and label must be among them", "empty.csv": "is empty", "twice.csv": "line 3 names ./a.jpg again, after line 2",
		"missing.csv": "paths are relative to the folder of the list", "blank.jsonl": "line 1 gives a.jpg no label", "bad.jsonl": "line 2 is not a JSON object",
		"split.csv": `line 2: unknown split "tset"`, "folder.csv": "line 2: ", "short.csv": "wrong number of fields",
		"one.csv": `all images the label "1"`, "list.txt": "neither a folder nor", "none": "name a folder",
	} {
		if _, err := Scan(filepath.Join(dir, list)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: want %q, got %v", list, want, err)
		}
	}
}

func TestScanRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"empty/a/1.jpg": "", "empty/b/readme.txt": "",
		"other/train/a/1.jpg": "", "other/train/b/1.jpg": "", "other/val/c/1.jpg": "",
		"one/a/1.jpg": "", "flat/x.jpg": "", "flat/y.txt": "", "none/x.txt": "",
		"above/photos/a/1.jpg": "", "above/photos/b/1.jpg": "", "phone/a/1.jpg": "", "phone/b/1.HEIC": "", "phone/b/2.heic": "", "phone/b/x": "",
		"untested/train/a/1.jpg": "", "untested/train/b/1.jpg": "", "untested/val/a/notes.txt": "",
	})
	for folder, want := range map[string]string{
		"empty": `no image of class "b"`, "other": `has a class "c" that is not one of the training classes`, "one": `has one class, "a"; make`, "none": "holds no folders",
		"flat": "holds images (1) and no folders", "above": "name it: " + filepath.Join(dir, "above", "photos"),
		"phone":    "(2 .heic, 1 without an ending; convert .heic to JPEG or PNG)",
		"untested": "has no test images", "absent": "no such file",
	} {
		if _, err := Scan(filepath.Join(dir, folder)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", folder, want, err)
		}
	}
}

func TestHoldout(t *testing.T) {
	make := func(n ...int) *Index {
		x := &Index{Root: "photos"}
		for label, count := range n {
			x.Classes = append(x.Classes, fmt.Sprint(label))
			for i := range count {
				x.Items = append(x.Items, Item{Name: fmt.Sprintf("%d/%03d.jpg", label, i), Label: label, Split: data.Train})
			}
		}
		return x
	}
	holdOut := func(x *Index, share float64, seed uint64, groups []int) []string {
		t.Helper()
		if err := x.Holdout(share, seed, groups); err != nil {
			t.Fatal(err)
		}
		return names(x, data.Test)
	}
	x := make(100, 10, 2, 1)
	first := holdOut(x, 0.2, 1, nil)
	if got := x.Counts(data.Test); !slices.Equal(got, []int{20, 2, 1, 0}) {
		t.Errorf("held out %v", got)
	}
	slices.Reverse(x.Items)
	again := holdOut(x, 0.2, 1, nil)
	slices.Sort(again)
	if !slices.Equal(first, again) {
		t.Error("the order of the files changed the choice")
	}
	if other := holdOut(make(100, 10, 2, 1), 0.2, 2, nil); slices.Equal(first, other) {
		t.Error("another seed chose the same")
	}
	// One more image moves at most one other to the other split.
	more := holdOut(make(101, 10, 2, 1), 0.2, 1, nil)
	same := 0
	for _, name := range more {
		if slices.Contains(first, name) {
			same++
		}
	}
	if same < len(first)-1 {
		t.Errorf("with one more image, %d of %d are still held out", same, len(first))
	}
	// Groups of ten images stay together.
	x = make(100, 100)
	groups := []int{}
	for i := range x.Items {
		groups = append(groups, i/10*10)
	}
	holdOut(x, 0.2, 3, groups)
	for i := range x.Items {
		if x.Items[i].Split != x.Items[groups[i]].Split {
			t.Fatalf("group %d is on both sides", groups[i])
		}
	}
	if got := x.Counts(data.Test); !slices.Equal(got, []int{20, 20}) {
		t.Errorf("held out %v of groups", got)
	}
	// The user's choice stays as it is.
	x.Tested = true
	before := names(x, data.Test)
	if after := holdOut(x, 0.9, 1, nil); !slices.Equal(before, after) {
		t.Error("the user's choice was changed")
	}
	for _, share := range []float64{0, 1, -1} {
		if err := make(5, 5).Holdout(share, 1, nil); err == nil || !strings.Contains(err.Error(), "between 0 and 1") {
			t.Errorf("share %v: %v", share, err)
		}
	}
	if err := make(1, 1).Holdout(0.5, 1, nil); err == nil || !strings.Contains(err.Error(), "too few images") {
		t.Errorf("one each: %v", err)
	}
}

func TestCheckAndGroups(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 6, Val: 2, Broken: 1, Turned: 0.4, Seed: 6})
	// One image is also, smaller, in the other split, and one in another class.
	x, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	again := func(from, to string, height, width int) {
		t.Helper()
		m, _, err := photo.Read(filepath.Join(dir, filepath.FromSlash(from)), photo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		content, err := encode(transforms.Resize{Height: height, Width: width}.Apply(m, nil), 1)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, map[string]string{to: string(content)})
	}
	a, b := x.Classes[1], x.Classes[2]
	again("train/"+a+"/0003.jpg", "val/"+a+"/again.jpg", 80, 70)
	again("train/"+a+"/0004.jpg", "train/"+b+"/contrary.jpg", 90, 90)
	write(t, dir, map[string]string{"train/" + a + "/notes.txt": "x"})
	if x, err = Scan(dir); err != nil {
		t.Fatal(err)
	}
	calls := 0
	r, groups, err := x.Check(context.Background(), Options{}, func(done, total int) {
		if calls++; done != calls || total != len(x.Items) {
			t.Errorf("progress %d of %d after %d calls", done, total, calls)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls != 82 || r.Formats["jpeg"] != 81 || len(r.Broken) != 1 || !strings.Contains(r.Broken[0].Error, "cut short") || len(r.Turned) < 15 || len(r.Turned) > 60 ||
		!slices.Equal(r.Others, []string{"train/" + a + "/notes.txt"}) || r.Classes[1] != (ClassReport{a, 6, 3}) || r.Height[0] < 64 || r.Width[1] > 240 || !r.Tested {
		t.Errorf("%d calls, %+v", calls, r)
	}
	leak, contrary := []string{"train/" + a + "/0003.jpg", "val/" + a + "/again.jpg"}, []string{"train/" + a + "/0004.jpg", "train/" + b + "/contrary.jpg"}
	has := func(list [][]string, want []string) bool {
		return slices.ContainsFunc(list, func(g []string) bool { return slices.Contains(g, want[0]) && slices.Contains(g, want[1]) })
	}
	if !has(r.Alike, leak) || !has(r.Leaks, leak) || !has(r.Alike, contrary) || !has(r.Contradictory, contrary) {
		t.Errorf("alike %v, leaks %v, contradictory %v", r.Alike, r.Leaks, r.Contradictory)
	}
	if len(r.Alike) != 2 || len(r.Leaks) != 1 || len(r.Contradictory) != 1 {
		t.Errorf("more images are alike than there are: %v", r.Alike)
	}
	if len(groups) != len(x.Items) {
		t.Fatalf("%d groups", len(groups))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := x.Groups(ctx, Options{}, nil); err != context.Canceled {
		t.Errorf("stopped: %v", err)
	}
}

// Copies of one image in other sizes stay in one split.
func TestTogether(t *testing.T) {
	dir := makeFolder(t, MakeConfig{PerClass: 3, Seed: 7})
	x, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range x.Items {
		if !strings.HasSuffix(it.Name, "0000.jpg") {
			continue
		}
		m, _, err := photo.Read(it.Path, photo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for k, height := range []int{70, 85, 100} {
			content, err := encode(transforms.Resize{Height: height, Width: height + 10}.Apply(m, nil), 1)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{fmt.Sprintf("%s-%d.jpg", strings.TrimSuffix(it.Name, ".jpg"), k): string(content)})
		}
	}
	split := 0
	for _, together := range []bool{true, false} {
		_, test, err := Open(context.Background(), dir, Options{Together: together, Holdout: 0.3})
		if err != nil {
			t.Fatal(err)
		}
		copies := map[int]int{} // the number of test images of each class
		for _, it := range test.Items() {
			if strings.Contains(it.Name, "/0000") {
				copies[it.Label]++
			}
		}
		for label, n := range copies {
			if n != 4 {
				split++
				if together {
					t.Errorf("%d of 4 copies of an image of %s are tested on", n, test.Info().Classes[label])
				}
			}
		}
	}
	if split == 0 {
		t.Error("copies stay together without Together, so the test shows nothing")
	}
}

func TestOptionsRefused(t *testing.T) {
	x := &Index{Root: "r", Classes: []string{"a", "b"}, Items: []Item{{Split: data.Train}}}
	for want, o := range map[string]Options{
		"of 2 channels": {Channels: 2}, "-1 pixels a side": {Size: -1}, "cannot be larger": {Size: 64, ResizeSize: 32}, "shrunk to -1": {Shrink: -1},
	} {
		if _, err := x.Set(data.Train, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := x.Set(data.Test, Options{}); err == nil || !strings.Contains(err.Error(), "no image in its part test") {
		t.Errorf("%v", err)
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"x": ""})
	for want, c := range map[string]MakeConfig{"is not empty": {}, "PerClass -1: must be from 1": {PerClass: -1}, "Broken 3: must be from 0 to the 2 of PerClass": {PerClass: 2, Broken: 3}, "Turned 5: must be a share": {Turned: 5}, "Val -1": {Val: -1}} {
		if err := Make(context.Background(), dir, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
