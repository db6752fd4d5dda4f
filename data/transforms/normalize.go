package transforms

import "github.com/residual-ml/residual/tensor"

// Normalize turns pixels into the float32 input of a network: (pixel/255 - Mean) / Std, as
// torchvision's ToTensor and Normalize compute it. An empty Mean or Std is left out, so the
// zero value is ToTensor.
type Normalize struct {
	Mean, Std []float64 // one value per channel
}

// Apply returns the image as a tensor [Channels, Height, Width].
func (n Normalize) Apply(m Image) *tensor.Tensor {
	t := tensor.New(m.Channels, m.Height, m.Width)
	n.Write(t.Data(), m)
	return t
}

// Write writes the values of the image into dst, [Channels, Height, Width]. It panics when
// dst has another length, or Mean or Std another number of channels.
func (n Normalize) Write(dst []float32, m Image) {
	m.check("Normalize")
	if len(dst) != len(m.Pix) || len(n.Mean) != 0 && len(n.Mean) != m.Channels || len(n.Std) != 0 && len(n.Std) != m.Channels {
		panic(tensor.Misusef("transforms.Normalize: a mean of %d and a std of %d channels for [%d, %d, %d] and %d numbers",
			len(n.Mean), len(n.Std), m.Channels, m.Height, m.Width, len(dst)))
	}
	for c := range m.Channels {
		table := n.Table(c)
		plane := m.plane(c)
		out := dst[c*len(plane):][:len(plane)]
		for i, v := range plane {
			out[i] = table[v]
		}
	}
}

// Table returns the value of each possible pixel of a channel.
func (n Normalize) Table(channel int) (t [256]float32) {
	for v := range t {
		x := float32(v) / 255
		if len(n.Mean) > 0 {
			x -= float32(n.Mean[channel])
		}
		if len(n.Std) > 0 {
			x /= float32(n.Std[channel])
		}
		t[v] = x
	}
	return t
}
