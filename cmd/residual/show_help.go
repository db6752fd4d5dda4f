package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train/settings"
)

// The width of help: that of the terminal, at most widestHelp, and usualHelp where there is
// no terminal.
const (
	widestHelp = 120
	usualHelp  = 80
)

// shownExamples is how many examples --help shows.
const shownExamples = 4

// errHelpAll ends the parsing of a command line with --help-all.
var errHelpAll = errors.New("help on every flag was asked for")

// helpAll is the value of --help-all.
type helpAll struct{}

func (helpAll) String() string   { return "false" }
func (helpAll) Set(string) error { return errHelpAll }
func (helpAll) Type() string     { return "bool" }

// addHelp gives all commands --help, which fits a screen, and --help-all.
func addHelp(root *cobra.Command) {
	root.PersistentFlags().VarPF(helpAll{}, "help-all", "", "show every flag and example").NoOptDefVal = "true"
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { showHelp(cmd, false) })
	root.SetUsageFunc(func(cmd *cobra.Command) error { showHelp(cmd, false); return nil })
}

func showHelp(cmd *cobra.Command, all bool) {
	printf(cmd, "%s", helpText(cmd, helpWidth(report.Columns(cmd.OutOrStdout())), all))
}

// helpWidth returns the width of help for an output of so many columns; 0 stands for any.
func helpWidth(columns int) int {
	if columns == 0 {
		return usualHelp
	}
	return min(columns, widestHelp)
}

// helpText returns the help of a command: its purpose, usage, examples, commands and flags.
// Without all it has the first paragraph, the first examples and the flags that most people use.
func helpText(cmd *cobra.Command, width int, all bool) string {
	p := &helpPage{width: width}
	about := strings.TrimSpace(cmd.Long)
	if about == "" {
		about = cmd.Short
	}
	first, more, _ := strings.Cut(about, "\n\n")
	p.prose(first)
	if all && more != "" {
		p.b.WriteString("\n")
		p.prose(more)
	}
	p.title("Usage")
	if cmd.HasParent() {
		p.command(cmd.UseLine())
	} else {
		p.command(cmd.Name() + " COMMAND [flags]")
	}
	examples := strings.Split(strings.TrimRight(cmd.Example, "\n"), "\n")
	if cmd.Example != "" {
		p.title("Examples")
		hidden := !all && len(examples) > shownExamples
		if hidden {
			examples = examples[:shownExamples]
		}
		for _, e := range examples {
			p.command(strings.TrimSpace(e))
		}
	}
	p.commands(cmd)
	left := p.flags(cmd, all)
	p.pointers(cmd, all, left)
	return p.b.String()
}

// helpPage is a page of help as it grows.
type helpPage struct {
	b     strings.Builder
	width int
}

// line writes text, broken between words. The lines after the first begin with indent.
func (p *helpPage) line(text, indent string) {
	p.b.WriteString(report.Wrap(text, p.width, indent) + "\n")
}

// prose writes paragraphs. Lines that begin with two spaces stay as they are; the others are
// joined and broken again.
func (p *helpPage) prose(text string) {
	filled := ""
	flush := func() {
		if filled != "" {
			p.line(filled, "")
		}
		filled = ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		switch {
		case strings.HasPrefix(line, "  residual "):
			flush()
			p.command(strings.TrimSpace(line))
		case line == "" || strings.HasPrefix(line, "  "):
			flush()
			p.line(line, "      ")
		default:
			filled = strings.TrimSpace(filled + " " + line)
		}
	}
	flush()
}

func (p *helpPage) title(text string) { p.b.WriteString("\n" + text + ":\n") }

// command writes a command line. A broken line ends in a backslash, as in a shell.
func (p *helpPage) command(text string) {
	const joint = "\ue000" // between a flag and its value, which stay together
	words := strings.Fields(text)
	for i := len(words) - 1; i > 0; i-- {
		if strings.HasPrefix(words[i-1], "-") && len(words[i-1]) > 1 && !strings.HasPrefix(words[i], "-") {
			words = slices.Replace(words, i-1, i+1, words[i-1]+joint+words[i])
		}
	}
	lines := strings.Split(report.Wrap("  "+strings.Join(words, " "), p.width-2, "      "), "\n")
	p.b.WriteString(strings.ReplaceAll(strings.Join(lines, " \\\n"), joint, " ") + "\n")
}

// commands lists the commands below a command.
func (p *helpPage) commands(cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	p.title("Commands")
	var rows [][2]string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			rows = append(rows, [2]string{c.Name(), c.Short})
		}
	}
	p.pairs(rows, columnOf(rows))
	if !cmd.HasParent() {
		p.title("Topics, as in `residual help photos`")
		rows = nil
		for _, t := range topics {
			rows = append(rows, [2]string{t.name, t.about})
		}
		p.pairs(rows, columnOf(rows))
	}
}

