package photo

import "fmt"

// Inspect reads the headers of a file without decoding the image. It returns an error for files
// that are not images and for images beyond the limits of o.
func Inspect(content []byte, o Options) (info Info, err error) {
	defer recoverPanic(new(bool), &err)
	f, err := formatOf(content)
	if err != nil {
		return info, err
	}
	width, height, err := f.size(content)
	if err != nil {
		return info, undecodable(f.name, err)
	}
	info = Info{f.name, width, height, orientation(f.name, content)}
	if info.Width < 1 || info.Height < 1 {
		return info, fmt.Errorf("has no pixels (%dx%d)", info.Width, info.Height)
	}
	return info, o.within(info.Width, info.Height)
}

// recoverPanic turns a panic in a decoder into an error, since most decoders come from other
// modules and may panic on damaged files. It does not recover while *called is true, since the
// panic then comes from a function of the caller.
func recoverPanic(called *bool, err *error) {
	if *called {
		return
	}
	if r := recover(); r != nil {
		*err = fmt.Errorf("cannot be decoded (%v); give another file", r)
	}
}
