package metrics

import "math"

// mostTemperature is the largest temperature that is fitted, and the inverse of the smallest.
const mostTemperature = 20

// ClassTemperature returns the number by which logits must be divided for the softmax of classes
// to be as sure as it is right: the one with the least cross-entropy on images that the model was
// not trained on (Guo et al., "On Calibration of Modern Neural Networks", 2017, section 4.2).
// logits are [n, classes]. A weak preference for 1, by the square of the logarithm, decides where
// few images, or images without a mistake, leave it open. Images whose logits are not finite are
// left out.
func ClassTemperature(logits []float32, classes int, labels []int64) float64 {
	rows("ClassTemperature", len(logits), len(labels)*classes, classes)
	return temperature(func(inverse float64) (slope float64) {
		for i, label := range labels {
			row := logits[i*classes : (i+1)*classes]
			if mean := expected(row, inverse); !math.IsNaN(mean) {
				slope += mean - float64(row[label])
			}
		}
		return slope
	})
}

// LabelTemperatures is ClassTemperature for a model that gives an image several labels: the
// number for the logit of each label, by the binary cross-entropy. logits and targets are
// [n, labels].
func LabelTemperatures(logits, targets []float32, labels int) []float64 {
	n := rows("LabelTemperatures", len(logits), len(targets), labels)
	fitted := make([]float64, labels)
	for j := range fitted {
		fitted[j] = temperature(func(inverse float64) (slope float64) {
			for i := range n {
				z, there := float64(logits[i*labels+j]), float64(targets[i*labels+j])
				if z-z == 0 {
					slope += z * (1/(1+math.Exp(-z*inverse)) - there)
				}
			}
			return slope
		})
	}
	return fitted
}

// temperature finds by bisection where the slope of a loss over the inverse temperature is 0.
func temperature(slope func(inverse float64) float64) float64 {
	const bisections = 30
	low, high := -math.Log(mostTemperature), math.Log(mostTemperature)
	for range bisections {
		u := (low + high) / 2
		inverse := math.Exp(u)
		if inverse*slope(inverse)+u < 0 { // over u, and of u²/2 that prefers a temperature of 1
			low = u
		} else {
			high = u
		}
	}
	return math.Exp(-(low + high) / 2)
}

// expected returns the mean of x by the softmax of x times inverse; NaN if it is not finite.
func expected(x []float32, inverse float64) float64 {
	most := math.Inf(-1)
	for _, v := range x {
		most = max(most, float64(v))
	}
	sum, mean := 0.0, 0.0
	for _, v := range x {
		p := math.Exp((float64(v) - most) * inverse)
		sum += p
		mean += float64(p * float64(v))
	}
	return mean / sum
}
