package cpu

// areas are the work areas of tasks, one for every thread of the device. Each is as large
// as the largest that a step of the program needs.
type areas struct {
	size int
	free chan memory
}

// need makes every area at least n elements large. It may be called only while steps are
// bound.
func (a *areas) need(n int) { a.size = max(a.size, n) }

// room returns the number of elements of all areas together.
func (a *areas) room(threads int) int { return threads * a.stride() }

func (a *areas) stride() int { return ceil(a.size, 16) * 16 }

// divide takes the areas from m. It is called once all steps are bound.
func (a *areas) divide(m memory, threads int) {
	a.free = make(chan memory, threads)
	for i := range threads {
		a.free <- m[i*a.stride():][:a.size]
	}
}

func (a *areas) get() memory { return <-a.free }

func (a *areas) put(m memory) { a.free <- m }
