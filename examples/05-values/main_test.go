package main

func Example() {
	main()
	// Output:
	// mean absolute error below 1 pixel: true
	// x within 2 pixels: true
	// y within 2 pixels: true
	// radius within 2 pixels: true
}
