package elements

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"unsafe"
)

// Mapped reads a file through a mapping into memory, so that what is read is copied
// once, from the system's cache to where it stays. Where a file cannot be mapped it
// is read instead. ReadAt may be called from several goroutines at once, but not
// beside Close.
type Mapped struct {
	file *os.File
	data []byte // nil where the file is not mapped
}

// Map maps the size bytes of a file. The Mapped takes the file over, and Close
// closes it.
func Map(file *os.File, size int64) *Mapped {
	m := &Mapped{file: file}
	if size > 0 && size < math.MaxInt/4 { // leaves a 32-bit machine room for the copies
		m.data, _ = mapFile(file, int(size)) // a file system may not have it
	}
	return m
}

// errCut is the fate of a file under its reader.
var errCut = errors.New("the file was cut short after it was opened")

// ReadAt copies bytes out of the file. That the file is no longer as long as it was,
// or cannot be read where it lies, is an error.
func (m *Mapped) ReadAt(p []byte, off int64) (n int, err error) {
	if m.data == nil {
		return m.file.ReadAt(p, off)
	}
	if off < 0 || off > int64(len(m.data)) {
		return 0, io.EOF
	}
	if n, err = copyMapped(p, m.data[off:]); err != nil {
		return 0, err
	}
	// The rest of the last page reads as zeros when a file is cut within it.
	if st, err := m.file.Stat(); err != nil {
		return 0, err
	} else if st.Size() < off+int64(n) {
		return 0, errCut
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// copyMapped copies from a mapping. A page that the file has lost, or that the disk
// does not give, is a fault, which would end the program.
func copyMapped(dst, mapped []byte) (n int, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		what := recover()
		if what == nil {
			return
		}
		fault, ok := what.(interface{ Addr() uintptr })
		begin := uintptr(unsafe.Pointer(unsafe.SliceData(mapped)))
		if !ok || fault.Addr() < begin || fault.Addr() >= begin+uintptr(len(mapped)) {
			panic(what)
		}
		n, err = 0, fmt.Errorf("%w, or the disk fails", errCut)
	}()
	return copy(dst, mapped), nil
}

// Close ends the mapping and closes the file; ReadAt is an error from then on.
func (m *Mapped) Close() error {
	data := m.data
	m.data = nil
	return errors.Join(unmap(data), m.file.Close())
}
