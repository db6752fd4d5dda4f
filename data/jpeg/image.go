package jpeg

// Image is a decoded file, or a part of it: Pix is [Channels, Height, Width] in
// row-major order, of 1 channel (grey) or 3 (red, green, blue).
type Image struct {
	Channels, Height, Width int
	Pix                     []uint8
}

// Info is what the headers of a file say.
type Info struct {
	Width, Height int
	Colours       int // 1 for grey, 3, or 4 for CMYK
	Progressive   bool
	Bytes         int64 // of memory that decoding the whole takes, its pixels included
}
