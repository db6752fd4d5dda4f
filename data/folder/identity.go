package folder

import (
	"io/fs"
	"time"
)

// settles is how long ago a file must have changed for the time of its last change to say
// that it has not changed since: file systems count such times in steps of up to two seconds.
var settles = 2 * time.Second // a variable for tests

// identityAt returns what tells a file from any other and from itself with other content,
// as the file system says it: no program can set the time of the last change. It is empty
// where the file system has none to trust, and of a file that changed just before the time at
// or after it, so that what was read at that time and later is the content of the identity.
func identityAt(path string, st fs.FileInfo, at time.Time) string {
	id, changed := fileIdentity(path, st)
	if id == "" || changed.IsZero() || at.Sub(changed) < settles {
		return ""
	}
	return id
}

// is says whether a file on the disk is to be taken, without reading it, for the one that
// was marked.
func (was Mark) is(path string, st fs.FileInfo) bool {
	if was.SHA256 == "" || was.Identity == "" || !was.looksLike(st) {
		return false
	}
	id, _ := fileIdentity(path, st)
	return id == was.Identity
}

// looksLike compares what any file can be given: its size and its time.
func (was Mark) looksLike(st fs.FileInfo) bool {
	return was.Bytes == st.Size() && was.Modified.Equal(st.ModTime())
}
