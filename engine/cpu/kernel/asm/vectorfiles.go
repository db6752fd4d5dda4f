package main

// vectorFile writes the passes over activations.
func vectorFile(e *emitter) {
	e.maskTable()
	flatKernels(e)
	normKernels(&sweep{emitter: e})
	poolKernels(&sweep{emitter: e})
	if !e.wide() {
		transpose(e)
	}
}

// vectorBF16File writes the passes over activations in bfloat16.
func vectorBF16File(e *emitter) {
	e.maskTable()
	s := &sweep{emitter: e, onBF16: true}
	s.weaveTable()
	normKernels(s)
	poolKernels(s)
}
