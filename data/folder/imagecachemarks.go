package folder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/residual-ml/residual/internal/regular"
)

// marksFile lies beside the files of a cache: the marks of files whose content the cache has,
// where they are no longer as those say. A copy, a move or another time is then found once,
// by reading the file, and not at every start. It is a line with marksMagic and the CRC-32C
// of what follows, and then JSON: marks by name. Losing it costs time alone.
const (
	marksFile  = "files.marks"
	marksMagic = "residual marks 1"
	maxMarks   = 1 << 30
)

// readMarks adds the marks of the file, if there is one.
func (p *ImageCache) readMarks() error {
	path := filepath.Join(p.Dir, marksFile)
	content, err := regular.ReadFile(path, maxMarks)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	head, text, _ := bytes.Cut(content, []byte("\n"))
	var marks map[string]Mark
	if string(head) != marksHead(text) || json.Unmarshal(text, &marks) != nil {
		p.damaged(path)
		return nil
	}
	maps.Copy(p.marks, marks)
	return nil
}

func marksHead(text []byte) string {
	return fmt.Sprintf("%s %08x", marksMagic, crc32.Checksum(text, castagnoli))
}

// keepMarks writes the marks of an index's files when some are new. That it fails is no
// matter: the files are read again.
func (p *ImageCache) keepMarks(x *Index) {
	if p.c.ReadOnly || len(p.files) == 0 {
		return
	}
	marks, news := map[string]Mark{}, false
	for _, it := range x.Items {
		if it.Mark.Identity != "" && p.images[it.Mark.SHA256] != nil {
			marks[it.Name] = it.Mark
			news = news || p.marks[it.Name].Identity != it.Mark.Identity || p.marks[it.Name].SHA256 != it.Mark.SHA256
		}
	}
	if !news {
		return
	}
	maps.Copy(p.marks, marks)
	text, err := json.Marshal(marks)
	if err != nil || len(text) > maxMarks/2 {
		return
	}
	f, err := os.CreateTemp(p.Dir, cacheTemp)
	if err != nil {
		return
	}
	_, err = fmt.Fprintf(f, "%s\n%s", marksHead(text), text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(p.Dir, marksFile))
	}
	if err != nil {
		os.Remove(f.Name())
	}
}

// Identify gives the files of an index the identities that the cache knows of, so that
// Index.Changed need not read those. The marks must be those of a record.
func (p *ImageCache) Identify(x *Index) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range x.Items {
		if it := &x.Items[i]; p.marks[it.Name].SHA256 == it.Mark.SHA256 && it.Mark.Identity == "" {
			it.Mark = p.marks[it.Name]
		}
	}
}
