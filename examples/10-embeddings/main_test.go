package main

func Example() {
	main()
	// Output:
	// 600 images, 84 numbers each
	// at least three times as many as by chance: true
}
