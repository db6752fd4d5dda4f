package pth

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/residual-ml/residual/weights/elements"
)

// archive is the table of a checkpoint's zip file. torch.save writes one folder:
// data.pkl, byteorder, and the storages as data/0, data/1 and so on, all stored as
// they are. Checksums are not compared: torch.save can leave them out, and
// storages are read in parts.
type archive struct {
	folder  string
	records map[string]record // by their names in the folder
}

type record struct{ at, size int64 }

const encrypted = 1 // the flag of a zip entry

// readArchive accepts a table only when its entries are stored, lie apart inside
// the file, and have one folder and names of their own.
func readArchive(r io.ReaderAt, size int64) (*archive, error) {
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("reading the zip archive's table: %w; the file is cut short or damaged, copy or download it again", err)
	}
	a := &archive{records: make(map[string]record, len(z.File))}
	for _, f := range z.File {
		if err := a.add(f, size); err != nil {
			return nil, fmt.Errorf("entry %s: %w", elements.Quote(f.Name), err)
		}
	}
	if err := a.checkApart(); err != nil {
		return nil, err
	}
	if _, ok := a.records["data.pkl"]; !ok {
		return nil, fmt.Errorf("the archive holds no data.pkl, so torch.save did not write it; %s", resave)
	}
	if _, ok := a.records["constants.pkl"]; ok {
		return nil, fmt.Errorf("the archive is a TorchScript program, which holds code; %s", resave)
	}
	return a, nil
}

func (a *archive) add(f *zip.File, fileSize int64) error {
	folder, name, ok := strings.Cut(f.Name, "/")
	if !ok || folder == "" || strings.Contains(f.Name, `\`) || slices.Contains(strings.Split(f.Name, "/"), "..") {
		return fmt.Errorf("its name is no path inside the archive's folder; %s", damaged)
	}
	if a.folder == "" {
		a.folder = folder
	}
	if folder != a.folder {
		return fmt.Errorf("lies outside the folder %s of the first entry; %s", elements.Quote(a.folder), damaged)
	}
	if _, twice := a.records[name]; twice {
		return fmt.Errorf("stands twice in the archive; %s", damaged)
	}
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return fmt.Errorf("is compressed (method %d, %d bytes that would become %d), torch.save stores; %s",
			f.Method, f.CompressedSize64, f.UncompressedSize64, resave)
	}
	if f.Flags&encrypted != 0 {
		return fmt.Errorf("is encrypted; %s", resave)
	}
	at, err := f.DataOffset()
	if err != nil {
		return fmt.Errorf("reading its header: %w; %s", err, damaged)
	}
	if at < 0 || at > fileSize || f.UncompressedSize64 > uint64(fileSize-at) {
		return fmt.Errorf("%d bytes at %d in a file of %d; the file is cut short, copy or download it again",
			f.UncompressedSize64, at, fileSize)
	}
	a.records[name] = record{at, int64(f.UncompressedSize64)}
	return nil
}

// checkApart refuses entries that share bytes, by which a small file could claim
// to be a large one.
func (a *archive) checkApart() error {
	type span struct {
		record
		name string
	}
	spans := make([]span, 0, len(a.records))
	for name, r := range a.records {
		if r.size > 0 {
			spans = append(spans, span{r, name})
		}
	}
	slices.SortFunc(spans, func(x, y span) int {
		if x.at != y.at {
			return int(max(min(x.at-y.at, 1), -1))
		}
		return strings.Compare(x.name, y.name)
	})
	for i := 1; i < len(spans); i++ {
		if before := spans[i-1]; before.at+before.size > spans[i].at {
			return fmt.Errorf("entry %s: begins at byte %d, inside %s; %s",
				elements.Quote(a.folder+"/"+spans[i].name), spans[i].at, elements.Quote(before.name), damaged)
		}
	}
	return nil
}

// readZip runs data.pkl of a zip file and returns its value, and whether the
// storages are big-endian.
func readZip(r io.ReaderAt, size int64) (value any, bigEndian bool, err error) {
	a, err := readArchive(r, size)
	if err != nil {
		return nil, false, err
	}
	if bigEndian, err = a.bigEndian(r); err != nil {
		return nil, false, err
	}
	pickle := a.records["data.pkl"]
	if pickle.size > maxPickle {
		return nil, false, fmt.Errorf("data.pkl of %d bytes, more than the %d allowed; %s", pickle.size, maxPickle, resave)
	}
	src := make([]byte, pickle.size)
	if err := elements.ReadFull(r, src, pickle.at); err != nil {
		return nil, false, err
	}
	m := &machine{src: src, where: "data.pkl", storage: a.storages()}
	if value, err = m.run(); err != nil {
		return nil, false, err
	}
	if rest := len(src) - m.at; rest > 0 {
		return nil, false, m.fault("%d bytes follow; %s", rest, damaged)
	}
	return value, bigEndian, nil
}

func (a *archive) bigEndian(r io.ReaderAt) (bool, error) {
	order, ok := a.records["byteorder"]
	if !ok { // before PyTorch 2.1, which no big-endian machine of note ran
		return false, nil
	}
	text := make([]byte, min(order.size, 16))
	if err := elements.ReadFull(r, text, order.at); err != nil {
		return false, err
	}
	switch string(text) {
	case "little":
		return false, nil
	case "big":
		return true, nil
	}
	return false, fmt.Errorf("byteorder is %s, neither little nor big; %s", elements.Quote(string(text)), damaged)
}

// storages answers persistent ids by the archive's records.
func (a *archive) storages() func(id []any) (*storage, error) {
	type named struct {
		key, dtype string
		bytes      int64
	}
	known := map[named]*storage{}
	return func(id []any) (*storage, error) {
		s, err := storageID(id, 5)
		if err != nil {
			return nil, err
		}
		name := named{s.key, s.dtype, s.bytes}
		if old, ok := known[name]; ok {
			return old, nil
		}
		r, ok := a.records["data/"+s.key]
		if !ok {
			return nil, fmt.Errorf("storage %s is not in the archive; %s", elements.Quote(s.key), damaged)
		}
		// A storage may have a few bytes more than its elements fill.
		bits, _ := elements.Bits(s.dtype)
		if r.size/(bits/8) != s.bytes/(bits/8) {
			return nil, fmt.Errorf("storage %s has %d bytes in the archive, where its elements take %d; %s",
				elements.Quote(s.key), r.size, s.bytes, damaged)
		}
		s.at = r.at
		known[name] = s
		return s, nil
	}
}
