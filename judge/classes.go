package judge

import (
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/internal/field"
)

// SameClasses returns an error if a data set has as many classes as the model in the file at
// path, but other ones or in another order: the accuracy would then compare different things.
// Examine itself refuses another number of classes.
func SameClasses(path string, classes []string, set data.Info) error {
	if len(classes) != len(set.Classes) {
		return nil
	}
	for i, class := range classes {
		if class != set.Classes[i] {
			return field.Errorf("%s calls class %d %q, and %s calls it %q; choose the data set it was trained on with {Data}",
				path, i, class, set.Name, set.Classes[i])
		}
	}
	return nil
}
