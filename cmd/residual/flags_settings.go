package main

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

// flagNames maps fields and functions of the libraries to flags and commands, if these have
// other names. The other fields have the names of their flags, or a row in the table of
// settings.
var flagNames = map[string]string{
	"Options.Dir":        "--data-dir",          // of data
	"Fetch":              "residual data fetch", // of data
	"CacheConfig.Dir":    "--cache",             // of data/folder
	"GrowthConfig.Steps": "--grow",              // of study
	"Views":              "--tta",               // of inference
}

// flagFor returns the flag of a field of the libraries, or its key in settings.yaml if it has no
// flag.
func flagFor(name string) string {
	if words, ok := flagNames[name]; ok {
		return words
	}
	if s, ok := settings.Find(name); ok {
		if s.Flag() == "" {
			return s.Key
		}
		return "--" + s.Flag()
	}
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return "--" + b.String()
}

// errorText returns the text of an error with flags in place of fields of the libraries.
func errorText(err error) string { return field.Render(err, flagFor) }

// addSettings adds the flags of settings, which set the fields of c. The help shows the values
// in shown as defaults. words has helps that differ from the table's, by field.
func addSettings(fs *pflag.FlagSet, c *train.Config, shown train.Config, words map[string]string, rows ...settings.Setting) {
	defaults := reflect.ValueOf(shown)
	for _, s := range rows {
		name, usage := s.Flag(), s.Help
		other, differs := words[s.Field]
		if differs {
			usage = other
		}
		d := defaults.FieldByName(s.Field).Interface()
		switch p := reflect.ValueOf(c).Elem().FieldByName(s.Field).Addr().Interface().(type) {
		case *string:
			fs.StringVar(p, name, d.(string), usage)
		case *bool:
			fs.BoolVar(p, name, d.(bool), usage)
		case *int:
			fs.IntVar(p, name, d.(int), usage)
		case *int64:
			fs.Int64Var(p, name, d.(int64), usage)
		case *uint64:
			fs.Uint64Var(p, name, d.(uint64), usage)
		case *float32:
			fs.Float32Var(p, name, d.(float32), usage)
		case *float64:
			fs.Float64Var(p, name, d.(float64), usage)
		case *[]int:
			fs.IntSliceVar(p, name, d.([]int), usage)
		case *[]float64:
			fs.Float64SliceVar(p, name, d.([]float64), usage)
		default:
			panic(fmt.Sprintf("no flag can hold %s, a %T", s.Field, d))
		}
		describeSetting(fs, s)
		if !differs {
			note(fs, name, noteMore, s.More)
		}
	}
}

// describeSetting annotates a flag with its row in the table: group, value and default.
func describeSetting(fs *pflag.FlagSet, s settings.Setting) {
	inGroup(fs, s.Group, s.Flag())
	if s.Common {
		common(fs, s.Flag())
	}
	if s.Value != "" {
		takes(fs, s.Value, s.Flag())
	} else if s.Range.Words != nil {
		takes(fs, "NAME", s.Flag())
	}
	if s.Otherwise != "" && defaultOf(fs.Lookup(s.Flag())) == "" {
		note(fs, s.Flag(), noteDefault, s.Otherwise)
	}
}

// byRecipe begins the default of a flag if it depends on the recipe.
const byRecipe = "by recipe: "

// recipeSets are the data sets whose defaults the help shows if they differ from the usual ones.
var recipeSets = []string{"garments", "cifar10"}

// describeRecipes annotates the flags whose defaults depend on the recipe.
func describeRecipes(fs *pflag.FlagSet) {
	usual := reflect.ValueOf(train.Config{}.Resolved())
	for _, s := range settings.Table() {
		if !s.Recipe {
			continue
		}
		text := fmt.Sprint(byRecipe, usual.FieldByName(s.Field))
		for _, name := range recipeSets {
			other := reflect.ValueOf(train.Config{Data: name}.Resolved())
			if v := other.FieldByName(s.Field); !v.Equal(usual.FieldByName(s.Field)) {
				text += fmt.Sprintf("; %s %v", name, v)
			}
		}
		note(fs, s.Flag(), noteDefault, text)
	}
}

// tableDefaults returns a Config with the defaults of the table of settings.
func tableDefaults() (c train.Config) {
	for _, s := range settings.Table() {
		s.SetDefault(&c)
	}
	return c
}

// takeSettings copies the settings whose flags were given from g to c. It refuses a zero if a
// Config would take it for the default.
func takeSettings(c *train.Config, g train.Config, changed func(flag string) bool, rows ...settings.Setting) error {
	to, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(g)
	for _, s := range rows {
		if s.Flag() == "" || !changed(s.Flag()) {
			continue
		}
		v := from.FieldByName(s.Field)
		if !s.Zero {
			if err := someValue(s.Flag(), v); err != nil {
				return err
			}
		}
		to.FieldByName(s.Field).Set(v)
	}
	return nil
}

// someValue returns an error for a zero that a Config would take for the default.
func someValue(flag string, v reflect.Value) error {
	switch {
	case v.CanInt() && v.IsZero(), v.CanFloat() && v.IsZero():
		return usagef("--%s 0: must be above 0; leave the flag out for the default", flag)
	case (v.Kind() == reflect.String || v.Kind() == reflect.Slice) && v.Len() == 0:
		return usagef("--%s is empty; give a value, or leave the flag out", flag)
	}
	return nil
}

// settingRows returns the rows of some fields, in their order.
func settingRows(fields ...string) (rows []settings.Setting) {
	for _, f := range fields {
		rows = append(rows, settings.Of(f))
	}
	return rows
}

// blocksHelp is the help of --blocks of other commands, too.
var blocksHelp = settings.Of("Blocks").Help
