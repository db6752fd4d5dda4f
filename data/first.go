package data

// First returns the first n pictures of ds, or all where n is 0 or there are
// fewer.
func First(ds Dataset, n int) Dataset {
	if n <= 0 || n >= ds.Len() {
		return ds
	}
	return first{ds, n}
}

// first is a data set cut short.
type first struct {
	Dataset
	n int
}

func (f first) Len() int { return f.n }
