package tensor

import "fmt"

// Misuse is what this module's packages panic with where an operation, a layer or a transform
// is given what it cannot take: shapes that do not fit, an index or a setting out of its range.
// It is a mistake of the program, unless the shape comes from a user or from a file; whatever
// computes for them, such as engine.Trace, nn.Summary and data.Loader, returns a Misuse as an
// error, and lets any other panic pass. A module, an operation or a transform of your own
// panics with one for the same reason:
//
//	panic(tensor.Misusef("Shuffle: %d channels in groups of %d", channels, groups))
type Misuse struct{ err error }

// Misusef returns a Misuse with the text of fmt.Errorf, which names the operation, the shapes
// and, where it can, what would fit.
func Misusef(format string, args ...any) *Misuse { return &Misuse{fmt.Errorf(format, args...)} }

// Error returns the text.
func (m *Misuse) Error() string { return m.err.Error() }

// Unwrap returns the error that the text was made of with %w, if any.
func (m *Misuse) Unwrap() error { return m.err }

// Recovered returns the Misuse of a panic, or nil if there was no panic. It panics again with
// any other value: a mistake that is nobody's input must not look like one.
//
//	defer func() {
//		if m := tensor.Recovered(recover()); m != nil {
//			err = m
//		}
//	}()
func Recovered(value any) *Misuse {
	switch v := value.(type) {
	case nil:
		return nil
	case *Misuse:
		return v
	}
	panic(value)
}
