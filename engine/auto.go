package engine

// Auto stands for the precision that suits a model and a device best: INT8 for a quantised model
// where the device computes it, and otherwise the device's Preferred. Functions that open models
// accept it; Compile does not.
const Auto Precision = 255
