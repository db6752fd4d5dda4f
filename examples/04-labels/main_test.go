package main

func Example() {
	main()
	// Output:
	// mean average precision above 0.95: true
	// the image has a square
	// the image has a cross
}
