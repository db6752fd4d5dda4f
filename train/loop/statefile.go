package loop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

// The parts of a state in a safetensors file: prefixes of the names of its tensors, and the
// entry of its metadata.
const (
	valuePart   = "model."
	slotPart    = "optimizer."
	averagePart = "average."
	stepsKey    = "residual_steps"
)

// counts is the entry stepsKey.
type counts struct {
	Optimizer string `json:"optimizer"` // its name
	Steps     int    `json:"steps"`     // of the optimiser
	Batches   int    `json:"batches"`   // which select the random numbers of dropout
}

// State returns everything that the training has become; see Save. Its tensors may be the
// module's own and are valid until the next step. It returns an error after a Backward that no
// Step followed.
func (s *Stepper) State() (State, error) {
	if s.counted || s.sum.batches > 0 {
		return State{}, errors.New("the training is between Backward and Step; save it after Step, or after ZeroGrad")
	}
	return s.state()
}

// Restore continues from state t, and sets the module's values. The error names what is missing
// in t; after an error the Stepper must not be used.
func (s *Stepper) Restore(t State) error {
	s.ZeroGrad()
	if t.OptimizerSteps == 0 && len(t.Slots) == 0 { // from before the first step
		for _, p := range s.trained {
			for i := range s.options.Optimizer.Slots() {
				t.Slots = append(t.Slots, tensor.Named{Name: SlotName(p.Name, i), Tensor: tensor.New(p.Value.Shape()...)})
			}
		}
	}
	return s.restore(t)
}

// Save writes everything that the training has become as a safetensors file: parameters,
// buffers, the optimiser's slots, averages, the number of steps, and the place in the stream of
// random numbers. A Stepper of the same module, loss and options that reads it with Load
// continues with the same bits. To a file it is written atomically by
//
//	err := checkpoint.WriteFile("state.safetensors", s.Save)
func (s *Stepper) Save(w io.Writer) error {
	t, err := s.State()
	if err != nil {
		return err
	}
	text, err := number.Marshal(counts{s.options.Optimizer.Name(), t.OptimizerSteps, t.Steps})
	if err != nil {
		return err
	}
	var all []tensor.Named
	for _, part := range []struct {
		prefix string
		of     []tensor.Named
	}{{valuePart, t.Values}, {slotPart, t.Slots}, {averagePart, t.Averages}} {
		for _, n := range part.of {
			all = append(all, tensor.Named{Name: part.prefix + n.Name, Tensor: n.Tensor})
		}
	}
	return safetensors.Write(w, all, map[string]string{stepsKey: string(text)})
}

// Load continues from what Save wrote, as Restore does.
func (s *Stepper) Load(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("the state of the training cannot be read: %w", err)
	}
	f, err := safetensors.Read(bytes.NewReader(text), int64(len(text)), "the state of the training")
	if err != nil {
		return err
	}
	defer f.Close()
	var of counts
	if err := json.Unmarshal([]byte(f.Metadata()[stepsKey]), &of); err != nil || of.Steps < 0 || of.Batches < of.Steps {
		return fmt.Errorf("this is no state that Stepper.Save wrote: its metadata has no valid entry %q", stepsKey)
	}
	if have := s.options.Optimizer.Name(); of.Optimizer != have {
		return fmt.Errorf("the state is of a training with the optimiser %s, and this one has %s; give the same in Options.Optimizer", of.Optimizer, have)
	}
	t := State{OptimizerSteps: of.Steps}
	t.Steps = of.Batches
	for _, name := range f.Names() {
		value, err := f.Tensor(name)
		if err != nil {
			return err
		}
		for prefix, list := range map[string]*[]tensor.Named{valuePart: &t.Values, slotPart: &t.Slots, averagePart: &t.Averages} {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				*list = append(*list, tensor.Named{Name: rest, Tensor: value})
			}
		}
	}
	return s.Restore(t)
}
