package main

// row is a line of the table before it is measured.
type row struct {
	id, title string
	unit      unit
	job       job
	ours      contender
	rivals    []contender
	trials    job // job of the short turns that choose among the rivals
	finalists int // number of rivals that take full turns
	memory    string
	memoryID  string // also relate peak memory, under this title and id
}

// peer is an interpreter with a library.
type peer struct {
	program string // torch, onnx or openvino; "" is Residual itself
	python  string
	version string
}

func (p peer) name() string {
	if p.program == "" {
		return ""
	}
	return p.program + " " + p.version
}
