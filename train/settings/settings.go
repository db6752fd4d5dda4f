// Package settings is the table of the settings of a training, with one row for each field of
// train.Config. The checks of the settings, their flags with the help, their keys in
// settings.yaml, the page docs/settings.md, and the comparison that decides whether a run may
// be resumed all come from it. A new setting is one row in table.go.
//
//	s := settings.Of("LabelSmoothing")
//	fmt.Println(s.Flag(), s.Range.Text()) // label-smoothing a share from 0 to below 1, such as 0.1
//
// Check checks all fields of a struct that have a row, and Compare compares two structs.
package settings

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/internal/nearest"
)

// Setting is one row of the table.
type Setting struct {
	Field string // of train.Config
	Key   string // in settings.yaml, in the state file and in JSON
	Group Group
	Help  string // a phrase, for `residual train --help`
	More  string // whole sentences, for `residual train --help-all` and docs/settings.md

	// Also are names that other programs have for the setting, which are answered with this one.
	Also []string

	// Common says that most people use the setting, so that --help shows it, and not only
	// --help-all.
	Common bool

	// Value is what the help shows behind the flag, such as FOLDER; empty where the kind of
	// the field says enough.
	Value string

	// Default is the value of a training without flags. Recipe says that other data and other
	// models have other defaults. Otherwise says in words what the default depends on, where
	// it has no value of its own.
	Default   string
	Recipe    bool
	Otherwise string

	Range Range

	// Zero says that 0, or an empty text, on the command line is a value. Elsewhere it stands
	// in a Config for the default, so that who types it means something else.
	Zero bool

	// Result says that the setting decides which numbers a training computes, or which
	// files it writes, so that a run that goes on must keep it.
	Result bool

	// Photos says that it is for images of the user's own, a folder or a list.
	Photos bool
}

// Group is a part of the table; the flags of a group stand together.
type Group int

const (
	Data         Group = iota // which images, and how they become the input of the model
	Model                     // the network and its first weights
	Optimisation              // epochs, batches, learning rate, optimiser, loss and averages
	FineTuning                // weights to start from, and which layers learn how fast
	Augmentation              // random changes of the images
	Run                       // random seed, folders, and what is shown
	Device                    // what computes
	NoFlag                    // only in the library and in settings.yaml
)

// Groups returns the groups that have flags, in the order of the help.
func Groups() []Group {
	return []Group{Data, Model, Optimisation, FineTuning, Augmentation, Run, Device}
}

// String is the title of the group.
func (g Group) String() string {
	return [...]string{"Data", "Model", "Optimisation", "Fine-tuning", "Augmentation", "Run", "Device", "Without a flag"}[g]
}

// Flag is the setting's flag without dashes; "" where it has none.
func (s Setting) Flag() string {
	if s.Group == NoFlag {
		return ""
	}
	return strings.ReplaceAll(s.Key, "_", "-")
}

// Text is Help with More behind it.
func (s Setting) Text() string {
	if s.More == "" {
		return s.Help
	}
	return s.Help + ". " + s.More
}

// Table returns all rows, in the order of the flags.
func Table() []Setting { return slices.Clone(table) }

// Of returns the row of a field, which must have one.
func Of(field string) Setting {
	s, ok := Find(field)
	if !ok {
		panic("settings: no row for the field " + field)
	}
	return s
}

// Find returns the row of a field.
func Find(field string) (Setting, bool) {
	for _, s := range table {
		if s.Field == field {
			return s, true
		}
	}
	return Setting{}, false
}

// Keys returns the keys of settings.yaml, in the order of the table.
func Keys() (keys []string) {
	for _, s := range table {
		keys = append(keys, s.Key)
	}
	return keys
}

// Meant returns the setting that other programs call by a name, which may be a key or a flag.
func Meant(name string) (Setting, bool) {
	name = strings.ReplaceAll(name, "-", "_")
	for _, s := range table {
		if slices.Contains(s.Also, name) {
			return s, true
		}
	}
	return Setting{}, false
}

// UnknownKey is the error for a key that no row has. It names the nearest ones.
func UnknownKey(key string) error {
	if s, ok := Meant(key); ok {
		return fmt.Errorf("%s is no setting; did you mean %s?", key, s.Key)
	}
	if question := nearest.Question(key, Keys(), "%s"); question != "" {
		return fmt.Errorf("%s is no setting; %s", key, question)
	}
	return fmt.Errorf("%s is no setting; docs/settings.md lists them", key)
}

// In returns the rows of some groups, in the order of the table.
func In(groups ...Group) (rows []Setting) {
	for _, g := range groups {
		for _, s := range table {
			if s.Group == g {
				rows = append(rows, s)
			}
		}
	}
	return rows
}

// SetDefault sets the field of *config to Default, where there is one.
func (s Setting) SetDefault(config any) {
	v := reflect.ValueOf(config).Elem().FieldByName(s.Field)
	switch {
	case s.Default == "":
	case v.Kind() == reflect.String:
		v.SetString(s.Default)
	case v.CanInt():
		v.SetInt(int64(must(strconv.Atoi(s.Default))))
	default:
		v.SetFloat(must(strconv.ParseFloat(s.Default, v.Type().Bits())))
	}
}

