package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/safetensors"
)

// State describes a training at the end of an epoch. Its file also contains the values of
// the model and of the optimiser: everything needed to resume is in one file, so a crash
// cannot leave parts of two epochs.
type State struct {
	Version        int     `json:"version"` // layout of the file; SaveState fills it in
	Epoch          int     `json:"epoch"`   // completed epochs, at least 1
	Steps          int     `json:"steps"`   // completed steps
	OptimizerSteps int     `json:"optimizer_steps"`
	BestEpoch      int     `json:"best_epoch"`
	BestAccuracy   float64 `json:"best_accuracy"`
	// BestScore is the score by which BestEpoch was chosen. It is nil if the score is NaN or
	// infinite. In a state of an earlier version it is also nil, and the score is BestAccuracy.
	BestScore *Number `json:"best_score,omitempty"`
	Seconds   float64 `json:"seconds"` // duration of the training so far

	Settings json.RawMessage `json:"settings"` // settings of the training, in its caller's format
	Model    Model           `json:"model"`    // description of the epoch's model, as in its model file
}

// These are the parts of a state file: entries of its metadata, and prefixes of its
// tensors' names.
const (
	stateKey      = "residual_state"
	checksumKey   = "residual_checksum"
	modelPart     = "model."
	optimizerPart = "optimizer."
	averagePart   = "average."
	stateVersion  = 1
)

// Values are the tensors of a state by name: the model's state dict, the optimiser's
// state under names that the caller chooses, and the moving averages of the model's
// values, if the training keeps them.
type Values struct{ Model, Optimizer, Average []tensor.Named }

// parts maps the prefix of each part's tensors to the part.
func (v *Values) parts() map[string]*[]tensor.Named {
	return map[string]*[]tensor.Named{modelPart: &v.Model, optimizerPart: &v.Optimizer, averagePart: &v.Average}
}

// SaveState writes a state file atomically. The file contains a checksum over the state
// and all elements.
func SaveState(path string, s State, v Values) error {
	s.Version = stateVersion
	s.Model = s.Model.resolved()
	if err := s.check(); err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	text, err := number.Marshal(s)
	if err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	var all []tensor.Named
	for _, part := range []string{modelPart, optimizerPart, averagePart} {
		for _, n := range *v.parts()[part] {
			all = append(all, tensor.Named{Name: part + n.Name, Tensor: n.Tensor})
		}
	}
	metadata := map[string]string{stateKey: string(text), checksumKey: checksum(text, all)}
	return WriteFile(path, func(w io.Writer) error { return safetensors.Write(w, all, metadata) })
}

// ReadState reads the description in a state file, without its tensors.
func ReadState(path string) (State, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return State{}, stateError(path, err)
	}
	defer f.Close()
	s, err := stateIn(f.Metadata()[stateKey])
	if err != nil {
		return State{}, stateError(path, err)
	}
	return s, nil
}

// LoadState reads a complete state file and verifies its checksum. The tensors are in the
// order in which they were saved.
func LoadState(path string) (State, Values, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return State{}, Values{}, stateError(path, err)
	}
	defer f.Close()
	metadata := f.Metadata()
	s, err := stateIn(metadata[stateKey])
	if err != nil {
		return State{}, Values{}, stateError(path, err)
	}
	var v Values
	var all []tensor.Named
	for _, name := range f.Names() {
		t, err := f.Tensor(name)
		if err != nil {
			return State{}, Values{}, stateError(path, err)
		}
		all = append(all, tensor.Named{Name: name, Tensor: t})
		for part, values := range v.parts() {
			if rest, ok := strings.CutPrefix(name, part); ok {
				*values = append(*values, tensor.Named{Name: rest, Tensor: t})
			}
		}
	}
	if checksum([]byte(metadata[stateKey]), all) != metadata[checksumKey] {
		return State{}, Values{}, stateError(path, errors.New("its content does not match its checksum: the file is damaged"))
	}
	return s, v, nil
}

// stateError names the file once and says what to do.
func stateError(path string, err error) error {
	if !strings.Contains(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("the training cannot go on: %w; put back a copy of the state, or start a new run", err)
}

func stateIn(text string) (State, error) {
	if text == "" {
		return State{}, fmt.Errorf("not the state of a training: its metadata has no entry %q", stateKey)
	}
	var s State
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return State{}, fmt.Errorf("its description cannot be read (%w)", err)
	}
	s.Model = s.Model.resolved()
	return s, s.check()
}

func (s State) check() error {
	switch {
	case s.Version != stateVersion:
		return fmt.Errorf("a state of layout %d, and this program reads %d: another version of Residual wrote it", s.Version, stateVersion)
	case s.Epoch < 1 || s.BestEpoch < 1 || s.BestEpoch > s.Epoch:
		return fmt.Errorf("a state after epoch %d, the best of which is %d", s.Epoch, s.BestEpoch)
	case s.Steps < s.Epoch || s.OptimizerSteps < 0:
		return fmt.Errorf("a state after %d steps, %d of the optimiser, in %d epochs", s.Steps, s.OptimizerSteps, s.Epoch)
	case !(s.BestAccuracy >= 0 && s.BestAccuracy <= 1) || !(s.Seconds >= 0 && s.Seconds <= math.MaxInt32):
		return fmt.Errorf("a state with accuracy %v after %v seconds", s.BestAccuracy, s.Seconds)
	case len(s.Settings) == 0:
		return errors.New("a state without settings")
	}
	return s.Model.check()
}

// checksum is the CRC-32C of the text and of the names and elements of the
// tensors, in the order of their names.
func checksum(text []byte, tensors []tensor.Named) string {
	tensors = slices.Clone(tensors)
	slices.SortFunc(tensors, func(a, b tensor.Named) int { return strings.Compare(a.Name, b.Name) })
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, text)
	buffer := make([]byte, 0, 64<<10)
	for _, n := range tensors {
		sum = crc32.Update(sum, table, []byte(n.Name))
		for part := range slices.Chunk(n.Tensor.Data(), cap(buffer)/4) {
			buffer = buffer[:0]
			for _, v := range part {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
			}
			sum = crc32.Update(sum, table, buffer)
		}
		for part := range slices.Chunk(n.Tensor.Ints(), cap(buffer)/8) {
			buffer = buffer[:0]
			for _, v := range part {
				buffer = binary.LittleEndian.AppendUint64(buffer, uint64(v))
			}
			sum = crc32.Update(sum, table, buffer)
		}
	}
	return fmt.Sprintf("crc32c %08x", sum)
}
