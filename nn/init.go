package nn

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

// Scheme is the random distribution of initial weights. Biases always follow PyTorch's
// default, and batch norms start with weight 1 and bias 0.
type Scheme uint8

const (
	// PyTorchDefault draws weights and biases of convolutions and linear layers
	// from U(-b, b), b = 1/sqrt(fan_in), as torch.nn does (kaiming_uniform_
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

// ParseScheme returns the scheme with the given name, as returned by Scheme.String.
func ParseScheme(text string) (Scheme, error) {
	for i, n := range schemeNames {
		if n == text {
			return Scheme(i), nil
		}
	}
	return 0, fmt.Errorf("initialisation %q is not known; choose one of %v", text, schemeNames)
}

// Initialiser is a module that initialises its own parameters, but not those of modules in its
// fields. source returns the random generator of a parameter, given the name of its field, such
// as "weight".
type Initialiser interface {
	Init(s Scheme, source func(name string) *Source)
}

// Init sets all parameters of m to new random values and resets its buffers. Each parameter
// has a random generator of its own that depends only on the seed and the parameter's name
// (see Named), so adding a layer does not change the values of others. Variables of modules
// that do not implement Initialiser keep their values.
func Init(m Module, seed uint64, s Scheme) {
	for _, p := range walkFields(m).modules {
		if i, ok := p.module.(Initialiser); ok {
			i.Init(s, func(name string) *Source { return NewSource(seed, join(p.path, name)) })
		}
	}
}

// fresh gives a new layer its weights, as the package comment describes.
func fresh(l interface {
	Initialiser
	fmt.Stringer
}) {
	l.Init(PyTorchDefault, func(name string) *Source { return NewSource(0, l.String()+"."+name) })
}

// initWeightAndBias initialises weight [out, in, ...] with s, and bias [out] with PyTorch's
// default.
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
		panic(tensor.Misusef("nn: unknown %v", s))
	}
	if bias != nil {
		source("bias").Uniform(bias.Value, standard)
	}
}

// Fans returns fan_in and fan_out of a weight of shape [out, in, ...], as PyTorch counts them:
// how many inputs contribute to an output, and to how many outputs an input contributes.
func Fans(weight tensor.Shape) (in, out int) {
	if len(weight) < 2 {
		panic(tensor.Misusef("nn.Fans: %v has fewer than two dimensions", weight))
	}
	field := weight[2:].Numel()
	return weight[1] * field, weight[0] * field
}

// Source is a random generator: SplitMix64 (Steele, Lea and Flood 2014), seeded with a number
// and a name.
type Source struct{ numbers rng.SplitMix }

// NewSource returns the random generator for a seed and a name. It gives the same numbers in
// every version and on every machine.
func NewSource(seed uint64, name string) *Source { return &Source{rng.Named(seed, name)} }

// Uint64 returns the next 64 bits.
func (s *Source) Uint64() uint64 { return s.numbers.Uint64() }

// Float64 returns the next number, uniformly distributed in [0, 1).
func (s *Source) Float64() float64 { return rng.Float64(&s.numbers) }

// Uniform fills t with random numbers from U(-bound, bound).
func (s *Source) Uniform(t *tensor.Tensor, bound float64) {
	data := t.Data()
	for i := range data {
		data[i] = float32(bound * (2*s.Float64() - 1))
	}
}

// Normal fills t with random numbers from N(0, std^2), by Box and Muller's method. The last
// bit may differ between processor architectures, since their logarithms do.
func (s *Source) Normal(t *tensor.Tensor, std float64) {
	data := t.Data()
	for i := 0; i < len(data); i += 2 {
		radius := std * math.Sqrt(-2*math.Log(1-s.Float64()))
		sin, cos := math.Sincos(2 * math.Pi * s.Float64())
		data[i] = float32(radius * cos)
		if i+1 < len(data) {
			data[i+1] = float32(radius * sin)
		}
	}
}
