package jpeg

// Image is a decoded image or a part of one. Pix is [Channels, Height, Width] in row-major
// order, with 1 channel (grey) or 3 (red, green, blue).
type Image struct {
	Channels, Height, Width int
	Pix                     []uint8
}

// Info describes a file by its headers.
type Info struct {
	Width, Height int
	Colours       int // 1 for grey, 3, or 4 for CMYK
	Progressive   bool
	Bytes         int64 // the memory that decoding all of the image needs, including its pixels
}
