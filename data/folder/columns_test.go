package folder

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/task"
)

// imageTargets lists the images of an index with their targets.
func imageTargets(t *testing.T, x *Index) (all []string) {
	t.Helper()
	for _, it := range x.Items {
		values, err := targetsIn(x.Classes[it.Label], len(x.Targets.Names))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(it.Name, values))
	}
	return all
}

// The same labels and values in any form give the same index.
func TestColumnsInEveryForm(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.jpg": "", "b c.jpg": "", "d.jpg": ""})
	labels := []string{"a.jpg[1 0]", "b c.jpg[0 0]", "d.jpg[1 1]"}
	for name, text := range map[string]string{
		"columns.csv": "path,cat,ice cream,split\na.jpg,1,0,train\nb c.jpg,0,0,val\nd.jpg,1,1,train\n",
		"turned.csv":  "split;cat; ice cream ;file\ntrain;1; 0;a.jpg\nval;0;0;b c.jpg\ntrain;1;1 ;d.jpg\n",
		"names.csv":   "path,labels,split\na.jpg,cat,train\nb c.jpg,,val\nd.jpg,ice cream|cat,train\n",
		"tags.csv":    "author,path,Tags,split\nann,a.jpg,cat|,train\nbob,b c.jpg,\" | \",val\nann,d.jpg,cat | ice\u00a0cream|cat,train\n",
		"only.csv":    "path,kind,split\na.jpg,cat,train\nb c.jpg,,val\nd.jpg,ice cream|cat,train\n",
		"a.jsonl":     `{"path": "a.jpg", "labels": ["cat"]}` + "\n" + `{"path": "b c.jpg", "labels": [], "split": "val"}` + "\n" + `{"path": "d.jpg", "labels": ["ice cream", "cat"]}`,
		"b.jsonl": `{"path": "a.jpg", "cat": true, "ice cream": 0}` + "\n" + `{"path": "b c.jpg", "cat": false, "ice cream": false, "split": "val"}` + "\n" +
			`{"path": "d.jpg", "cat": 1, "ice cream": 1}`,
	} {
		write(t, dir, map[string]string{name: text})
		for _, known := range [][]string{nil, {"cat", "ice cream"}} {
			x, err := ScanTargets(context.Background(), filepath.Join(dir, name), Columns{Task: task.Labels, Known: known})
			if err != nil {
				t.Error(err)
				continue
			}
			if got := imageTargets(t, x); !reflect.DeepEqual(got, labels) || !slices.Equal(x.Targets.Names, []string{"cat", "ice cream"}) || x.count(data.Test) != 1 || !slices.Equal(x.CountLabels(""), []int{2, 1}) {
				t.Errorf("%s: %q of %q", name, got, x.Targets.Names)
			}
		}
	}
	values := []string{"a.jpg[31.5 -2]", "b c.jpg[7 1e+06]", "d.jpg[0 0.25]"}
	for name, text := range map[string]string{
		"v.csv":   "path,age,weight\na.jpg,31.5,-2\nb c.jpg,7,1e6\nd.jpg,0, 0.25\n",
		"w.csv":   "path\tage\tname\tweight\na.jpg\t31.5\tx\t-2\nb c.jpg\t7\ty\t1000000\nd.jpg\t0\tz\t.25\n",
		"v.jsonl": `{"path": "a.jpg", "age": 31.5, "weight": "-2"}` + "\n" + `{"path": "b c.jpg", "age": 7, "weight": 1000000}` + "\n" + `{"path": "d.jpg", "age": 0, "weight": 0.25}`,
	} {
		write(t, dir, map[string]string{name: text})
		x, err := ScanTargets(context.Background(), filepath.Join(dir, name), Columns{Task: task.Values, Names: []string{"age", "weight"}})
		if err != nil {
			t.Error(err)
			continue
		}
		if got := imageTargets(t, x); !reflect.DeepEqual(got, values) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestColumnErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.jpg": "", "b.jpg": ""})
	for _, c := range []struct {
		text, want string
		columns    Columns
	}{
		{"path,age\na.jpg,3\nb.jpg,old\n", `line 3: column "age": "old" is not a number; name the columns of the values with Columns`, Columns{Task: task.Values}},
		{"path;age\na.jpg;3\nb.jpg;3,5\n", `line 3: column "age": "3,5" is not a number; write decimals with a point`, Columns{Task: task.Values}},
		{"path,age\na.jpg,NaN\nb.jpg,1\n", `line 2: column "age": "NaN" is not a finite number`, Columns{Task: task.Values}},
		{"path,age\na.jpg,1e99\nb.jpg,1\n", `line 2: column "age": "1e99" is not a finite number`, Columns{Task: task.Values}},
		{"path,age\na.jpg,1\nb.jpg,\n", `line 3: column "age" is empty; every image needs a number`, Columns{Task: task.Values}},
		{"path,age\na.jpg,1\nb.jpg\n", "record on line 3: wrong number of fields", Columns{Task: task.Values}},
		{"path,age\na.jpg,1\n", `has no column "weight" (Columns); its other columns are age`, Columns{Task: task.Values, Names: []string{"weight"}}},
		{"path\na.jpg\n", "has no column of values besides those of the path and the split", Columns{Task: task.Values}},
		{"age,b\n1,2\n", "path must be among them, and one column for each of the values", Columns{Task: task.Values}},
		{"path,age,age\na.jpg,1,2\n", `names the column "age" twice`, Columns{Task: task.Values}},
		{"path,cat,dog\na.jpg,1,2\n", `line 2: column "dog": "2" is neither 0 nor 1`, Columns{Task: task.Labels}},
		{"path,cat,dog\na.jpg,1,\n", `line 2: column "dog" is empty; every image needs 0 or 1 for every label`, Columns{Task: task.Labels}},
		{"path,labels\na.jpg,\nb.jpg,|\n", "no image of", Columns{Task: task.Labels}},
		{"path,labels\na.jpg,cat|cow\n", `line 2 gives a.jpg the label "cow", which the model does not know; it knows cat, dog`, Columns{Task: task.Labels, Known: []string{"cat", "dog"}}},
		{"path,cat\na.jpg,1\na.jpg,0\n", "line 3 names a.jpg again, after line 2", Columns{Task: task.Labels}},
	} {
		path := filepath.Join(dir, "list.csv")
		write(t, dir, map[string]string{"list.csv": c.text})
		if _, err := ScanTargets(context.Background(), path, c.columns); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := ScanTargets(context.Background(), dir, Columns{Task: task.Labels}); err == nil || !strings.Contains(err.Error(), "is a folder, whose folders are classes; for the labels of images give a .csv or .jsonl list") {
		t.Error(err)
	}
}

// Images with values are held out as if they were one class; a record of a run keeps their
// values; they are found after they are moved; and a changed value in the list is a change.
func TestTargetsOfARun(t *testing.T) {
	photos := makeFolder(t, MakeConfig{PerClass: 2, Seed: 3})
	of, err := Scan(photos)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("path,age,weight\n")
	for i, it := range of.Items {
		fmt.Fprintf(&b, "%s,%d,%g\n", it.Name, i, float64(i)/3)
	}
	write(t, photos, map[string]string{"list.csv": b.String()})
	list, columns := filepath.Join(photos, "list.csv"), Columns{Task: task.Values}
	x, err := ScanTargets(context.Background(), list, columns)
	if err != nil {
		t.Fatal(err)
	}
	r, groups, err := x.Check(context.Background(), Options{Size: 16}, nil)
	if err != nil || r.Classes != nil {
		t.Fatal(r, err)
	}
	if err := x.Holdout(0.2, 1, groups); err != nil || x.count(data.Test) != len(x.Items)/5 {
		t.Fatalf("%d of %d are held out (%v)", x.count(data.Test), len(x.Items), err)
	}
	var record bytes.Buffer
	if err := x.Write(&record); err != nil {
		t.Fatal(err)
	}
	write(t, photos, map[string]string{"record.csv": record.String()})
	columns.Known = x.Targets.Names
	again, err := ReadRecordOfTargets(filepath.Join(photos, "record.csv"), list, columns)
	if err != nil || !slices.Equal(imageTargets(t, again), imageTargets(t, x)) {
		t.Fatalf("%v: %q", err, imageTargets(t, again))
	}
	if changes, err := again.Changed(context.Background()); err != nil || len(changes) != 0 {
		t.Errorf("%q, %v", changes, err)
	}
	s, err := again.Set(data.Test, Options{Size: 16})
	if err != nil || s.Info().Classes != nil || !reflect.DeepEqual(s.Info().Targets, task.Targets{Task: task.Values, Names: []string{"age", "weight"}}) {
		t.Fatalf("%+v, %v", s.Info(), err)
	}
	for i, it := range s.Items() {
		out := make([]float32, 2)
		if err := s.Target(i, out); err != nil || fmt.Sprint(it.Name, out) != imageTargets(t, again)[slices.IndexFunc(again.Items, func(o Item) bool { return o.Name == it.Name })] {
			t.Errorf("%s has the targets %v (%v)", it.Name, out, err)
		}
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.CopyFS(moved, os.DirFS(photos)); err != nil {
		t.Fatal(err)
	}
	if missing, err := again.Relocate(context.Background(), filepath.Join(moved, "list.csv")); err != nil || len(missing) != 0 || !strings.HasPrefix(again.Items[0].Path, moved) {
		t.Errorf("%q, %v", missing, err)
	}
	write(t, photos, map[string]string{"list.csv": strings.Replace(b.String(), ",3,1\n", ",4,1\n", 1)})
	if changes, err := x.Changed(context.Background()); err != nil || len(changes) != 1 || !strings.Contains(changes[0], `is "4|1" now, and was "3|1"`) {
		t.Errorf("%q, %v", changes, err)
	}
}
