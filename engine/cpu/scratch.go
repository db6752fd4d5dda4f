package cpu

// areas are the work areas of tasks, one for every thread of the device. Each is as large
// as the largest that a step of the program needs. A thread always has the same, which is then
// in its own cache.
type areas struct {
	size int
	all  memory
}

// need makes every area at least n elements large. It may be called only while steps are
// bound.
func (a *areas) need(n int) { a.size = max(a.size, n) }

// room returns the number of elements of all areas together.
func (a *areas) room(threads int) int { return threads * a.stride() }

func (a *areas) stride() int { return ceil(a.size, 16) * 16 }

// divide takes the areas from m. It is called once all steps are bound.
func (a *areas) divide(m memory) { a.all = m }

// of returns the area of a thread.
func (a *areas) of(thread int) memory { return a.all[thread*a.stride():][:a.size] }
