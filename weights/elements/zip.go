package elements

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Entry is a file in a zip archive, stored uncompressed at an offset.
type Entry struct {
	Name     string
	At, Size int64
}

const (
	encrypted = 1 // a flag of a zip entry

	cutShort    = "the file is cut short or damaged; copy or download it again"
	zipDamaged  = "the file is damaged or was made to harm; copy, download or save it again"
	storeInside = "save it again without compression, as torch.save and numpy.savez do"
)

// ReadZip reads the directory of a zip archive of size bytes, in its order. It accepts
// only entries that are uncompressed, have distinct names inside the archive, and do not
// overlap, so their total size never exceeds the file's. Folders are left out. Checksums
// are not compared.
func ReadZip(r io.ReaderAt, size int64) ([]Entry, error) {
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("reading the zip archive's table: %w; %s", err, cutShort)
	}
	entries := make([]Entry, 0, len(z.File))
	seen := make(map[string]bool, len(z.File))
	for _, f := range z.File {
		e, err := readEntry(f, size)
		if err == nil && seen[f.Name] {
			err = fmt.Errorf("occurs twice in the archive; %s", zipDamaged)
		}
		if err != nil {
			return nil, fmt.Errorf("entry %s: %w", Quote(f.Name), err)
		}
		seen[f.Name] = true
		if !strings.HasSuffix(f.Name, "/") || e.Size > 0 {
			entries = append(entries, e)
		}
	}
	return entries, checkApart(entries)
}

func readEntry(f *zip.File, fileSize int64) (Entry, error) {
	if f.Name == "" || strings.HasPrefix(f.Name, "/") || strings.ContainsAny(f.Name, "\\\x00") ||
		slices.Contains(strings.Split(f.Name, "/"), "..") {
		return Entry{}, fmt.Errorf("its name is no path inside the archive; %s", zipDamaged)
	}
	if f.Method != zip.Store && strings.Contains(f.Name, "/code/") { // torch.jit.save compresses only the code
		return Entry{}, fmt.Errorf("is code of a TorchScript program, which is not run; load it by torch.jit.load and save its state_dict() alone with torch.save")
	}
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return Entry{}, fmt.Errorf("is compressed (method %d, %d bytes that would become %d); %s",
			f.Method, f.CompressedSize64, f.UncompressedSize64, storeInside)
	}
	if f.Flags&encrypted != 0 {
		return Entry{}, fmt.Errorf("is encrypted; %s", storeInside)
	}
	at, err := f.DataOffset()
	if err != nil {
		return Entry{}, fmt.Errorf("reading its header: %w; %s", err, zipDamaged)
	}
	if at < 0 || at > fileSize || f.UncompressedSize64 > uint64(fileSize-at) {
		return Entry{}, fmt.Errorf("%d bytes at %d in a file of %d; %s", f.UncompressedSize64, at, fileSize, cutShort)
	}
	return Entry{f.Name, at, int64(f.UncompressedSize64)}, nil
}

// checkApart refuses overlapping entries, by which a small file could claim to be a large
// one.
func checkApart(entries []Entry) error {
	spans := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Size == 0 })
	slices.SortFunc(spans, func(x, y Entry) int { return cmp.Or(cmp.Compare(x.At, y.At), strings.Compare(x.Name, y.Name)) })
	for i := 1; i < len(spans); i++ {
		if before := spans[i-1]; before.At+before.Size > spans[i].At {
			return fmt.Errorf("entry %s: begins at byte %d, inside %s; %s", Quote(spans[i].Name), spans[i].At, Quote(before.Name), zipDamaged)
		}
	}
	return nil
}
