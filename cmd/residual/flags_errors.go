package main

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/train/settings"
)

// flagError says what is wrong with a flag: one that the command does not have is answered
// with the nearest ones, and a value that cannot be read with what it may be.
func flagError(cmd *cobra.Command, err error) error {
	var absent *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var bare *pflag.ValueRequiredError
	switch {
	case errors.Is(err, errHelpAll):
		showHelp(cmd, true)
		return nil
	case errors.As(err, &absent):
		return unknownFlag(cmd, absent)
	case errors.As(err, &invalid):
		return unreadable(invalid)
	case errors.As(err, &bare):
		return usagef("--%s needs a value, such as %s", bare.GetFlag().Name, exampleOf(bare.GetFlag()))
	}
	return usagef("%s: %v; `%s --help-all` lists the flags", cmd.Name(), err, cmd.CommandPath())
}

// unknownFlag names the nearest flags of the command.
func unknownFlag(cmd *cobra.Command, e *pflag.NotExistError) error {
	typed := "--" + e.GetSpecifiedName()
	if e.GetSpecifiedShortnames() != "" {
		typed = "-" + e.GetSpecifiedName()
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	next := nearest.Question(typed, names, "%s")
	if s, ok := settings.Meant(e.GetSpecifiedName()); ok && cmd.Flags().Lookup(s.Flag()) != nil {
		next = "did you mean --" + s.Flag() + "?"
	}
	lists := fmt.Sprintf("`%s --help-all` lists the flags", cmd.CommandPath())
	if next == "" {
		return usagef("%s has no flag %s; %s", cmd.CommandPath(), typed, lists)
	}
	return usagef("%s has no flag %s; %s (%s)", cmd.CommandPath(), typed, next, lists)
}

// unreadable says which flag has which value, and what it may be.
func unreadable(e *pflag.InvalidValueError) error {
	f := e.GetFlag()
	what := kindOf(f)
	if what == "" {
		return usagef("--%s %s: %v", f.Name, e.GetValue(), errors.Unwrap(e))
	}
	if errors.Is(e, strconv.ErrRange) {
		return usagef("--%s %s: is too large, or too small; give a %s, such as %s", f.Name, e.GetValue(), what, exampleOf(f))
	}
	return usagef("--%s %q: is no %s; give one, such as %s", f.Name, e.GetValue(), what, exampleOf(f))
}

// kindOf says in words what the values of a flag are; "" of a kind of its own.
func kindOf(f *pflag.Flag) string {
	kinds := map[string]reflect.Type{
		"int": reflect.TypeFor[int](), "int64": reflect.TypeFor[int64](), "uint64": reflect.TypeFor[uint64](), "bool": reflect.TypeFor[bool](),
		"float32": reflect.TypeFor[float32](), "float64": reflect.TypeFor[float64](), "intSlice": reflect.TypeFor[[]int](), "float64Slice": reflect.TypeFor[[]float64](),
	}
	if t, ok := kinds[f.Value.Type()]; ok {
		return settings.Kind(t)
	}
	if f.Value.Type() == "duration" {
		return "time"
	}
	return ""
}

// exampleOf is a value that a flag may have.
func exampleOf(f *pflag.Flag) string {
	for _, s := range settings.Table() {
		if s.Flag() == f.Name && noted(f, noteGroup) == s.Group.String() {
			return s.Example()
		}
	}
	if d := defaultOf(f); d != "" && noted(f, noteDefault) == "" {
		return d
	}
	switch f.Value.Type() {
	case "bool":
		return "true"
	case "float32", "float64":
		return "0.5"
	case "duration":
		return "10m"
	case "intSlice":
		return "2,2,2,2"
	case "float64Slice":
		return "0.5,0.5,0.5"
	case "string", "stringSlice":
		return valueOf(f)
	}
	return "10"
}

// unknownCommand names the nearest commands.
func unknownCommand(cmd *cobra.Command, word string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	next := nearest.Question(word, names, "`"+cmd.CommandPath()+" %s`")
	if next == "" {
		next = fmt.Sprintf("`%s --help` lists the commands", cmd.CommandPath())
	}
	return usagef("%q is no command of %s; %s", word, cmd.CommandPath(), next)
}
