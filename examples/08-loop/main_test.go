package main

func Example() {
	main()
	// Output:
	// the same bits: true
}
