package conformance

import "testing"

// Run checks all operations that Residual's own networks use.
func Run(t *testing.T, check Check) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Check)
	}{
		{"Convolutions", convolutions}, {"ManyGroups", manyGroups}, {"Depthwise", depthwise}, {"Eights", eights}, {"Blocks", blocks}, {"OneImage", oneImage}, {"ReadTwice", readTwice}, {"Dense", dense}, {"Elementwise", elementwise}, {"Pools", pools},
		{"BatchNorm", batchNorm}, {"LossAndDropout", lossAndDropout}, {"ChannelsAndStochasticDepth", channelsAndStochasticDepth},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, check) })
	}
}

// RunAlphabet checks the elementary operations of user-defined and imported networks. A
// device may lack some of them; compiling a program then fails with an error that names
// them.
func RunAlphabet(t *testing.T, check Check) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Check)
	}{{"Functions", functions}, {"Moves", moves}, {"Reductions", reductions}, {"Matrices", matrices}, {"Normalisations", normalisations}, {"Interpolations", interpolations}, {"Choices", choices}} {
		t.Run(part.name, func(t *testing.T) { part.run(t, check) })
	}
}
