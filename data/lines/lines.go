// Package lines reads the text files that people and other programs write: lists of
// images, names of classes, paths. It is the one place that knows how such text may be
// encoded, where a line ends, and when two names are the same.
package lines

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// Longest is the most bytes that a line may have in UTF-8. A longer one is an error,
// so that a file that is no text takes no memory and is not repeated in a message.
const Longest = 1 << 20

// Reader reads text line by line. The text is UTF-8, or UTF-16 or UTF-32 with a byte
// order mark, from which it is decoded. Lines end with LF, CR LF or CR; a byte order
// mark at the start of a line is left out, wherever files were put together. A line with
// a zero byte or of more than Longest bytes is an error, as is UTF-16 or UTF-32 that is
// not valid. Other bytes are as they are: a path need not be UTF-8, and who wants text
// asks Check.
type Reader struct {
	in      *bufio.Reader
	begun   bool
	width   int              // bytes of a code unit
	order   binary.ByteOrder // of units of two and four bytes
	afterCR bool             // an LF that comes next is of the line before

	number int // of the line that Next returned last
	peeked bool
	line   []byte
	err    error // of the line; sticky

	rest   []byte // of the line, for Read
	record int    // bytes that Read gave since StartRecord
}

// NewReader returns a Reader of r, from which it reads ahead.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReader(r)} }

// Number is that of the line that Next returned last; the first is 1.
func (r *Reader) Number() int { return r.number }

// Next returns the next line without its end, and io.EOF after the last. Its errors name
// the line.
func (r *Reader) Next() (string, error) {
	line, err := r.Peek()
	r.peeked = false
	return line, err
}

// Peek returns the line that Next will return.
func (r *Reader) Peek() (string, error) {
	if !r.peeked && r.err == nil {
		r.number++
		if r.err = r.read(); r.err != nil && r.err != io.EOF {
			r.err = fmt.Errorf("line %d: %w", r.number, r.err)
		}
	}
	r.peeked = true
	if r.err != nil {
		return "", r.err
	}
	return string(r.line), nil
}

// StartRecord tells Read that a record of lines begins, which has at most Longest bytes.
func (r *Reader) StartRecord() { r.record = 0 }

// Read implements io.Reader for parsers such as encoding/csv's: the same lines, each
// with an LF at its end. One call returns bytes of one line.
func (r *Reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		line, err := r.Next()
		if err != nil {
			return 0, err
		}
		if r.record += len(line) + 1; r.record > Longest {
			r.err = fmt.Errorf("line %d: the record has more than %d bytes; look for a quote without an end", r.number, Longest)
			return 0, r.err
		}
		r.rest = append([]byte(line), '\n')
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

var (
	errLong = fmt.Errorf("has more than %d bytes; check that the file is text, with line feeds at the ends of its lines", Longest)
	errZero = errors.New("has a zero byte; save the file as text in UTF-8, or in UTF-16 with a byte order mark")
	errWide = errors.New("is not valid in the encoding that the byte order mark of the file announces; save the file as UTF-8")
)

// read reads a line into r.line.
func (r *Reader) read() error {
	if !r.begun {
		r.begun = true
		r.detect()
	}
	r.line = r.line[:0]
	some := false // of the line has been read, if only its end
	for {
		if err := r.unit(); err != nil {
			if err == io.EOF && some {
				err = nil
			}
			return err
		}
		last := len(r.line) - 1
		switch c := r.line[last]; {
		case c == '\n' && r.afterCR && !some:
			r.line, r.afterCR = r.line[:0], false
			continue
		case c == '\n' || c == '\r':
			r.line, r.afterCR = r.line[:last], c == '\r'
			return nil
		case c == 0:
			return errZero
		case len(r.line) > Longest:
			return errLong
		}
		r.afterCR, some = false, true
		if string(r.line) == mark {
			r.line, some = r.line[:0], false
		}
	}
}

const mark = "\ufeff" // the byte order mark, in UTF-8

// detect finds a byte order mark other than UTF-8's, which read leaves out. It waits for
// no more bytes than it must: the lines may come from a program that waits for an answer.
func (r *Reader) detect() {
	r.width = 1
	for _, m := range []struct {
		bytes string
		width int
		order binary.ByteOrder
	}{ // UTF-32 before UTF-16, whose mark it begins with
		{"\xff\xfe\x00\x00", 4, binary.LittleEndian}, {"\x00\x00\xfe\xff", 4, binary.BigEndian},
		{"\xff\xfe", 2, binary.LittleEndian}, {"\xfe\xff", 2, binary.BigEndian},
	} {
		n := 1
		for ; n <= len(m.bytes); n++ {
			if head, err := r.in.Peek(n); err != nil || string(head) != m.bytes[:n] {
				break
			}
		}
		if n > len(m.bytes) {
			_, _ = r.in.Discard(len(m.bytes)) // they were peeked at
			r.width, r.order = m.width, m.order
			return
		}
	}
}

// unit appends the next byte, or the next character of wider code units, to r.line.
func (r *Reader) unit() error {
	if r.width == 1 {
		b, err := r.in.ReadByte()
		if err == nil {
			r.line = append(r.line, b)
		}
		return err
	}
	c, err := r.wide()
	if err != nil {
		return err
	}
	if r.width == 2 && utf16.IsSurrogate(c) {
		low, err := r.wide()
		if c = utf16.DecodeRune(c, low); err != nil || c == utf8.RuneError {
			return errWide
		}
	}
	if !utf8.ValidRune(c) {
		return errWide
	}
	r.line = utf8.AppendRune(r.line, c)
	return nil
}

// wide reads a code unit of two or four bytes.
func (r *Reader) wide() (rune, error) {
	var b [4]byte
	n, err := io.ReadFull(r.in, b[:r.width])
	switch {
	case n > 0 && errors.Is(err, io.ErrUnexpectedEOF):
		return 0, errWide
	case err != nil:
		return 0, err
	case r.width == 2:
		return rune(r.order.Uint16(b[:])), nil
	}
	if c := r.order.Uint32(b[:]); c <= utf8.MaxRune {
		return rune(c), nil
	}
	return 0, errWide
}

// Check returns an error that says what to do unless s is UTF-8.
func Check(s string) error {
	if utf8.ValidString(s) {
		return nil
	}
	return fmt.Errorf("%q is not UTF-8; save the file in that encoding (in Excel: CSV UTF-8)", Short(s))
}
