package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/train/settings"
)

// What the help knows of a flag besides its usage; the values are annotations of the flag.
const (
	noteGroup   = "residual_group"   // title of the group
	noteCommon  = "residual_common"  // --help shows the flag, and not only --help-all
	noteValue   = "residual_value"   // what stands behind the flag, such as FOLDER
	noteDefault = "residual_default" // the default in words
	noteMore    = "residual_more"    // sentences for --help-all
)

// note annotates a flag, which must be there.
func note(fs *pflag.FlagSet, flag, key, text string) {
	if err := fs.SetAnnotation(flag, key, []string{text}); err != nil {
		panic(err)
	}
}

// noted returns what note has said; "" where that is nothing.
func noted(f *pflag.Flag, key string) string { return strings.Join(f.Annotations[key], "") }

// inGroup puts flags under the title of a group in the help.
func inGroup(fs *pflag.FlagSet, g settings.Group, flags ...string) {
	for _, f := range flags {
		note(fs, f, noteGroup, g.String())
	}
}

// common marks the flags that most people use.
func common(fs *pflag.FlagSet, flags ...string) {
	for _, f := range flags {
		note(fs, f, noteCommon, "yes")
	}
}

// takes says what stands behind a flag, in place of the kind of its value.
func takes(fs *pflag.FlagSet, value string, flags ...string) {
	for _, f := range flags {
		note(fs, f, noteValue, value)
	}
}

// valueOf is what the help shows behind a flag; "" where the flag takes no value.
func valueOf(f *pflag.Flag) string {
	_, folder := f.Annotations[cobra.BashCompSubdirsInDir]
	_, file := f.Annotations[cobra.BashCompFilenameExt]
	switch typ := f.Value.Type(); {
	case noted(f, noteValue) != "":
		return noted(f, noteValue)
	case folder:
		return "FOLDER"
	case file:
		return "FILE"
	case typ == "bool":
		return ""
	default:
		return map[string]string{
			"int": "N", "int64": "N", "uint64": "N", "float32": "X", "float64": "X", "duration": "TIME",
			"intSlice": "N,N,...", "float64Slice": "X,X,...", "stringSlice": "NAME,...",
		}[typ]
	}
}

// defaultOf is the default of a flag in words; "" where there is none worth a word.
func defaultOf(f *pflag.Flag) string {
	if text := noted(f, noteDefault); text != "" {
		return text
	}
	value := strings.Trim(f.DefValue, "[]")
	switch value {
	case "", "0", "false", "0s":
		return ""
	}
	return value
}
