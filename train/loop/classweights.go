package loop

import (
	"github.com/residual-ml/residual/internal/field"
)

// BalancedWeights returns class weights with which all classes count the same in the loss,
// regardless of how many images they have. The weight of a class with n of the N images, of K
// classes, is N/(K*n), as in scikit-learn's compute_class_weight. A class without images is
// an error.
func BalancedWeights(labels []int, classes []string) ([]float32, error) {
	counts := make([]int, len(classes))
	for _, label := range labels {
		counts[label]++
	}
	weights := make([]float32, len(classes))
	for k, n := range counts {
		if n == 0 {
			return nil, field.Errorf("{ClassWeights} balanced: class %s has no image to train on; give weights as numbers, or more images ({TrainSize})", classes[k])
		}
		weights[k] = float32(float64(len(labels)) / float64(len(classes)*n))
	}
	return weights, nil
}
