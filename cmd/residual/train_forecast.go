package main

import (
	"fmt"

	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train/foresight"
)

// estimated returns a line about the time and the memory that a training will take.
func estimated(e *foresight.Estimate) string {
	line := fmt.Sprintf("estimated from %s: %s", plural(e.Steps, "trial step"), report.Duration(e.Total))
	if e.Epochs > 1 {
		line += fmt.Sprintf(", %s an epoch", report.Duration(e.Epoch+e.Evaluation+e.Saving))
	}
	if e.After > 0 {
		line += fmt.Sprintf(", %s the report", report.Duration(e.After))
	}
	m := e.Memory
	return line + fmt.Sprintf("; %s of memory: the network %s, its weights %s, images %s, the rest %s",
		report.Bytes(m.Total), report.Bytes(m.Network), report.Bytes(m.Weights), report.Bytes(m.Images), report.Bytes(m.Program))
}

// foreseen is an estimate in JSON.
type foreseen struct {
	Seconds           float64 `json:"seconds"` // from the estimate to the end of all
	EpochSeconds      float64 `json:"epoch_seconds"`
	FirstEpochSeconds float64 `json:"first_epoch_seconds"`
	EvaluationSeconds float64 `json:"evaluation_seconds"`
	SavingSeconds     float64 `json:"saving_seconds"`
	ReportSeconds     float64 `json:"report_seconds"`
	Epochs            int     `json:"epochs"`
	TrialSteps        int     `json:"trial_steps"`
	MemoryBytes       int64   `json:"memory_bytes"`
	NetworkBytes      int64   `json:"network_bytes"`
	WeightBytes       int64   `json:"weight_bytes"`
	ImageBytes        int64   `json:"image_bytes"`
	OtherBytes        int64   `json:"other_bytes"`
}

func foresee(e *foresight.Estimate) *foreseen {
	if e == nil {
		return nil
	}
	m := e.Memory
	return &foreseen{
		Seconds: e.Total.Seconds(), EpochSeconds: e.Epoch.Seconds(), FirstEpochSeconds: e.FirstEpoch.Seconds(), EvaluationSeconds: e.Evaluation.Seconds(),
		SavingSeconds: e.Saving.Seconds(), ReportSeconds: e.After.Seconds(), Epochs: e.Epochs, TrialSteps: e.Steps,
		MemoryBytes: m.Total, NetworkBytes: m.Network, WeightBytes: m.Weights, ImageBytes: m.Images, OtherBytes: m.Program,
	}
}
