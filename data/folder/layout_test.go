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

	"github.com/residual-ml/residual/data"
)

// folders makes folders of empty image files: "Train/cat 3" has three of them.
func folders(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range names {
		name, count, _ := strings.Cut(f, " ")
		n := 0
		if _, err := fmt.Sscan(count, &n); err != nil {
			t.Fatal(f, err)
		}
		name = strings.ReplaceAll(name, "~", " ")
		if err := os.MkdirAll(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			write(t, dir, map[string]string{fmt.Sprintf("%s/%d.jpg", name, i): ""})
		}
	}
	return dir
}

// both returns the folders of three classes in two splits.
func both(train, test string) []string {
	return []string{train + "/cat 3", train + "/dog 3", train + "/fox 3", test + "/cat 1", test + "/dog 1", test + "/fox 1"}
}

func TestNamesOfParts(t *testing.T) {
	for kind, names := range map[partKind][]string{
		trainPart: {"train", "Train", "TRAIN", "training", "Training", "training_set", "Training Set", "training-set", "trainset", "TrainSet", "trainSet", "seg_train",
			"train_images", "Train_Images", "X_train", "x_train", "xtrain", "train2017", "train-256", "trainData", "train_data", "train.split", "train ", "训练集", "trainval", "train-val", "training_data", "the training images"},
		valPart:  {"val", "Val", "VAL", "valid", "validation", "Validation", "validation_set", "valset", "val2017", "dev", "dev_set", "Dev", "eval", "evaluation", "x_val", "val_images", "验证集", "验证"},
		testPart: {"test", "Test", "TEST", "testing", "Testing", "test_set", "testset", "seg_test", "test1", "holdout", "hold-out", "Hold Out", "held_out", "test_images", "x_test", "testImages", "测试集"},
	} {
		for _, name := range names {
			if got, stem := partName(name); got != kind || stem != "" {
				t.Errorf("%q is part %d, %q; want %d", name, got, stem, kind)
			}
		}
	}
	for name, want := range map[string]string{"asl_alphabet_train": "asl alphabet", "train_station": "station", "flowers-val": "flowers", "ILSVRC2012_img_test": "ilsvrc"} {
		if kind, stem := partName(name); kind == noPart || stem != want {
			t.Errorf("%q is part %d, %q", name, kind, stem)
		}
	}
	for _, name := range []string{"cat", "trains", "trainer", "valley", "device", "contest", "latest", "evaluator", "strain", "train_test", "extra", "images", "", "unsup", "seg_pred", "Meta"} {
		if kind, _ := partName(name); kind != noPart {
			t.Errorf("%q is part %d", name, kind)
		}
	}
}

// Two splits are recognised by all their usual names.
func TestScanParts(t *testing.T) {
	for _, c := range [][2]string{
		{"Training", "Testing"}, {"Train", "Test"}, {"TRAIN", "VAL"}, {"training", "validation"}, {"seg_train", "seg_test"},
		{"seg_train/seg_train", "seg_test/seg_test"}, {"training_set", "test_set"}, {"train", "valid"}, {"train", "eval"}, {"trainset", "testset"},
		{"train_images", "test_images"}, {"x_train", "x_test"}, {"X_train", "X_val"}, {"train", "dev"}, {"train", "Test"}, {"train", "holdout"}, {"Train~Set", "Hold-Out"},
		{"asl_alphabet_train/asl_alphabet_train", "asl_alphabet_test/asl_alphabet_test"}, {"train/images", "val/images"}, {"train2017", "val2017"}, {"Train", "Validation/Validation"},
	} {
		x, err := Scan(folders(t, both(c[0], c[1])...))
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		top := func(p string) string { return strings.ReplaceAll(strings.Split(p, "/")[0], "~", " ") }
		want := []Part{{top(c[0]), data.Train, 9, 3}, {top(c[1]), data.Test, 3, 3}}
		if !slices.Equal(x.Classes, []string{"cat", "dog", "fox"}) || !x.Tested || !slices.Equal(x.Counts(data.Train), []int{3, 3, 3}) ||
			!slices.Equal(x.Counts(data.Test), []int{1, 1, 1}) || !slices.Equal(x.Layout, want) || x.Notes != nil {
			t.Errorf("%v: classes %v, parts %v, notes %q", c, x.Classes, x.Layout, x.Notes)
		}
	}
}

