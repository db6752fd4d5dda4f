package data

// Keeper is a data set that keeps what it has decoded.
type Keeper interface {
	// Kept returns how many pictures are kept, their bytes, and how many bytes may be.
	Kept() (pictures int, bytes, most int64)
}

// Held returns how many bytes of pictures ds has in memory now.
func Held(ds Dataset) int64 {
	switch d := ds.(type) {
	case *memory:
		return int64(len(d.pixels) + len(d.labels))
	case first:
		return Held(d.Dataset)
	case firstPictures:
		return Held(d.Dataset)
	case *resized:
		return Held(d.ds)
	case *cropped:
		return Held(d.ds)
	case Keeper:
		_, bytes, _ := d.Kept()
		return bytes
	}
	return 0
}
