package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/train/settings"
)

// addMaxPixels adds the limit of an image's size. 0 is the library's.
func addMaxPixels(cmd *cobra.Command, to *int64) {
	s := settings.Of("MaxPixels")
	cmd.Flags().Int64Var(to, s.Flag(), 0, s.Usage())
}

func checkMaxPixels(pixels int64) error {
	if pixels < 0 {
		return usagef("--max-pixels %d: give a number of pixels, such as 100000000, or leave the flag out for 50000000", pixels)
	}
	return nil
}

// imageError is an error about an image in one line, and how to have it all the same where
// the limit alone keeps it out.
func imageError(err error) string {
	text := oneLine(errorText(err))
	if large := (*photo.TooLargeError)(nil); errors.As(err, &large) && !strings.Contains(text, "--max-pixels") {
		text += allowing(large.Pixels())
	}
	return text
}

// problemLine is imageError for what a check found.
func problemLine(p folder.Problem) string {
	if p.Pixels > 0 {
		return oneLine(p.Error) + allowing(p.Pixels)
	}
	return oneLine(p.Error)
}

func allowing(pixels int64) string { return fmt.Sprintf(" (--max-pixels %d)", pixels) }
