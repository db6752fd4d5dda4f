package inference

// Answer is a model's prediction for one image of a data set. The probabilities are NaN if
// the network's output is not finite.
type Answer struct {
	Index       int     // position of the image in the data set
	Label       int     // true class
	Class       int     // predicted class: the one with the highest probability
	Probability float64 // predicted probability of Class
	Own         float64 // predicted probability of Label
}
