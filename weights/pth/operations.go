package pth

import "slices"

const (
	opProto = 0x80
	opStop  = '.'
)

// operations are the permitted opcodes; a nil entry is refused. run itself handles STOP.
var operations = [256]func(*machine) error{
	opProto: (*machine).proto,
	0x95:    (*machine).frame,

	'N':  func(m *machine) error { return m.push(nil) },
	0x88: func(m *machine) error { return m.push(true) },
	0x89: func(m *machine) error { return m.push(false) },
	'K':  func(m *machine) error { return m.unsigned(1) },
	'M':  func(m *machine) error { return m.unsigned(2) },
	'J':  func(m *machine) error { return m.signed(4) },
	0x8a: func(m *machine) error { return m.long(1) },
	0x8b: func(m *machine) error { return m.long(4) },
	'G':  (*machine).float,

	0x8c: func(m *machine) error { return m.text(1) },
	'X':  func(m *machine) error { return m.text(4) },
	0x8d: func(m *machine) error { return m.text(8) },
	'U':  func(m *machine) error { return m.text(1) }, // a str of Python 2, like 'T'
	'T':  func(m *machine) error { return m.text(4) },
	'C':  func(m *machine) error { return m.bytes(1) },
	'B':  func(m *machine) error { return m.bytes(4) },
	0x8e: func(m *machine) error { return m.bytes(8) },
	0x96: func(m *machine) error { return m.bytes(8) },

	'(':  (*machine).mark,
	'0':  (*machine).discard,
	'1':  func(m *machine) error { _, err := m.popMark(); return err },
	')':  func(m *machine) error { return m.push(&tuple{}) },
	0x85: func(m *machine) error { return m.tuple(1) },
	0x86: func(m *machine) error { return m.tuple(2) },
	0x87: func(m *machine) error { return m.tuple(3) },
	't':  (*machine).tupleToMark,
	']':  func(m *machine) error { return m.push(&list{}) },
	'a':  (*machine).appendOne,
	'e':  (*machine).appendMany,
	'}':  func(m *machine) error { return m.push(&dict{}) },
	's':  (*machine).setOne,
	'u':  (*machine).setMany,
	0x8f: func(m *machine) error { return m.push(&inert{class: "set"}) },
	0x90: (*machine).appendMany,
	0x91: (*machine).frozenset,

	'q':  func(m *machine) error { return m.memoizeAs(1) },
	'r':  func(m *machine) error { return m.memoizeAs(4) },
	0x94: func(m *machine) error { return m.memoize(uint64(len(m.memo))) },
	'h':  func(m *machine) error { return m.get(1) },
	'j':  func(m *machine) error { return m.get(4) },

	'c':  (*machine).global,
	0x93: (*machine).stackGlobal,
	'R':  (*machine).reduce,
	0x81: (*machine).newObject,
	'b':  (*machine).build,
	'Q':  (*machine).persistent,
}

func (m *machine) proto() error {
	n, err := m.number(1)
	if err == nil && (n < 2 || n > 5) {
		err = m.fault("protocol %d; torch.save writes 2 to 5; %s", n, resave)
	}
	return err
}

// frame checks that frames lie inside the pickle and do not overlap.
func (m *machine) frame() error {
	n, err := m.number(8)
	if err != nil {
		return err
	}
	if m.opAt < m.frameEnd {
		return m.fault("is inside the frame that ends at byte %d; %s", m.frameEnd, damaged)
	}
	if have := uint64(len(m.src) - m.at); n > have {
		return m.fault("%w: a frame of %d bytes where %d follow; %s", errCut, n, have, damaged)
	}
	m.frameEnd = m.at + int(n)
	return nil
}

func (m *machine) unsigned(size uint64) error {
	n, err := m.number(size)
	if err != nil {
		return err
	}
	return m.push(int64(n))
}

