package main

func Example() {
	main()
	// Unordered output:
	// mean average precision above 0.95: true
	// the image has a square
	// the image has a cross
}
