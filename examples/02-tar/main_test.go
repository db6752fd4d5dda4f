package main

func Example() {
	main()
	// Output:
	// 2000 images in 10 classes
	// most test images are right: true
}
