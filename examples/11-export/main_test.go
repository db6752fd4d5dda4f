package main

func Example() {
	main()
	// Output:
	// package garments has model.go
	// package garments has model.onnx
	// 40 of 40 answers are the same
}
