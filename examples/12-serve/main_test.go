package main

func Example() {
	main()
	// Output:
	// 32 of 32 answers have the same bits
	// 422 Unprocessable Entity the image is not a JPEG, PNG, GIF, WebP, BMP or TIFF file; convert it to one of these
}
