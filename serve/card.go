package serve

import (
	"net/http"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/task"
)

// card describes a model to people.
type card struct {
	Name         string             `json:"name"`
	Version      string             `json:"version"` // the beginning of the file's SHA-256
	Architecture string             `json:"architecture"`
	Task         task.Task          `json:"task"`
	Names        []string           `json:"names"` // of the classes, labels or values
	Input        []int              `json:"input"` // channels, height, width; 0 for any
	Precision    string             `json:"precision"`
	Calibrated   bool               `json:"calibrated"`            // the probabilities are by Temperature
	Temperature  []float64          `json:"temperature,omitempty"` // in the file; see checkpoint.Model
	Dataset      string             `json:"dataset,omitempty"`
	Epoch        int                `json:"epoch,omitempty"`
	Metrics      checkpoint.Metrics `json:"metrics,omitempty"` // of its training
	Loaded       time.Time          `json:"loaded"`
	Failed       string             `json:"failed,omitempty"` // since a newer file could not be served
	FailedAt     *time.Time         `json:"failed_at,omitempty"`
}

func cardOf(about checkpoint.Model) card {
	return card{
		Architecture: titleOf(about), Task: about.Task.Named(), Names: about.Names(),
		Input: []int{about.Channels, about.Height, about.Width}, Dataset: about.Dataset, Epoch: about.Epoch, Metrics: about.Metrics, Temperature: about.Temperature,
	}
}

// titleOf describes a network in words.
func titleOf(about checkpoint.Model) string {
	if about.Architecture == exchange.GraphArchitecture {
		return "ONNX graph"
	}
	return models.Title(about.Architecture, about.Blocks)
}

func (m *served) describe() card {
	g := m.current()
	c := cardOf(g.Info())
	c.Name, c.Version, c.Precision, c.Loaded, c.Calibrated = m.Name, g.version, g.Precision().String(), g.loaded.UTC(), g.IsCalibrated()
	if err, since := m.trouble(); err != nil {
		c.Failed = "the newest file cannot be served; the log of the server has the reason"
		at := since.UTC()
		c.FailedAt = &at
	}
	return c
}

// listModels answers GET /models.
func (s *core) listModels(w http.ResponseWriter, _ *http.Request) error {
	cards := make([]card, len(s.models))
	for i, m := range s.models {
		cards[i] = m.describe()
	}
	return answer(w, http.StatusOK, map[string]any{"models": cards})
}

// describeModel answers GET /models/{model}.
func (s *core) describeModel(w http.ResponseWriter, r *http.Request) error {
	m, err := s.model(r.PathValue("model"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, m.describe())
}
