package nn

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Scheme says how weights are drawn. Biases always follow PyTorch's default,
// and batch normalisations start as the identity.
type Scheme uint8

const (
	// PyTorchDefault draws weights and biases of convolutions and linear layers
	// from U(-b, b), b = 1/sqrt(fan_in): what torch.nn does (kaiming_uniform_
	// with a = sqrt(5)).
	PyTorchDefault Scheme = iota
	// XavierUniform draws weights of convolutions and linear layers from
	// U(-b, b), b = sqrt(6/(fan_in+fan_out)) (Glorot and Bengio 2010, equation
	// 16), as d2l's train_ch6 does.
	XavierUniform
	// KaimingNormal draws weights of convolutions from N(0, 2/fan_out) (He et
	// al. 2015, equation 14), as torchvision's ResNet does; linear layers keep
	// PyTorch's default.
	KaimingNormal
)

var schemeNames = [...]string{"pytorch", "xavier-uniform", "kaiming-normal"}

func (s Scheme) String() string {
	if int(s) < len(schemeNames) {
		return schemeNames[s]
	}
	return fmt.Sprintf("Scheme(%d)", uint8(s))
}

// ParseScheme reads what Scheme.String writes.
func ParseScheme(text string) (Scheme, error) {
	for i, n := range schemeNames {
		if n == text {
			return Scheme(i), nil
		}
	}
	return 0, fmt.Errorf("initialisation %q is not known; choose one of %v", text, schemeNames)
}

// Initialiser is a module that draws its own parameters, not those of modules
// within it. source gives the stream of one parameter by its field's name
// ("weight").
type Initialiser interface {
	Init(s Scheme, source func(name string) *Source)
}

// Init draws all parameters of m anew and resets its buffers. Each parameter has
// a stream of its own, made from the seed and its name (see Named), so adding a
// layer changes no other one. Variables of modules that are no Initialiser keep
// their values.
func Init(m Module, seed uint64, s Scheme) {
	for _, p := range walk(m).modules {
		if i, ok := p.module.(Initialiser); ok {
			i.Init(s, func(name string) *Source { return NewSource(seed, join(p.path, name)) })
		}
	}
}

// fresh gives a new layer the weights that the package comment promises.
func fresh(l interface {
	Initialiser
	fmt.Stringer
}) {
	l.Init(PyTorchDefault, func(name string) *Source { return NewSource(0, l.String()+"."+name) })
}

// initWeightAndBias draws weight [out, in, ...] by s and bias [out] by PyTorch's default.
func initWeightAndBias(s Scheme, weight, bias *Parameter, source func(string) *Source) {
	fanIn, fanOut := Fans(weight.Value.Shape())
	standard := 1 / math.Sqrt(float64(fanIn))
	switch s {
	case PyTorchDefault:
		source("weight").Uniform(weight.Value, standard)
	case XavierUniform:
		source("weight").Uniform(weight.Value, math.Sqrt(6/float64(fanIn+fanOut)))
	case KaimingNormal:
		source("weight").Normal(weight.Value, math.Sqrt(2/float64(fanOut)))
	default:
		panic("nn: unknown " + s.String())
	}
	if bias != nil {
		source("bias").Uniform(bias.Value, standard)
	}
}

// Fans returns how many inputs reach one output and how many outputs one input
// reaches, by a weight of shape [out, in, ...], counted as PyTorch counts them.
func Fans(weight tensor.Shape) (in, out int) {
	if len(weight) < 2 {
		panic(fmt.Sprintf("nn.Fans: %v has fewer than two dimensions", weight))
	}
	field := weight[2:].Numel()
	return weight[1] * field, weight[0] * field
}

// Source is a stream of random numbers: SplitMix64 (Steele, Lea and Flood 2014)
// from a starting point made of a seed and a name.
type Source struct{ state uint64 }

// NewSource returns the stream of a name under a seed. It is the same one in
// every version and on every machine.
func NewSource(seed uint64, name string) *Source {
	h := uint64(0xcbf29ce484222325) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	s := Source{seed}
	return &Source{s.Uint64() ^ h}
}

// Uint64 returns the next 64 bits.
func (s *Source) Uint64() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Float64 returns the next number, uniform in [0, 1).
func (s *Source) Float64() float64 { return float64(s.Uint64()>>11) / (1 << 53) }

// Uniform fills t from U(-bound, bound).
func (s *Source) Uniform(t *tensor.Tensor, bound float64) {
	data := t.Data()
	for i := range data {
		data[i] = float32(bound * (2*s.Float64() - 1))
	}
}

// Normal fills t from N(0, deviation^2), by Box and Muller's method. Machines of
// another architecture may differ in the last bit, as their logarithms do.
func (s *Source) Normal(t *tensor.Tensor, deviation float64) {
	data := t.Data()
	for i := 0; i < len(data); i += 2 {
		radius := deviation * math.Sqrt(-2*math.Log(1-s.Float64()))
		sin, cos := math.Sincos(2 * math.Pi * s.Float64())
		data[i] = float32(radius * cos)
		if i+1 < len(data) {
			data[i+1] = float32(radius * sin)
		}
	}
}
