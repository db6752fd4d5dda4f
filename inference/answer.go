package inference

// Answer is what a model says of one picture of a data set. The probabilities are no
// numbers where the network's output is none.
type Answer struct {
	Index       int     // of the picture in the data set
	Label       int     // its class
	Class       int     // the likeliest for the model
	Probability float64 // of Class, by the model
	Own         float64 // of Label, by the model
}
