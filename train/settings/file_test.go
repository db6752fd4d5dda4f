package settings

import (
	"slices"
	"strings"
	"testing"
)

// file is a config whose tags are keys of the table.
type file struct {
	Mean    []float64 `yaml:"mean,omitempty,flow"`
	Blocks  []int     `yaml:"blocks,omitempty,flow"`
	LR      float32   `yaml:"lr"`
	Batch   int       `yaml:"batch"`
	Seed    uint64    `yaml:"seed"`
	Metric  string    `yaml:"metric"`
	Offline bool      `yaml:"offline,omitempty"`
}

// What Write writes Read takes, the fields of value 0 among it.
func TestReadTakesWhatWriteWrote(t *testing.T) {
	is := file{Mean: []float64{0.5, 0.25}, Blocks: []int{1, 2}, LR: 0.1, Seed: 1 << 63}
	text, err := Write(is)
	if err != nil {
		t.Fatal(err)
	}
	var got file
	fields, err := Read(append([]byte("# a comment\ndevice: cpu\n"), text...), &got)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"Mean", "Blocks", "LR", "Batch", "Seed", "Metric"}; !slices.Equal(fields, want) {
		t.Errorf("fields %v, want %v", fields, want)
	}
	again, err := Write(got)
	if err != nil || string(again) != string(text) {
		t.Errorf("%v\n%s\nwant\n%s", err, again, text)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "there are no settings in it; write lines such as lr: 0.05",
		"lr":                     "line 1: these are no settings; write lines such as lr: 0.05",
		"lr: 0.1\nbatsh: 3":      "line 2: batsh is no setting; did you mean batch?",
		"learning_rate: 1":       "line 1: learning_rate is no setting; did you mean lr?",
		"xyzzy: 1":               "line 1: xyzzy is no setting; docs/settings.md lists them",
		"lr: fast":               `line 1: lr: "fast" is no number, such as 0.05`,
		"batch: 1.5":             `line 1: batch: "1.5" is no whole number, such as 256`,
		"seed: -1":               `line 1: seed: "-1" is no whole number of at least 0, such as 7`,
		"blocks: 3x4":            `line 1: blocks: "3x4" is no list of whole numbers, such as 3,4,6,3`,
		"metric: [a]":            `line 1: metric: "[a]" is no text, such as accuracy`,
		"offline: maybe":         `line 1: offline: "maybe" is no true or false, such as true`,
		"lr: 1\nbatch: 2\nlr: 2": "line 3: lr is given twice",
		"lr: 1\n---\nlr: 2":      "something follows the settings",
		"lr: [1\n":               "line 1: did not find expected ',' or ']'",
		"blocks: [1, 2.5]":       `line 1: blocks: "[1, 2.5]" is no list of whole numbers, such as 3,4,6,3`,
	} {
		if _, err := Read([]byte(text), new(file)); err == nil || err.Error() != want && !strings.HasPrefix(want, "line 1: did") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A name that another program has for a setting is no name of ours.
func TestOtherNames(t *testing.T) {
	seen := map[string]string{}
	for _, s := range Table() {
		for _, name := range s.Also {
			if _, ours := withKey(name); ours || seen[name] != "" || strings.Contains(name, "-") {
				t.Errorf("%s of %s is a key, stands twice or has a hyphen", name, s.Field)
			}
			seen[name] = s.Field
		}
	}
	if s, ok := Meant("batch-size"); !ok || s.Field != "Batch" {
		t.Errorf("batch-size is %v", s.Field)
	}
}
