package data

// Report is the result of Check.
type Report struct {
	Name  string       `json:"name"`
	OK    bool         `json:"ok"`
	Files []FileReport `json:"files"`
}

// FileReport describes one file, or one split of a data set that has no files.
// Fields that do not apply are zero.
type FileReport struct {
	File      string  `json:"file"`           // the published name, without .gz
	Path      string  `json:"path,omitempty"` // where the file was found
	Split     Split   `json:"split"`
	Kind      string  `json:"kind"`            // "images", "labels", "images and labels" or "drawn"
	Bytes     int64   `json:"bytes,omitempty"` // on disk
	MD5       string  `json:"md5,omitempty"`   // of the uncompressed content
	DigestOK  bool    `json:"digest_ok"`
	Count     int     `json:"count"` // images or labels
	LabelMin  int     `json:"label_min"`
	LabelMax  int     `json:"label_max"`
	Histogram []int   `json:"histogram,omitempty"` // labels of each class
	PixelMean float64 `json:"pixel_mean,omitempty"`
	PixelStd  float64 `json:"pixel_std,omitempty"` // mean and std are of pixels scaled to [0, 1]
	Problem   string  `json:"problem,omitempty"`   // empty when there is none
}
