package exchange

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/task"
)

// GraphArchitecture is the architecture of a model that is none of the registry's, whose
// network is the ONNX graph in its own file.
const GraphArchitecture = "onnx-graph"

// loadedModel is the model that was found in a file of weights.
type loadedModel struct {
	module   nn.Module
	match    models.Match
	metadata map[string]string
	notes    []string
	input    Input // the input of an ONNX graph; zero for other files
}

// otherModelError is the error of a graph that computes another model than the one asked for.
func otherModelError(is models.Match, model string) error {
	return fmt.Errorf("the graph computes %s, not %s", is.Title(), model)
}

// ownDescription returns the description that Residual wrote into a file. ok is false if there is
// none, or if it contradicts the model that was found.
func ownDescription(metadata map[string]string, match models.Match) (own checkpoint.Model, ok bool) {
	own, err := checkpoint.ModelIn(metadata)
	e := match.Entry
	ok = err == nil && own.Task != task.Masks && len(own.Names()) == match.Config.Classes && own.Channels == match.Config.Channels &&
		!(e.FixedSize && (own.Height != e.Height || own.Width != e.Width))
	return own, ok
}

// readBack returns info as it would be read back from a file; the error says what is invalid in it.
func readBack(info checkpoint.Model) (checkpoint.Model, error) {
	metadata, err := info.Metadata()
	if err != nil {
		return info, err
	}
	return checkpoint.ModelIn(metadata)
}

// joinTitles lists the titles of matches, joined by "or".
func joinTitles(found []models.Match) string {
	var names []string
	for _, m := range found {
		names = append(names, m.Title())
	}
	return strings.Join(names, " or ")
}
