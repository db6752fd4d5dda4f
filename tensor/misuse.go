package tensor

import "fmt"

// Misuse is the value of a panic about wrong arguments of an operation, a layer or a
// transform: shapes that do not fit, or an index or a setting that is out of range. Usually it
// means a mistake in the program. But shapes may also come from a user or a file. Therefore
// functions such as engine.Trace, nn.Summary and data.Loader return a Misuse as an error; they
// do not recover any other panic. Your own modules, operations and transforms should panic
// with a Misuse, too:
//
//	panic(tensor.Misusef("Shuffle: %d channels in groups of %d", channels, groups))
type Misuse struct{ err error }

// Misusef returns a Misuse with the text of fmt.Errorf. The text should name the operation, the
// shapes and, if possible, what would fit.
func Misusef(format string, args ...any) *Misuse { return &Misuse{fmt.Errorf(format, args...)} }

// Error returns the text.
func (m *Misuse) Error() string { return m.err.Error() }

// Unwrap returns the error that the format wraps with %w, if any.
func (m *Misuse) Unwrap() error { return m.err }

// Recovered returns the Misuse of a panic, given the value of recover, or nil if there was no
// panic. It panics again with any other value, so that a bug does not look like bad input.
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
