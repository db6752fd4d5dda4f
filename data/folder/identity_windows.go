package folder

import (
	"fmt"
	"io/fs"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// fileIdentity returns the volume, index and time of change of a file. NTFS and ReFS record
// the time of change in addition to the modification time; FAT does not.
func fileIdentity(path string, _ fs.FileInfo) (id string, changed time.Time) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return "", changed
	}
	h, err := windows.CreateFile(name, windows.FILE_READ_ATTRIBUTES,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return "", changed
	}
	defer windows.CloseHandle(h)
	// FILE_BASIC_INFO of winbase.h; times count 100 nanoseconds from 1601.
	var basic struct {
		Created, Accessed, Written, Changed int64
		Attributes                          uint32
		_                                   uint32
	}
	if err := windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&basic)), uint32(unsafe.Sizeof(basic))); err != nil || basic.Changed <= 0 {
		return "", changed
	}
	var about windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &about); err != nil {
		return "", changed
	}
	since := windows.Filetime{LowDateTime: uint32(basic.Changed), HighDateTime: uint32(basic.Changed >> 32)}
	return fmt.Sprintf("%x-%x%08x-%x", about.VolumeSerialNumber, about.FileIndexHigh, about.FileIndexLow, basic.Changed), time.Unix(0, since.Nanoseconds())
}
