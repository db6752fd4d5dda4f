package main

func Example() {
	main()
	// Output:
	// package garments
	// garments.onnx answers as the network does: true
	// model.onnx answers as the network does: true
}
