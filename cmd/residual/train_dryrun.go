package main

import (
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/train"
)

// rehearsal is what train --dry-run --json prints.
type rehearsal struct {
	DryRun       bool          `json:"dry_run"`
	Model        string        `json:"model"`
	Data         string        `json:"data"`
	Classes      []string      `json:"classes,omitempty"` // of images of the user's own
	TrainImages  int           `json:"train_images"`
	TestImages   int           `json:"test_images"`
	Parts        []folder.Part `json:"parts,omitempty"`
	Untested     []string      `json:"untested_classes,omitempty"`  // which have no test images
	Untrained    []string      `json:"untrained_classes,omitempty"` // which have no training images
	Notes        []string      `json:"notes,omitempty"`
	Skipped      []string      `json:"skipped,omitempty"` // that cannot be read
	Parameters   int64         `json:"parameters"`
	Batches      int           `json:"batches"` // in an epoch
	Chosen       []string      `json:"chosen,omitempty"`
	Device       string        `json:"device"`
	PlannedBytes int64         `json:"planned_memory_bytes"`
	Estimate     *foreseen     `json:"estimate"`
	Settings     train.Config  `json:"settings"`
}

// rehearsed ends a dry run.
func (v *trainView) rehearsed() error {
	say(v.out, "%s\n", "a dry run: nothing was written")
	if !v.flags.json {
		return nil
	}
	s := v.begun
	r := rehearsal{
		DryRun: true, Model: s.Config.Model, Data: s.Config.Data, TrainImages: s.Images, TestImages: s.Tests, Parameters: s.Parameters, Batches: s.Batches,
		Chosen: s.Chosen, Device: v.device, PlannedBytes: s.PlannedBytes, Estimate: foresee(s.Estimate), Settings: s.Config,
	}
	if p := s.Photos; p != nil {
		r.Classes, r.Parts, r.Notes = s.Targets.Names, p.Index.Layout, p.Index.Notes
		r.Untested, r.Untrained = p.Untested, p.Untrained
		if p.Report != nil {
			for _, b := range p.Report.Broken {
				r.Skipped = append(r.Skipped, b.Name)
			}
		}
	}
	return printJSON(v.cmd.OutOrStdout(), r)
}
