package main

func Example() {
	main()
	// Output:
	// fc.0.weight was trained
	// fc.0.bias was trained
	// fc.3.weight was trained
	// fc.3.bias was trained
}
