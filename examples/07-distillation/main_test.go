package main

func Example() {
	main()
	// Output:
	// the teacher answers most images rightly: true
	// so do the students: true true
}
