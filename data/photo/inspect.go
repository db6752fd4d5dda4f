package photo

import "fmt"

// Inspect reads what a file says of itself, and decodes nothing.
func Inspect(content []byte, o Options) (info Info, err error) {
	defer stumbled(new(bool), &err)
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

// stumbled makes an error of the panic of a decoder over a damaged file, since most decoders
// are other modules' and index what a file says. It lets a panic pass while *called is set:
// then it comes from the caller's own function.
func stumbled(called *bool, err *error) {
	if *called {
		return
	}
	if r := recover(); r != nil {
		*err = fmt.Errorf("cannot be decoded (%v); give another file", r)
	}
}
