// Package lines reads text files that people and other programs write: lists of images, names
// of classes, paths. It decodes every Unicode encoding and every kind of line end, and it
// decides when two names are the same.
//
// A Reader reads line by line:
//
//	r := lines.NewReader(f)
//	for {
//		line, err := r.Next() // io.EOF after the last line
//		...
//	}
//
// Names reads a file of class names, Name and ClassName normalise one name, and Path finds the
// file that a line means.
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

// Longest is the largest length of a line in bytes of UTF-8. A longer line is an error, so that a
// file that is not text does not fill the memory or an error message.
const Longest = 1 << 20

// Reader reads text line by line. The text is UTF-8, or UTF-16 or UTF-32 with a byte order mark.
// Lines end with LF, CR LF or CR. A byte order mark at the start of any line is removed, since
// files may have been concatenated. A line with a zero byte or with more than Longest bytes is an
// error, and so is invalid UTF-16 or UTF-32. Other bytes are not checked, since a path need not
// be UTF-8; Check does that.
type Reader struct {
	in       *bufio.Reader
	detected bool
	width    int              // the size of a code unit in bytes
	order    binary.ByteOrder // the byte order of code units of two and four bytes
	afterCR  bool             // an LF that comes next belongs to the previous line

	number int // the number of the line that Next returned last
	peeked bool
	line   []byte
	err    error // the error of the line; sticky

	unread []byte // the bytes of the line that Read has not returned yet
	record int    // how many bytes Read has returned since StartRecord
}

// NewReader returns a Reader of r. It may read ahead.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReader(r)} }

// Number returns the number of the line that Next returned last. The first line is 1.
func (r *Reader) Number() int { return r.number }

// Next returns the next line without its line end, and io.EOF after the last one. Errors contain
// the line number.
func (r *Reader) Next() (string, error) {
	line, err := r.Peek()
	r.peeked = false
	return line, err
}

// Peek returns the line that the next call of Next returns.
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

// StartRecord tells Read that a new record begins. A record may have several lines, but at most
// Longest bytes.
func (r *Reader) StartRecord() { r.record = 0 }

// Read implements io.Reader for parsers such as that of encoding/csv. It returns the lines with an
// LF at the end of each; one call returns bytes of one line.
func (r *Reader) Read(p []byte) (int, error) {
	if len(r.unread) == 0 {
		line, err := r.Next()
		if err != nil {
			return 0, err
		}
		if r.record += len(line) + 1; r.record > Longest {
			r.err = fmt.Errorf("line %d: the record has more than %d bytes; look for a quote without an end", r.number, Longest)
			return 0, r.err
		}
		r.unread = append([]byte(line), '\n')
	}
	n := copy(p, r.unread)
	r.unread = r.unread[n:]
	return n, nil
}

var (
	errLong    = fmt.Errorf("has more than %d bytes; check that the file is text, with line feeds at the ends of its lines", Longest)
	errZero    = errors.New("has a zero byte; save the file as text in UTF-8, or in UTF-16 with a byte order mark")
	errInvalid = errors.New("is not valid in the encoding that the byte order mark of the file announces; save the file as UTF-8")
)

// read reads a line into r.line.
func (r *Reader) read() error {
	if !r.detected {
		r.detected = true
		r.detect()
	}
	r.line = r.line[:0]
	started := false // a part of the line has been read
	for {
		if err := r.unit(); err != nil {
			if err == io.EOF && started {
				err = nil
			}
			return err
		}
		last := len(r.line) - 1
		switch c := r.line[last]; {
		case c == '\n' && r.afterCR && !started:
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
		r.afterCR, started = false, true
		if string(r.line) == byteOrderMark {
			r.line, started = r.line[:0], false
		}
	}
}

const byteOrderMark = "\ufeff" // the byte order mark, in UTF-8

// detect detects a byte order mark of UTF-16 or UTF-32; read removes that of UTF-8. It reads no
// more bytes than necessary, since the lines may come from a program that waits for an answer.
func (r *Reader) detect() {
	r.width = 1
	for _, m := range []struct {
		bytes string
		width int
		order binary.ByteOrder
	}{ // UTF-32 comes first, since its mark begins with that of UTF-16
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
			_, _ = r.in.Discard(len(m.bytes)) // cannot fail after Peek
			r.width, r.order = m.width, m.order
			return
		}
	}
}

// unit appends the next byte of UTF-8, or the next character of UTF-16 or UTF-32, to r.line.
func (r *Reader) unit() error {
	if r.width == 1 {
		b, err := r.in.ReadByte()
		if err == nil {
			r.line = append(r.line, b)
		}
		return err
	}
	c, err := r.codeUnit()
	if err != nil {
		return err
	}
	if r.width == 2 && utf16.IsSurrogate(c) {
		low, err := r.codeUnit()
		if c = utf16.DecodeRune(c, low); err != nil || c == utf8.RuneError {
			return errInvalid
		}
	}
	if !utf8.ValidRune(c) {
		return errInvalid
	}
	r.line = utf8.AppendRune(r.line, c)
	return nil
}

// codeUnit reads a code unit of two or four bytes.
func (r *Reader) codeUnit() (rune, error) {
	var b [4]byte
	n, err := io.ReadFull(r.in, b[:r.width])
	switch {
	case n > 0 && errors.Is(err, io.ErrUnexpectedEOF):
		return 0, errInvalid
	case err != nil:
		return 0, err
	case r.width == 2:
		return rune(r.order.Uint16(b[:])), nil
	}
	if c := r.order.Uint32(b[:]); c <= utf8.MaxRune {
		return rune(c), nil
	}
	return 0, errInvalid
}

// Check returns an error with the next step unless s is valid UTF-8.
func Check(s string) error {
	if utf8.ValidString(s) {
		return nil
	}
	return fmt.Errorf("%q is not UTF-8; save the file in that encoding (in Excel: CSV UTF-8)", Short(s))
}