// must is for the texts of the table, which a test sets.
func must[T any](v T, err error) T {
	if err != nil {
		panic("settings: " + err.Error())
	}
	return v
}

// Range is what a setting may be. The zero value allows everything. Zero itself is always
// allowed: in a struct it stands for the default.
type Range struct {
	Min, Max float64
	Above    bool     // Min itself is not allowed
	Below    bool     // nor Max itself
	Words    []string // the words that a text may be; without them any
	Must     string   // what it must be, for messages and for the page
	Such     string   // an example
}

// Text says what the range allows; "" where that is everything.
func (r Range) Text() string {
	switch {
	case r.Words != nil:
		return strings.Join(r.Words, ", ")
	case r.Must == "" && r.Max > 0:
		return "from " + number(r.Min) + " to " + number(r.Max)
	case r.Such != "":
		return r.Must + ", such as " + r.Such
	}
	return r.Must
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (r Range) allows(v reflect.Value) bool {
	switch {
	case v.IsZero():
		return true
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			if !r.holds(v.Index(i)) {
				return false
			}
		}
		return true
	case r.Words != nil && v.Kind() == reflect.String:
		for _, w := range r.Words {
			if v.String() == w {
				return true
			}
		}
		return false
	}
	return r.holds(v)
}

// holds says whether a number is in the range; one in a slice may be a zero that counts.
func (r Range) holds(v reflect.Value) bool {
	var x float64
	switch {
	case r.Min == 0 && r.Max == 0:
		return true
	case v.CanInt():
		x = float64(v.Int())
	case v.CanUint():
		x = float64(v.Uint())
	case v.CanFloat():
		x = v.Float()
	default:
		return true
	}
	if math.IsNaN(x) || r.Above && x == r.Min || r.Below && x == r.Max {
		return false
	}
	return x >= r.Min && x <= r.Max
}

// Error is a setting that cannot be.
type Error struct {
	Field string // the field of the struct
	Key   string // the key in settings.yaml
	Value any
	Range Range // what it may be
}

func (e *Error) Error() string { return e.Named(func(field string) string { return field }) }

// Named is Error with another name for the field, such as a flag.
func (e *Error) Named(name func(field string) string) string {
	if e.Field == "Precision" && e.Value == "int8" {
		return fmt.Sprintf("%s int8 is for using a quantised model and trains none; train with one of: %s, then quantise the trained model", name(e.Field), e.Range.Text())
	}
	if e.Range.Words != nil {
		return fmt.Sprintf("%s %v is not known; choose one of: %s", name(e.Field), e.Value, e.Range.Text())
	}
	return fmt.Sprintf("%s %s: must be %s", name(e.Field), text(reflect.ValueOf(e.Value), ""), e.Range.Text())
}

// Check returns an *Error for the first field of a struct, or of one embedded in it, that
// has a row and is not in its range; nil where all are. Fields of another kind than the
// row's are passed over, so that the options of packages below are checked by the same table.
func Check(config any) error {
	c := reflect.ValueOf(config)
	for _, s := range table {
		v := c.FieldByName(s.Field)
		if !v.IsValid() || s.Range.Words != nil && v.Kind() != reflect.String {
			continue
		}
		if !s.Range.allows(v) {
			return &Error{s.Field, s.Key, v.Interface(), s.Range}
		}
	}
	return nil
}

// Difference is a setting by which two trainings differ.
type Difference struct {
	Setting
	Was, Is string // as the command line and messages write them
}

// Compare returns the first setting that decides a result and differs between two configs of
// one type; nil where there is none. A slice without elements is like nil.
func Compare(was, is any) *Difference {
	a, b := reflect.ValueOf(was), reflect.ValueOf(is)
	for _, s := range table {
		x, y := a.FieldByName(s.Field), b.FieldByName(s.Field)
		if !s.Result || !x.IsValid() || same(x, y) {
			continue
		}
		return &Difference{s, text(x, s.Otherwise), text(y, s.Otherwise)}
	}
	return nil
}

func same(x, y reflect.Value) bool {
	if x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(x.Interface(), y.Interface())
}

// text writes a value as its flag takes it; empty stands for a slice without elements.
func text(v reflect.Value, empty string) string {
	if v.Kind() == reflect.String && v.Len() == 0 && empty != "" {
		return empty
	}
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(v.Interface())
	}
	if v.Len() == 0 && empty != "" {
		return empty
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return strings.Join(parts, ",")
}

// ForPhotos returns the first setting for images of the user's own that a config gives;
// nil where it gives none.
func ForPhotos(config any) *Setting {
	c := reflect.ValueOf(config)
	for _, s := range table {
		if v := c.FieldByName(s.Field); s.Photos && v.IsValid() && !v.IsZero() {
			return &s
		}
	}
	return nil
}
