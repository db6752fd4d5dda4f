package kernel

func meanM2Portable(mean, m2, x []float32, rows, n, ld int) {
	mean, m2 = mean[:n], m2[:n]
	sumRowsPortable(mean, x, rows, n, ld)
	for c := range mean {
		mean[c] /= float32(rows)
	}
	clear(m2)
	for r := range rows {
		x := x[r*ld:][:n]
		for c, v := range x {
			d := v - mean[c]
			m2[c] += float32(d * d)
		}
	}
}

func sumRowsPortable(sum, x []float32, rows, n, ld int) {
	sum = sum[:n]
	clear(sum)
	for r := range rows {
		x := x[r*ld:][:n]
		for c, v := range x {
			sum[c] += v
		}
	}
}

func scaleShiftPortable(y, x, scale, shift, res []float32, relu bool, rows, n, ld int) {
	for i := 0; i < rows*ld; i += ld {
		for c := range n {
			v := x[i+c]
			if scale != nil {
				v = float32(v * scale[c])
			}
			if shift != nil {
				v += shift[c]
			}
			if res != nil {
				v += res[i+c]
			}
			if relu && v < 0 {
				v = 0
			}
			y[i+c] = v
		}
	}
}

func bnReducePortable(sumDy, sumDyX, dy, y, x, mean []float32, rows, n, ld int) {
	sumDy, sumDyX, mean = sumDy[:n], sumDyX[:n], mean[:n]
	clear(sumDy)
	clear(sumDyX)
	for i := 0; i < rows*ld; i += ld {
		for c := range n {
			g := dy[i+c]
			if y != nil && y[i+c] <= 0 {
				g = 0
			}
			sumDy[c] += g
			sumDyX[c] += float32(g * (x[i+c] - mean[c]))
		}
	}
}

func bnGradPortable(dx, dres, sumDx, dy, y, x, a, b, d []float32, rows, n, ld int) {
	if sumDx != nil {
		clear(sumDx[:n])
	}
	for i := 0; i < rows*ld; i += ld {
		for c := range n {
			g := dy[i+c]
			if y != nil && y[i+c] <= 0 {
				g = 0
			}
			v := float32(a[c]*g) + (float32(b[c]*x[i+c]) + d[c])
			if dres != nil {
				dres[i+c] = g
			}
			if sumDx != nil {
				sumDx[c] += v
			}
			dx[i+c] = v
		}
	}
}
