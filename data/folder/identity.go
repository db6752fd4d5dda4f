package folder

import (
	"io/fs"
	"time"
)

// settles is how long ago a file must have changed before its time of change proves that it
// has not changed since. File systems count such times in steps of up to two seconds.
var settles = 2 * time.Second // a variable for tests

// identityAt returns a string that identifies a file together with its content: it contains
// the time of the last change, which no program can set. It is empty when the file system is
// not known to keep that time, and when the file changed shortly before the time at or later,
// so that what was read since then is the content that belongs to the identity.
func identityAt(path string, st fs.FileInfo, at time.Time) string {
	id, changed := fileIdentity(path, st)
	if id == "" || changed.IsZero() || at.Sub(changed) < settles {
		return ""
	}
	return id
}

// matches reports whether the file at path is known, without reading it, to be the marked one.
func (m Mark) matches(path string, st fs.FileInfo) bool {
	if m.SHA256 == "" || m.Identity == "" || !m.sameSizeAndTime(st) {
		return false
	}
	id, _ := fileIdentity(path, st)
	return id == m.Identity
}

// sameSizeAndTime compares the size and the modification time, which programs can set.
func (m Mark) sameSizeAndTime(st fs.FileInfo) bool {
	return m.Bytes == st.Size() && m.Modified.Equal(st.ModTime())
}
