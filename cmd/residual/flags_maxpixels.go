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

// addMaxPixels adds --max-pixels, the limit of an image's size. 0 stands for the library's limit.
func addMaxPixels(cmd *cobra.Command, to *int64) {
	s := settings.Of("MaxPixels")
	cmd.Flags().Int64Var(to, s.Flag(), 0, s.Help)
	describeSetting(cmd.Flags(), s)
}

func checkMaxPixels(pixels int64) error {
	if pixels < 0 {
		return usagef("--max-pixels %d: give a number of pixels, such as 100000000, or leave the flag out for 50000000", pixels)
	}
	return nil
}

// imageError writes an error about an image in one line. If only the limit of --max-pixels
// refuses the image, it adds the limit that would accept it.
func imageError(err error) string {
	text := oneLine(errorText(err))
	if large := (*photo.TooLargeError)(nil); errors.As(err, &large) && !strings.Contains(text, "--max-pixels") {
		text += allowing(large.Pixels())
	}
	return text
}

// problemLine is imageError for a problem that a check found.
func problemLine(p folder.Problem) string {
	if p.Pixels > 0 {
		return oneLine(p.Error) + allowing(p.Pixels)
	}
	return oneLine(p.Error)
}

func allowing(pixels int64) string { return fmt.Sprintf(" (--max-pixels %d)", pixels) }
