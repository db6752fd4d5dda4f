package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/train/settings"
)

// printJSON writes a result for programs: keys are lower_snake and stay as they are.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print the result as JSON")
	inGroup(cmd.Flags(), settings.Run, "json")
}

// printf calls say for the standard output of a command.
func printf(cmd *cobra.Command, format string, args ...any) { say(cmd.OutOrStdout(), format, args...) }

// number is a float that may be NaN or infinite. JSON has no such numbers, so they become the
// strings NaN, +Inf and -Inf.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return json.Marshal(fmt.Sprint(v))
	}
	return json.Marshal(float64(n))
}

func measured(x float64) *float64 {
	if math.IsNaN(x) {
		return nil
	}
	return &x
}
