package main

func Example() {
	main()
	// Output:
	// 0   Conv2d             [8, 6, 24, 24]
	// 1   BatchNorm2d        [8, 6, 24, 24]
	// 2   Sigmoid            [8, 6, 24, 24]
	// 3   MaxPool2d          [8, 6, 12, 12]
	// 4   Conv2d             [8, 16, 8, 8]
	// 5   BatchNorm2d        [8, 16, 8, 8]
	// 6   Sigmoid            [8, 16, 8, 8]
	// 7   MaxPool2d          [8, 16, 4, 4]
	// 8   Flatten            [8, 256]
	// 9   Linear             [8, 120]
	// 10  BatchNorm1d        [8, 120]
	// 11  Sigmoid            [8, 120]
	// 12  Linear             [8, 84]
	// 13  BatchNorm1d        [8, 84]
	// 14  Sigmoid            [8, 84]
	// 15  Linear             [8, 10]
	// a step along the gradient raises the logit: true
}
