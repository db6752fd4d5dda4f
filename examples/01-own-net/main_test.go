package main

func Example() {
	main()
	// Output:
	// most test images are right: true
}
