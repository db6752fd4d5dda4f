package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/internal/nearest"
	"github.com/residual-ml/residual/report"
)

// helpCommand shows the help of a command or a topic. Words that are neither are answered with
// the nearest ones.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND|TOPIC]",
		Short:   "Show the help of a command, or a topic",
		Long:    "Show the help of a command, or a topic: photos, fine-tuning, precision, schedules, resume.",
		Example: "  residual help train\n  residual help data fetch\n  residual help photos",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if i := slices.IndexFunc(topics, func(t topic) bool { return t.name == args[0] }); i >= 0 {
					if len(args) > 1 {
						return usagef("help takes one topic; give %s alone", args[0])
					}
					p := &helpPage{width: helpWidth(report.Columns(cmd.OutOrStdout()))}
					p.prose(topics[i].text(p.width))
					printf(cmd, "%s", p.b.String())
					return nil
				}
			}
			found, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usageError{err}
			}
			if len(rest) == 0 {
				found.InitDefaultHelpFlag()
				return found.Help()
			}
			if found.HasParent() {
				return unknownCommand(found, rest[0])
			}
			var names []string
			for _, c := range found.Commands() {
				names = append(names, c.Name())
			}
			for _, t := range topics {
				names = append(names, t.name)
			}
			next := nearest.Question(rest[0], names, "`residual help %s`")
			if next == "" {
				next = "`residual --help` lists both"
			}
			return usagef("%q is no command and no topic; %s", rest[0], next)
		},
		ValidArgsFunction: completeHelp,
	}
}

// completeHelp completes commands and topics.
func completeHelp(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		for _, t := range topics {
			names = append(names, t.name)
		}
	}
	if found, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
		for _, c := range found.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
