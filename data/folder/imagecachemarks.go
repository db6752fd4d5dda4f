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

// marksFile is a file beside those of a cache. It holds the marks of files whose content is in
// the cache, because their names, times or identities may have changed since the images were
// cached. A copied or moved file is then read once and not at every start. The file has one
// line with marksMagic and the CRC-32C of the remaining bytes, which are a JSON object of
// marks by name. Without it, only time is lost.
const (
	marksFile  = "files.marks"
	marksMagic = "residual marks 1"
	maxMarks   = 1 << 30
)

// readMarks reads the marks file if there is one.
func (ic *ImageCache) readMarks() error {
	path := filepath.Join(ic.Dir, marksFile)
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
		ic.damaged(path)
		return nil
	}
	maps.Copy(ic.marks, marks)
	return nil
}

func marksHead(text []byte) string {
	return fmt.Sprintf("%s %08x", marksMagic, crc32.Checksum(text, castagnoli))
}

// writeMarks writes the marks of the files of an index if some have changed. It ignores
// errors, since without the marks the files are only read again.
func (ic *ImageCache) writeMarks(x *Index) {
	if ic.c.ReadOnly || len(ic.files) == 0 {
		return
	}
	marks, changed := map[string]Mark{}, false
	for _, it := range x.Items {
		if it.Mark.Identity != "" && ic.images[it.Mark.SHA256] != nil {
			marks[it.Name] = it.Mark
			changed = changed || ic.marks[it.Name].Identity != it.Mark.Identity || ic.marks[it.Name].SHA256 != it.Mark.SHA256
		}
	}
	if !changed {
		return
	}
	maps.Copy(ic.marks, marks)
	text, err := json.Marshal(marks)
	if err != nil || len(text) > maxMarks/2 {
		return
	}
	f, err := os.CreateTemp(ic.Dir, cacheTemp)
	if err != nil {
		return
	}
	_, err = fmt.Fprintf(f, "%s\n%s", marksHead(text), text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(ic.Dir, marksFile))
	}
	if err != nil {
		os.Remove(f.Name())
	}
}

// Identify sets the identities of the items of an index from the cache, so that Index.Changed
// need not read their files. The marks of the items must come from ReadRecord.
func (ic *ImageCache) Identify(x *Index) {
	if ic == nil {
		return
	}
	ic.mu.Lock()
	defer ic.mu.Unlock()
	for i := range x.Items {
		if it := &x.Items[i]; ic.marks[it.Name].SHA256 == it.Mark.SHA256 && it.Mark.Identity == "" {
			it.Mark = ic.marks[it.Name]
		}
	}
}
