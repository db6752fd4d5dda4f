package pth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/residual-ml/residual/weights/elements"
)

// The limits of a pickle are larger than any state dict requires.
const (
	maxPickle = 64 << 20 // bytes
	maxStack  = 1 << 16  // values waiting for a container
	maxDepth  = 1 << 10  // open containers, and tuples in tuples; about Python's own recursion limit
)

// errCut marks a pickle whose bytes end before its STOP opcode.
var errCut = errors.New("the pickle is cut short")

// machine evaluates a pickle. It knows only the opcodes that torch.save writes (protocols
// 2 to 5). The values it makes take memory in proportion to the pickle.
type machine struct {
	src      []byte
	where    string // the name of src in errors
	at       int    // offset of the next byte
	op       byte   // current opcode and its offset
	opAt     int
	frameEnd int
	spent    int // number of values copied
	stack    []any
	marks    []int
	memo     map[uint64]any
	// storage resolves a persistent id.
	storage func(id []any) (*storage, error)
}

// fault returns an error that names the current opcode and its position.
func (m *machine) fault(format string, args ...any) error {
	return fmt.Errorf("opcode %s at byte %d of %s: %w", opcodeName(m.op), m.opAt, m.where, fmt.Errorf(format, args...))
}

// take returns the next n bytes.
func (m *machine) take(n uint64) ([]byte, error) {
	if have := uint64(len(m.src) - m.at); n > have {
		return nil, m.fault("%w: it wants %d bytes where %d follow; %s", errCut, n, have, damaged)
	}
	b := m.src[m.at : m.at+int(n)]
	m.at += int(n)
	return b, nil
}

// number reads the next size bytes as an unsigned number.
func (m *machine) number(size uint64) (uint64, error) {
	b, err := m.take(size)
	if err != nil {
		return 0, err
	}
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:]), nil
}

// line reads up to the next newline and returns the text before it.
func (m *machine) line() (string, error) {
	const most = 1 << 10
	rest := m.src[m.at:]
	for i, c := range rest[:min(len(rest), most)] {
		if c == '\n' {
			m.at += i + 1
			return string(rest[:i]), nil
		}
	}
	if len(rest) < most {
		return "", m.fault("%w inside a name; %s", errCut, damaged)
	}
	return "", m.fault("a name of more than %d bytes; %s", most, damaged)
}

func (m *machine) push(v any) error {
	m.stack = append(m.stack, v)
	return nil
}

// floor is the lowest index of the stack that may be popped: above the last mark.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

// pop removes the n topmost values and returns them, lowest first. They are valid
// until the next push.
func (m *machine) pop(n int) ([]any, error) {
	low := len(m.stack) - n
	if low < m.floor() {
		return nil, m.fault("wants %d values, the stack has %d; %s", n, len(m.stack)-m.floor(), damaged)
	}
	vs := m.stack[low:]
	m.stack = m.stack[:low]
	return vs, nil
}

// popMark removes and returns the values above the last mark, and removes the mark.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, m.fault("there is no MARK before it; %s", damaged)
	}
	low := m.floor()
	m.marks = m.marks[:len(m.marks)-1]
	vs := m.stack[low:]
	m.stack = m.stack[:low]
	return vs, nil
}

// top returns the topmost value without removing it.
func (m *machine) top() (any, error) {
	if len(m.stack) == m.floor() {
		return nil, m.fault("the stack is empty; %s", damaged)
	}
	return m.stack[len(m.stack)-1], nil
}

// set stores pairs of keys and values in the container on top of the stack.
func (m *machine) set(pairs []any) error {
	container, err := m.top()
	if err != nil {
		return err
	}
	if len(pairs)%2 != 0 {
		return m.fault("a key without a value; %s", damaged)
	}
	d, ok := container.(*dict)
	if !ok {
		if _, ok := container.(*inert); ok {
			return nil
		}
		return m.fault("the target is %s and no dict; %s", kind(container), damaged)
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := m.put(d, pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) put(d *dict, key, value any) error {
	if text, ok := key.(string); ok {
		if _, twice := d.text[text]; twice {
			return m.fault("key %s occurs twice in one dict; %s", elements.Quote(text), damaged)
		}
		if d.text == nil {
			d.text = map[string]int{}
		}
		d.text[text] = len(d.keys)
	}
	d.keys = append(d.keys, key)
	d.values = append(d.values, value)
	return nil
}

// spend limits the number of values copied out of containers, which a few bytes of pickle
// could request again and again.
func (m *machine) spend(n int) error {
	if m.spent += n; m.spent > len(m.src) {
		return m.fault("copies more values than a pickle of %d bytes justifies; %s", len(m.src), damaged)
	}
	return nil
}

// extend appends to the list on top of the stack.
func (m *machine) extend(items []any) error {
	container, err := m.top()
	if err != nil {
		return err
	}
	switch c := container.(type) {
	case *list:
		c.items = append(c.items, items...)
	case *inert:
	default:
		return m.fault("the target is %s and no list; %s", kind(container), damaged)
	}
	return nil
}

// integer decodes a two's complement number of any length.
func integer(b []byte) any {
	if len(b) > 8 {
		return wide(b)
	}
	var full [8]byte
	copy(full[:], b)
	v := binary.LittleEndian.Uint64(full[:])
	if shift := 64 - 8*len(b); shift < 64 {
		return int64(v<<shift) >> shift
	}
	return int64(0)
}

func bigEndianFloat(b []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b)) }