func (m *machine) signed(size uint64) error {
	b, err := m.take(size)
	if err != nil {
		return err
	}
	return m.push(integer(b))
}

func (m *machine) long(size uint64) error {
	b, err := m.sized(size)
	if err != nil {
		return err
	}
	return m.push(integer(b))
}

func (m *machine) float() error {
	b, err := m.take(8)
	if err != nil {
		return err
	}
	return m.push(bigEndianFloat(b))
}

// sized reads a length of size bytes and then that many bytes.
func (m *machine) sized(size uint64) ([]byte, error) {
	n, err := m.number(size)
	if err != nil {
		return nil, err
	}
	return m.take(n)
}

func (m *machine) text(size uint64) error {
	b, err := m.sized(size)
	if err != nil {
		return err
	}
	return m.push(string(b))
}

func (m *machine) bytes(size uint64) error {
	b, err := m.sized(size)
	if err != nil {
		return err
	}
	return m.push(b)
}

func (m *machine) mark() error {
	if len(m.marks) == maxDepth {
		return m.fault("more than %d containers are nested; %s", maxDepth, damaged)
	}
	m.marks = append(m.marks, len(m.stack))
	return nil
}

func (m *machine) discard() error {
	_, err := m.pop(1)
	return err
}

func (m *machine) tuple(n int) error {
	vs, err := m.pop(n)
	if err != nil {
		return err
	}
	return m.pushTuple(vs)
}

func (m *machine) tupleToMark() error {
	vs, err := m.popMark()
	if err != nil {
		return err
	}
	return m.pushTuple(vs)
}

func (m *machine) pushTuple(vs []any) error {
	t := &tuple{items: slices.Clone(vs)}
	for _, v := range vs {
		if inner, ok := v.(*tuple); ok {
			t.depth = max(t.depth, inner.depth+1)
		}
	}
	if t.depth > maxDepth {
		return m.fault("more than %d tuples are nested; %s", maxDepth, damaged)
	}
	return m.push(t)
}

func (m *machine) appendOne() error {
	vs, err := m.pop(1)
	if err != nil {
		return err
	}
	return m.extend(vs)
}

func (m *machine) appendMany() error {
	vs, err := m.popMark()
	if err != nil {
		return err
	}
	return m.extend(vs)
}

func (m *machine) setOne() error {
	vs, err := m.pop(2)
	if err != nil {
		return err
	}
	return m.set(vs)
}

func (m *machine) setMany() error {
	vs, err := m.popMark()
	if err != nil {
		return err
	}
	return m.set(vs)
}

func (m *machine) frozenset() error {
	if _, err := m.popMark(); err != nil {
		return err
	}
	return m.push(&inert{class: "frozenset"})
}

func (m *machine) memoizeAs(size uint64) error {
	i, err := m.number(size)
	if err != nil {
		return err
	}
	return m.memoize(i)
}

// memoize stores the top of the stack under a number. Python 3 counts the numbers up from
// zero and Python 2 from one; no other numbers are accepted.
func (m *machine) memoize(i uint64) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	if i > uint64(len(m.memo))+1 {
		return m.fault("memo %d where %d is next; %s", i, len(m.memo), damaged)
	}
	m.memo[i] = v
	return nil
}

func (m *machine) get(size uint64) error {
	i, err := m.number(size)
	if err != nil {
		return err
	}
	v, ok := m.memo[i]
	if !ok {
		return m.fault("memo %d is not there, of %d; %s", i, len(m.memo), damaged)
	}
	return m.push(v)
}

func (m *machine) persistent() error {
	vs, err := m.pop(1)
	if err != nil {
		return err
	}
	id, ok := vs[0].(*tuple)
	if !ok {
		return m.fault("a persistent id that is %s and no tuple; %s", kind(vs[0]), damaged)
	}
	s, err := m.storage(id.items)
	if err != nil {
		return m.fault("%w", err)
	}
	return m.push(s)
}
