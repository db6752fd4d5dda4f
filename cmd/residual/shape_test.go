package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestFilesAreNamedAfterTheirCommand holds the files of the program to the rule in the
// comment of the package: every command has its file, and every file is of a command or says
// by a prefix what the commands share in it.
func TestFilesAreNamedAfterTheirCommand(t *testing.T) {
	var commands []string
	every(func(c *cobra.Command) {
		if !c.HasParent() {
			return
		}
		name := strings.ReplaceAll(strings.Join(strings.Fields(c.CommandPath())[1:], "_"), "-", "")
		commands = append(commands, name)
		if _, err := os.Stat(name + ".go"); err != nil {
			t.Errorf("%s has no file %s.go", c.CommandPath(), name)
		}
	})
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	if len(commands) < 15 || len(files) < 40 {
		t.Fatalf("only %d commands and %d files were found", len(commands), len(files))
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".go")
		first, _, _ := strings.Cut(name, "_")
		if strings.HasSuffix(name, "_test") || name == "main" || name == "root" || first == "help" {
			continue
		}
		if !slices.Contains(commands, name) && !slices.Contains(commands, first) && !slices.Contains([]string{"flags", "file", "show"}, first) {
			t.Errorf("%s is named after no command; name it so, or begin its name with flags_, file_ or show_", file)
		}
	}
}
