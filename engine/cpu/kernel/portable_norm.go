package kernel

func meanM2Portable[T stored](mean, m2 []float32, x []T, rows, n, ld int) {
	mean, m2 = mean[:n], m2[:n]
	sumRowsPortable(mean, x, rows, n, ld)
	for c := range mean {
		mean[c] /= float32(rows)
	}
	clear(m2)
	for r := range rows {
		x := x[r*ld:][:n]
		for c, v := range x {
			d := load(v) - mean[c]
			m2[c] += float32(d * d)
		}
	}
}

func sumRowsPortable[T stored](sum []float32, x []T, rows, n, ld int) {
	sum = sum[:n]
	clear(sum)
	for r := range rows {
		x := x[r*ld:][:n]
		for c, v := range x {
			sum[c] += load(v)
		}
	}
}

func scaleShiftPortable[T stored](y, x []T, scale, shift []float32, res []T, relu bool, rows, n, ld int) {
	for i := 0; i < rows*ld; i += ld {
		for c := range n {
			v := load(x[i+c])
			if scale != nil {
				v = float32(v * scale[c])
			}
			if shift != nil {
				v += shift[c]
			}
			if res != nil {
				v += load(res[i+c])
			}
			if relu && v < 0 {
				v = 0
			}
			store(&y[i+c], v)
		}
	}
}

func bnReducePortable[T stored](sumDy, sumDyX []float32, dy, y, x []T, mean []float32, dres []T, rows, n, ld int) {
	sumDy, sumDyX, mean = sumDy[:n], sumDyX[:n], mean[:n]
	clear(sumDy)
	clear(sumDyX)
	for i := 0; i < rows*ld; i += ld {
		for c := range n {
			stored := dy[i+c]
			if y != nil && load(y[i+c]) <= 0 {
				stored = 0
			}
			if dres != nil {
				dres[i+c] = stored
			}
			g := load(stored)
			sumDy[c] += g
			sumDyX[c] += float32(g * (load(x[i+c]) - mean[c]))
		}
	}
}

func bnGradPortable[T stored](dx, dres []T, sumDx []float32, dy, y, x []T, a, b, d []float32, rows, n, ld int) {
	if sumDx != nil {
		clear(sumDx[:n])
	}
	for i := 0; i < rows*ld; i += ld {
		for c := range n {
			g := dy[i+c]
			if y != nil && load(y[i+c]) <= 0 {
				g = 0
			}
			wide := load(g)
			v := float32(a[c]*wide) + (float32(b[c]*load(x[i+c])) + d[c])
			if dres != nil {
				dres[i+c] = g
			}
			if sumDx != nil {
				sumDx[c] += v
			}
			store(&dx[i+c], v)
		}
	}
}