// narrowHelp is the width below which the text of a flag stands under it.
const narrowHelp = 60

// widestName is the longest name with its text on the same line.
const widestName = 24

// columnOf returns the width of the column of names.
func columnOf(rows [][2]string) (column int) {
	for _, r := range rows {
		if n := len(r[0]); n <= widestName {
			column = max(column, n)
		}
	}
	return column
}

// pairs writes names with a text beside them, from a column on, or under them where the page
// is narrow.
func (p *helpPage) pairs(rows [][2]string, column int) {
	indent := strings.Repeat(" ", column+4)
	for _, r := range rows {
		switch name := "  " + r[0]; {
		case p.width < narrowHelp:
			p.line(name, "    ")
			p.line("      "+r[1], "      ")
		case len(r[0]) > column:
			p.line(name, "      ")
			p.line(indent+r[1], indent)
		default:
			text := report.Wrap(r[1], p.width-len(indent), "")
			p.b.WriteString(name + indent[len(name):] + strings.ReplaceAll(text, "\n", "\n"+indent) + "\n")
		}
	}
}

// flags lists flags below the titles of their groups and returns how many it left out.
func (p *helpPage) flags(cmd *cobra.Command, all bool) (left int) {
	groups, marked := groupsOf(cmd.Flags())
	var shown []string
	rows := map[string][][2]string{}
	column := 0
	for _, title := range append([]string{""}, groupTitles()...) {
		for _, f := range groups[title] {
			if marked && !all && noted(f, noteCommon) == "" {
				left++
				continue
			}
			rows[title] = append(rows[title], [2]string{flagName(f), flagText(f, all)})
		}
		if len(rows[title]) > 0 {
			shown = append(shown, title)
			column = max(column, columnOf(rows[title]))
		}
	}
	for i, title := range shown {
		if all || i == 0 {
			p.b.WriteString("\n")
		}
		p.b.WriteString(cmp.Or(title, "Flags") + ":\n")
		p.pairs(rows[title], column)
	}
	return left
}

// groupsOf divides flags by the titles of their groups, and says whether some are marked as
// common.
func groupsOf(fs *pflag.FlagSet) (groups map[string][]*pflag.Flag, marked bool) {
	groups = map[string][]*pflag.Flag{}
	fs.SortFlags = false
	fs.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && !isHelp(f) {
			groups[noted(f, noteGroup)] = append(groups[noted(f, noteGroup)], f)
			marked = marked || noted(f, noteCommon) != ""
		}
	})
	return groups, marked
}

func groupTitles() (titles []string) {
	for _, g := range settings.Groups() {
		titles = append(titles, g.String())
	}
	return titles
}

func isHelp(f *pflag.Flag) bool { return f.Name == "help" || f.Name == "help-all" }

func flagName(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	switch value := valueOf(f); {
	case value == "":
	case f.NoOptDefVal != "":
		name += "[=" + value + "]"
	default:
		name += " " + value
	}
	return name
}

// flagText is the help of a flag with its default.
func flagText(f *pflag.Flag, all bool) string {
	text := f.Usage
	switch d := defaultOf(f); {
	case d == "" || strings.Contains(text, "(default"):
	case strings.HasPrefix(d, byRecipe):
		if recipes := strings.Split(d, "; "); !all && len(recipes) > 2 {
			d = strings.Join(recipes[:2], "; ")
		}
		text += " (" + d + ")"
	default:
		text += " (default " + d + ")"
	}
	if more := noted(f, noteMore); all && more != "" {
		text += ". " + more
	}
	return text
}

// pointers says which help has more.
func (p *helpPage) pointers(cmd *cobra.Command, all bool, left int) {
	var lines []string
	path := cmd.CommandPath()
	if cmd.HasAvailableSubCommands() {
		lines = append(lines, fmt.Sprintf("`%s COMMAND --help` shows the help of a command.", path))
	} else if !all {
		lines = append(lines, fmt.Sprintf("`%s --help-all` explains more%s.", path, othersLeft(left)))
	}
	if about := topicsOf(cmd); len(about) > 0 {
		lines = append(lines, fmt.Sprintf("`residual help TOPIC` is about %s.", strings.Join(about, ", ")))
	}
	if len(lines) == 0 {
		return
	}
	p.b.WriteString("\n")
	for _, l := range lines {
		p.line(l, "")
	}
}

func othersLeft(left int) string {
	if left == 0 {
		return ""
	}
	return fmt.Sprintf(", and %s", plural(left, "more flag"))
}

// topicsOf are the topics that a command's help points to.
func topicsOf(cmd *cobra.Command) (names []string) {
	for _, t := range topics {
		if slices.Contains(t.commands, cmd.CommandPath()) {
			names = append(names, t.name)
		}
	}
	return names
}
