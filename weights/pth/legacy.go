package pth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/residual-ml/residual/internal/filekind"
	"github.com/residual-ml/residual/weights/elements"
)

// legacyMagic starts a file of PyTorch before 1.6: a pickle of the number
// 0x1950a86a20f9469cfc6c.
const legacyMagic = "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

// readLegacy evaluates the pickles of a file of PyTorch before 1.6: the magic number, a
// version, the machine it was written on, the value, and the keys of the storages.
// After them come the storages, each preceded by its number of elements, always
// little-endian.
func readLegacy(r io.ReaderAt, size int64) (any, error) {
	// The length of the pickles is unknown, so the head grows until they end.
	for head := int64(1 << 16); ; head *= 4 {
		head = min(head, size, maxPickle)
		src := make([]byte, head)
		if err := elements.ReadFull(r, src, 0); err != nil {
			return nil, err
		}
		l := &legacy{known: map[string]*storage{}}
		value, end, err := l.run(src)
		if errors.Is(err, errCut) && head < size && head < maxPickle {
			continue
		}
		if err != nil {
			return nil, err
		}
		return value, l.place(r, int64(end), size)
	}
}

type legacy struct {
	known map[string]*storage
	keys  []any // in the order in which they are stored
}

// run returns the value and the offset at which the pickles end.
func (l *legacy) run(src []byte) (value any, end int, err error) {
	m := &machine{src: src, where: "the file", storage: l.storage}
	var parts [5]any
	for i := range parts {
		if parts[i], err = m.run(); err != nil {
			return nil, 0, err
		}
		if v, ok := parts[i].(int64); i == 1 && (!ok || v != 1001) {
			return nil, 0, fmt.Errorf("version %s of the old format, where 1001 belongs; %s", show(parts[i]), resave)
		}
	}
	keys, ok := parts[4].(*list)
	if !ok {
		return nil, 0, fmt.Errorf("%s in place of the list of storages; %s", kind(parts[4]), damaged)
	}
	l.keys = keys.items
	return parts[3], m.at, nil
}

// storage resolves a persistent id; place fills in the position of the elements later.
func (l *legacy) storage(id []any) (*storage, error) {
	s, err := storageID(id, 6)
	if err != nil {
		return nil, err
	}
	old, ok := l.known[s.key]
	if !ok {
		l.known[s.key] = s
		return s, nil
	}
	if old.dtype != s.dtype || old.bytes != s.bytes {
		return nil, fmt.Errorf("storage %s is %d bytes of %s here and %d of %s before; %s",
			elements.Quote(s.key), s.bytes, s.dtype, old.bytes, old.dtype, damaged)
	}
	return old, nil
}

// place finds the storages after the pickles.
func (l *legacy) place(r io.ReaderAt, at, size int64) error {
	placed := map[string]bool{}
	for _, k := range l.keys {
		key, ok := k.(string)
		s := l.known[key]
		if !ok || s == nil || placed[key] {
			return fmt.Errorf("the list of storages holds %s, which no tensor has or which it holds twice; %s", show(k), damaged)
		}
		placed[key] = true
		var count [8]byte
		if size-at < int64(len(count)) {
			return fmt.Errorf("storage %s lies behind the end of the file; the file is cut short, copy or download it again", elements.Quote(key))
		}
		if err := elements.ReadFull(r, count[:], at); err != nil {
			return err
		}
		at += int64(len(count))
		bits, _ := elements.Bits(s.dtype)
		if n := binary.LittleEndian.Uint64(count[:]); n != uint64(s.bytes/(bits/8)) {
			return fmt.Errorf("storage %s has %d elements at byte %d, where %d are expected; %s",
				elements.Quote(key), n, at, s.bytes/(bits/8), damaged)
		}
		if s.bytes > size-at {
			return fmt.Errorf("storage %s of %d bytes at %d in a file of %d; the file is cut short, copy or download it again",
				elements.Quote(key), s.bytes, at, size)
		}
		s.at = at
		at += s.bytes
	}
	if len(placed) != len(l.known) {
		return fmt.Errorf("%d storages for the %d that tensors have; %s", len(placed), len(l.known), damaged)
	}
	if at != size {
		return fmt.Errorf("%d bytes follow the last storage; %s", size-at, damaged)
	}
	return nil
}

// foreign recognises what is often mistaken for a checkpoint.
func foreign(head []byte, size int64) string {
	if what, ok := elements.Foreign(head); ok {
		return what
	}
	switch is, cut := elements.Safetensors(head, size); {
	case is || cut:
		return "is a safetensors file; read it with package weights or weights/safetensors"
	case filekind.Of(head) == filekind.Pickle:
		return "is a bare pickle, which may run anything and is not read; " + resave
	}
	return "is no checkpoint of torch.save: it begins neither as a zip archive nor as the format before PyTorch 1.6; " +
		"copy or download it again"
}
