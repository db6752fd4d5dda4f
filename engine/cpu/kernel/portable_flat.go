package kernel

func addPortable(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func mulPortable(dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func axpyPortable(dst []float32, alpha float32, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += float32(alpha * x[i])
	}
}

func scalePortable(dst []float32, alpha float32, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = alpha * x[i]
	}
}

func reluPortable(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		if v < 0 {
			v = 0
		}
		dst[i] = v
	}
}

func reluGradPortable(dx, dy, y []float32) {
	dy, y = dy[:len(dx)], y[:len(dx)]
	for i := range dx {
		g := dy[i]
		if y[i] <= 0 {
			g = 0
		}
		dx[i] = g
	}
}

func packPortable(dst, src []float32, rows, n, ld, cols int) {
	for k := range rows {
		row := dst[k*cols:][:cols]
		copy(row, src[k*ld:][:n])
		clear(row[n:])
	}
}

func packTransposedPortable(dst, src []float32, rows, n, ld, cols int) {
	for k := range n {
		row := dst[k*cols:][:cols]
		for j := range rows {
			row[j] = src[j*ld+k]
		}
		clear(row[rows:])
	}
}
