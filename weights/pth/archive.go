package pth

import (
	"fmt"
	"io"
	"strings"

	"github.com/residual-ml/residual/weights/elements"
)

// archive is the directory of a checkpoint's zip file. torch.save writes one folder with
// data.pkl, byteorder, and the storages as data/0, data/1 and so on. Checksums are not
// compared: torch.save may leave them out, and storages are read in parts.
type archive struct {
	folder  string
	records map[string]elements.Entry // by their names in the folder
}

// readArchive accepts only archives whose entries are all in one folder.
func readArchive(r io.ReaderAt, size int64) (*archive, error) {
	entries, err := elements.ReadZip(r, size)
	if err != nil {
		return nil, err
	}
	a := &archive{records: make(map[string]elements.Entry, len(entries))}
	for i, e := range entries {
		folder, name, ok := strings.Cut(e.Name, "/")
		if i == 0 {
			a.folder = folder
		}
		if !ok || folder != a.folder {
			return nil, fmt.Errorf("entry %s: lies outside the folder %s of the first entry; %s",
				elements.Quote(e.Name), elements.Quote(a.folder), damaged)
		}
		a.records[name] = e
	}
	if _, ok := a.records["data.pkl"]; !ok {
		return nil, fmt.Errorf("the archive holds no data.pkl, so torch.save did not write it; %s", resave)
	}
	if _, ok := a.records["constants.pkl"]; ok {
		return nil, fmt.Errorf("the archive is a TorchScript program, which holds code; %s", resave)
	}
	return a, nil
}

// readZip evaluates data.pkl of a zip file. It returns the value, and whether the storages
// are big-endian.
func readZip(r io.ReaderAt, size int64) (value any, bigEndian bool, err error) {
	a, err := readArchive(r, size)
	if err != nil {
		return nil, false, err
	}
	if bigEndian, err = a.bigEndian(r); err != nil {
		return nil, false, err
	}
	pickle := a.records["data.pkl"]
	if pickle.Size > maxPickle {
		return nil, false, fmt.Errorf("data.pkl of %d bytes, more than the %d allowed; %s", pickle.Size, maxPickle, resave)
	}
	src := make([]byte, pickle.Size)
	if err := elements.ReadFull(r, src, pickle.At); err != nil {
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
	if !ok { // before PyTorch 2.1, which was not used on big-endian machines
		return false, nil
	}
	text := make([]byte, min(order.Size, 16))
	if err := elements.ReadFull(r, text, order.At); err != nil {
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

// storages resolves persistent ids to the archive's records.
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
		// A storage may have a few bytes more than its elements need.
		bits, _ := elements.Bits(s.dtype)
		if r.Size/(bits/8) != s.bytes/(bits/8) {
			return nil, fmt.Errorf("storage %s has %d bytes in the archive, where its elements take %d; %s",
				elements.Quote(s.key), r.Size, s.bytes, damaged)
		}
		s.at = r.At
		known[name] = s
		return s, nil
	}
}
