package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/measure"
)

// readSpeeds reads the file of --speed.
func readSpeeds(path string) (*measure.Speeds, error) {
	s, err := measure.ReadSpeeds(path)
	if err != nil {
		return nil, speedError(err)
	}
	return s, nil
}

// speedError adds the flag to an error about the file of speeds, and says what writes such a file.
func speedError(err error) error {
	if errors.Is(err, measure.ErrNoSpeeds) {
		return fmt.Errorf("--speed: %w; `residual models --measure` writes one", err)
	}
	return fmt.Errorf("--speed: %w", err)
}

// measureModels measures the named models, or all that the file at path lacks if no name is
// given, and adds their speeds to the file.
func measureModels(ctx context.Context, cmd *cobra.Command, path string, names []string) error {
	f := deviceFlags{kernels: "auto", device: "auto", precision: "fp32"}
	s, err := speedsHere(&f, path)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = s.Missing()
	}
	if len(names) == 0 {
		printf(cmd, "%s has every model; name those that are to be measured again\n", path)
		return nil
	}
	plans, err := measure.PlanSpeeds(names)
	if err != nil {
		return err
	}
	return s.Measure(ctx, path, plans, f.open, func(p measure.SpeedProgress) {
		if p.Done == 0 {
			printf(cmd, "%s to measure%s\n", plural(p.Of, "model"), timeLeft(p.Left, ""))
			return
		}
		printf(cmd, "%d of %d: %s, %s images/s in training, %s in inference%s\n", p.Done, p.Of, p.Speed.Model, rate(p.Speed.Train), rate(p.Speed.Infer),
			timeLeft(p.Left, " more"))
	})
}

// speedsHere opens the file of --speed. It must have been measured on this machine.
func speedsHere(f *deviceFlags, path string) (*measure.Speeds, error) {
	dev, err := f.open()
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	s, err := measure.SpeedsOf(dev, path)
	if err != nil {
		return nil, speedError(err)
	}
	return s, nil
}

// timeLeft writes an estimate of the time left; nothing if it is not known.
func timeLeft(d time.Duration, more string) string {
	if d == 0 {
		return ""
	}
	return "; " + about(d) + more
}

// speedsText explains the measured speeds.
func speedsText(s *measure.Speeds) string {
	if len(s.Models) == 0 {
		return "No speed has been measured.\n"
	}
	var days []string
	for _, m := range s.Models {
		days = append(days, m.Date)
	}
	day := slices.Min(days)
	if last := slices.Max(days); last != day {
		day += " to " + last
	}
	return fmt.Sprintf("Speed is images/s in training and in inference, in fp32 on random images of the input's size, %d at a time, or %d where\n"+
		"they are no larger than 128x128: the middle of %d measurements, or one where a step has over %.0f billion operations. Measured on\n"+
		"%s, %s, with %s.\n",
		measure.SmallBatch, measure.LargeBatch, measure.SpeedRepeats, measure.LongStep/1e9, s.Machine, day, s.Go)
}
