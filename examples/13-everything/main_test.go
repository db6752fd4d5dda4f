package main

func Example() {
	main()
	// Output:
	// x within 2 pixels: true
	// y within 2 pixels: true
	// radius within 2 pixels: true
}
