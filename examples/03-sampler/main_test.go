package main

func Example() {
	main()
	// Output:
	// the weighted sampler finds more of the rare classes: true
}
