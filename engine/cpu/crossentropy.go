package cpu

// target computes the target distribution that graph.CrossEntropy compares a row of
// logits with.
type target struct {
	smoothing float64
	labels    memory // class indices [N], or soft labels [N, K]: one probability per class
	weight    memory // [K], or nil
	t         []float64
}

// plain reports whether the distribution is 1 at the label and 0 elsewhere.
func (g *target) plain(soft bool) bool { return g.smoothing == 0 && g.weight == nil && !soft }

// row writes the distribution of row i to t and returns its sum.
func (g *target) row(i int, soft bool) (sum float64) {
	k := len(g.t)
	for c := range g.t {
		g.t[c] = g.smoothing / float64(k)
	}
	if soft {
		for c, y := range g.labels[i*k : (i+1)*k] {
			g.t[c] += float64((1 - g.smoothing) * float64(y))
		}
	} else {
		g.t[int(g.labels[i])] += 1 - g.smoothing
	}
	for c, w := range g.weight {
		g.t[c] *= float64(w)
	}
	for _, v := range g.t {
		sum += v
	}
	return sum
}

// divisor is what the loss is divided by: the sum of the weights of the labels, or the
// number of rows for soft labels and without weights.
func (g *target) divisor(rows int, soft bool) (sum float64) {
	if soft || g.weight == nil {
		return float64(rows)
	}
	for i := range rows {
		sum += float64(g.weight[int(g.labels[i])])
	}
	return sum
}

func newTarget(smoothing float64, k int, in []memory, weight int) *target {
	g := &target{smoothing: smoothing, labels: in[1], t: make([]float64, k)}
	if weight < len(in) {
		g.weight = in[weight]
	}
	return g
}

func crossEntropy(smoothing float64, k, rows int, soft bool, in []memory, out memory) func() {
	row, g := make([]float64, k), newTarget(smoothing, k, in, 2)
	if g.plain(soft) {
		return func() {
			total := 0.0
			for i := range rows {
				x := in[0][i*k : (i+1)*k]
				total += softmaxRow(row, x) - float64(x[int(in[1][i])])
			}
			out[0] = float32(total / float64(rows))
		}
	}
	return func() {
		total := 0.0
		for i := range rows {
			x := in[0][i*k : (i+1)*k]
			g.row(i, soft)
			logSum := softmaxRow(row, x)
			for c, t := range g.t {
				if t != 0 { // else an infinite logit would give NaN
					total += float64(t * (logSum - float64(x[c])))
				}
			}
		}
		out[0] = float32(total / g.divisor(rows, soft))
	}
}

func crossEntropyGrad(smoothing float64, k, rows int, soft bool, in []memory, out memory) func() {
	row, g := make([]float64, k), newTarget(smoothing, k, in, 3)
	if g.plain(soft) {
		return func() {
			scale := float64(in[2][0]) / float64(rows)
			for i := range rows {
				softmaxRow(row, in[0][i*k:(i+1)*k])
				row[int(in[1][i])]--
				for j, v := range row {
					out[i*k+j] = float32(v * scale)
				}
			}
		}
	}
	return func() {
		scale := float64(in[2][0]) / g.divisor(rows, soft)
		for i := range rows {
			sum := g.row(i, soft)
			softmaxRow(row, in[0][i*k:(i+1)*k])
			for c, v := range row {
				out[i*k+c] = float32(scale * (float64(v*sum) - g.t[c]))
			}
		}
	}
}
