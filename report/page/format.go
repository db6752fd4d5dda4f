package page

import (
	"fmt"
	"math"
	"strings"
)

// wilson is the 95% confidence interval of an accuracy: Wilson, "Probable Inference, the
// Law of Succession, and Statistical Inference", 1927.
func wilson(right, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964
	p, m := share(right, n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, middle-half), min(1, middle+half)
}

func share(k, n int) float64 {
	if n == 0 {
		return 0
	}
	return float64(k) / float64(n)
}

// figures formats a score or a loss.
func figures(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) || math.Abs(v) >= 1e4 {
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.*f", sureDecisions, v)
}

const sureDecisions = 4 // digits

// percent formats a fraction with enough digits to tell it from 0% and 100%.
func percent(v float64) string {
	digits := 1
	if v > 0.99 && v < 1 || v > 0 && v < 0.01 {
		digits = 2
	}
	text := fmt.Sprintf("%.*f", digits, 100*v)
	if v < 1 && strings.HasPrefix(text, "100") {
		text = "> 99.99"
	}
	return text + "%"
}