func TestScanLayouts(t *testing.T) {
	with := func(a []string, more ...string) []string { return append(slices.Clone(a), more...) }
	for name, c := range map[string]struct {
		folders []string
		classes string
		counts  [2][]int // the numbers of training and test images
		parts   []Part   // the unused ones
		note    string
	}{
		"three parts":            {with(both("train", "val"), "test/cat 1", "test/dog 1"), "cat dog fox", [2][]int{{3, 3, 3}, {1, 1, 1}}, []Part{{"test", "", 2, 2}}, ""},
		"two to validate on":     {with(both("train", "dev"), "validation/cat 2"), "cat dog fox", [2][]int{{3, 3, 3}, {2, 0, 0}}, []Part{{"dev", "", 3, 3}}, ""},
		"an unlabelled test":     {with(both("seg_train", "seg_test"), "seg_pred 5"), "cat dog fox", [2][]int{{3, 3, 3}, {1, 1, 1}}, []Part{{"seg_pred", "", 5, 0}}, ""},
		"a flat test":            {[]string{"Train/a 3", "Train/b 3", "Test 4", "Meta 2"}, "a b", [2][]int{{3, 3}, {0, 0}}, []Part{{"Meta", "", 2, 0}, {"Test", "", 4, 0}}, ""},
		"an empty val":           {with(both("train", "test"), "val 0"), "cat dog fox", [2][]int{{3, 3, 3}, {1, 1, 1}}, []Part{{"val", "", 0, 0}}, ""},
		"train alone":            {[]string{"training/a 3", "training/b 3", "unlabelled 7"}, "a b", [2][]int{{3, 3}, {0, 0}}, []Part{{"unlabelled", "", 7, 0}}, ""},
		"vehicles":               {[]string{"train 3", "car 3", "bus 3"}, "bus car train", [2][]int{{3, 3, 3}, {0, 0, 0}}, nil, `"train" is taken as a class`},
		"unknown parts":          {[]string{"prueba/cat 1", "prueba/dog 1", "todo/cat 3", "todo/dog 3"}, "prueba todo", [2][]int{{2, 6}, {0, 0}}, nil, "prueba, todo are taken as classes, and all contain the folders cat, dog"},
		"folders inside":         {[]string{"car/day 1", "car/night 1", "bus/day 3"}, "bus car", [2][]int{{3, 2}, {0, 0}}, nil, ""},
		"train and val":          {append(both("trainval", "test"), "extra/cat 2"), "cat dog fox", [2][]int{{3, 3, 3}, {1, 1, 1}}, []Part{{"extra", "", 2, 1}}, ""},
		"a class test":           {[]string{"control 3", "test/monday 3", "test/friday 3"}, "control test", [2][]int{{3, 6}, {0, 0}}, nil, `"test" is taken as a class`},
		"stations":               {[]string{"train_station 3", "bus_station 3", "test_site 1"}, "bus_station test_site train_station", [2][]int{{3, 1, 3}, {0, 0, 0}}, nil, ""},
		"classes beside test":    {[]string{"cat 3", "dog 3", "test/cat 1", "test/dog 2"}, "cat dog", [2][]int{{3, 3}, {1, 2}}, nil, ""},
		"loose images":           {with(both("train", "val"), "train 2", ". 4"), "cat dog fox", [2][]int{{3, 3, 3}, {1, 1, 1}}, nil, "/train itself, beside the folders of the classes, are not used: 2"},
		"loose beside":           {[]string{"cat 3", "dog 3", ". 4"}, "cat dog", [2][]int{{3, 3}, {0, 0}}, nil, "itself, beside the folders, are not used: 4"},
		"parts in classes":       {[]string{"cat/train 3", "cat/test 1", "dog/Train 2", "dog/Test 2"}, "cat dog", [2][]int{{3, 2}, {1, 2}}, nil, "inside the class folders are taken as parts of the data set"},
		"three parts in classes": {[]string{"cat/train 3", "cat/val 1", "cat/test 4", "dog/train 2"}, "cat dog", [2][]int{{3, 2}, {1, 0}}, []Part{{"test", "", 4, 0}}, "inside the class folders are taken as parts of the data set"},
		"parts in one class":     {[]string{"cat/train 3", "cat/test 1", "dog 2"}, "cat dog", [2][]int{{4, 2}, {0, 0}}, nil, "are not used as parts"},
		"a word in a class":      {[]string{"cat/train 3", "dog/park 2"}, "cat dog", [2][]int{{3, 2}, {0, 0}}, nil, ""},
		"spaces":                 {[]string{"cat 3", "cat~ 2", "dog 3"}, "cat dog", [2][]int{{5, 3}, {0, 0}}, nil, `the folders "cat" and "cat "`},
		"composed":               {[]string{"caf\u00e9 3", "cafe\u0301 2", "tea 3"}, "caf\u00e9 tea", [2][]int{{5, 3}, {0, 0}}, nil, `"cafe\u0301" and "caf\u00e9"`},
		"composed in parts":      {[]string{"train/caf\u00e9 3", "train/tea 3", "val/cafe\u0301 2"}, "caf\u00e9 tea", [2][]int{{3, 3}, {2, 0}}, nil, ""},
		"case":                   {[]string{"Cat 3", "cat 2"}, "Cat cat", [2][]int{{3, 2}, {0, 0}}, nil, `"Cat" and "cat" are different classes`},
	} {
		x, err := Scan(folders(t, c.folders...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		unused := slices.DeleteFunc(slices.Clone(x.Layout), func(p Part) bool { return p.Split != "" })
		notes := strings.Join(x.Notes, "\n")
		if got := [2][]int{x.Counts(data.Train), x.Counts(data.Test)}; strings.Join(x.Classes, " ") != c.classes || !reflect.DeepEqual(got, c.counts) ||
			!slices.Equal(unused, c.parts) || (notes == "") != (c.note == "") || !strings.Contains(notes, c.note) {
			t.Errorf("%s: classes %q, images %v, unused %v, notes %s", name, x.Classes, got, unused, notes)
		}
	}
}

func TestScanRefusesLayouts(t *testing.T) {
	for name, c := range map[string]struct {
		folders []string
		want    string
	}{
		"two to train on":      {append(both("train", "val"), "training/cat 1"), `has "train" and "training", each with the name of a part to train on`},
		"none to train on":     {both("val", "test"), "but no training folder"},
		"only flat parts":      {[]string{"train 3", "test 3", "valid 2"}, "have the names of parts and no class folders inside"},
		"a flat train":         {[]string{"train 3", "test/cat 3", "test/dog 3"}, "but no training folder"},
		"a part or a class":    {[]string{"train/day 2", "train/night 2", "car/day 2", "car/night 2"}, `"train" may be the part to train on or a class`},
		"a test or a class":    {[]string{"test/day 2", "test/night 2", "all/day 2", "all/night 2"}, `"test" may be the part to test on or a class`},
		"a class of test only": {append(both("Train", "Test"), "Test/owl 1"), `has a class "owl" that is not one of the training classes, which are cat, dog, fox`},
		"case":                 {[]string{"train/Cat 2", "train/Dog 2", "val/cat 1"}, `has a class "cat"`},
		"nothing in val":       {[]string{"train/cat 2", "train/dog 2", "val 0"}, "has no test images"},
	} {
		if x, err := Scan(folders(t, c.folders...)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, got %v, %+v", name, c.want, err, x)
		}
	}
	if runtime.GOOS != "linux" { // only there a name may be any bytes
		return
	}
	if _, err := Scan(folders(t, "caf\xe9 2", "tea 2")); err == nil || !strings.Contains(err.Error(), `the folder "caf\xe9" in`) {
		t.Error(err)
	}
	if x, err := Scan(folders(t, "cafe/\xe9t\xe9 2", "tea 2")); err != nil || x.Items[0].Name != "cafe/\xe9t\xe9/0.jpg" {
		t.Errorf("%v, %+v", err, x)
	}
}

// ScanAs recognises the same splits as Scan, and each may be missing.
func TestScanAsParts(t *testing.T) {
	known := []string{"fox", "cat", "dog"}
	for name, c := range map[string]struct {
		folders []string
		counts  [2][]int
	}{
		"both":            {both("Training", "Testing"), [2][]int{{3, 3, 3}, {1, 1, 1}}},
		"three":           {append(both("train", "dev"), "holdout/cat 7"), [2][]int{{3, 3, 3}, {1, 1, 1}}},
		"the test alone":  {[]string{"seg_test/seg_test/cat 2"}, [2][]int{{0, 0, 0}, {0, 2, 0}}},
		"val and test":    {[]string{"test/cat 2", "val/dog 1"}, [2][]int{{0, 0, 0}, {0, 0, 1}}},
		"classes":         {[]string{"cat~ 2", "dog 1"}, [2][]int{{0, 2, 1}, {0, 0, 0}}},
		"classes, beside": {[]string{"cat 2", "dog 1", "test/cat 3"}, [2][]int{{0, 2, 1}, {0, 3, 0}}},
	} {
		x, err := ScanAs(folders(t, c.folders...), known)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := [2][]int{x.Counts(data.Train), x.Counts(data.Test)}; !reflect.DeepEqual(got, c.counts) || !slices.Equal(x.Classes, known) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if x, err := ScanAs(folders(t, "train 2", "car 1"), []string{"bus", "car", "train"}); err != nil || !slices.Equal(x.Counts(data.Train), []int{0, 1, 2}) {
		t.Errorf("%v, %+v", err, x)
	}
	if x, err := ScanAs(folders(t, "cafe\u0301 2"), []string{"caf\u00e9", "tea"}); err != nil || !slices.Equal(x.Counts(data.Train), []int{2, 0}) {
		t.Errorf("%v, %+v", err, x)
	}
	if _, err := ScanAs(folders(t, "test/cat 2", "test/owl 2"), known); err == nil || !strings.Contains(err.Error(), `a class "owl", which the model does not know`) {
		t.Error(err)
	}
}
