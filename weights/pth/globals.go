package pth

import (
	"strings"

	"github.com/residual-ml/residual/weights/elements"
)

// globals lists every name that a pickle may mention.
var globals = allowed()

func allowed() map[string]global {
	all := map[string]global{}
	add := func(r role, names ...string) {
		for _, n := range names {
			all[n] = global{name: n, role: r}
		}
	}
	add(roleDict, "collections.OrderedDict")
	add(roleSize, "torch.Size")
	add(roleClass, "torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
	add(roleTensor, "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
	add(roleTensorOfType, "torch._utils._rebuild_tensor_v3")
	add(roleParameter, "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
	add(roleTensorOfClass, "torch._tensor._rebuild_from_type_v2")
	for name, dtype := range map[string]string{
		"torch.FloatStorage": "F32", "torch.HalfStorage": "F16", "torch.BFloat16Storage": "BF16", "torch.DoubleStorage": "F64",
		"torch.LongStorage": "I64", "torch.IntStorage": "I32", "torch.ShortStorage": "I16", "torch.CharStorage": "I8",
		"torch.ByteStorage": "U8", "torch.BoolStorage": "BOOL", "torch.ComplexFloatStorage": "C64",
		"torch.storage.UntypedStorage": "U8", "torch.UntypedStorage": "U8",
	} {
		all[name] = global{name, roleStorage, dtype}
	}
	for name, dtype := range map[string]string{
		"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64", "int32": "I32",
		"int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
		"complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
	} {
		all["torch."+name] = global{"torch." + name, roleType, dtype}
	}
	// The usual trainers store these beside a state dict: settings, metrics and the states of
	// optimisers, schedules and random generators.
	add(roleInert, "argparse.Namespace", "collections.Counter", "collections.defaultdict", "collections.deque",
		"_codecs.encode", "torch.device", "torch.serialization._get_layout",
		"pathlib.Path", "pathlib.PosixPath", "pathlib.PurePosixPath", "pathlib.WindowsPath", "pathlib.PureWindowsPath",
		"pathlib._local.PosixPath", "pathlib._local.WindowsPath",
		"datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone",
		"numpy.dtype", "numpy.ndarray")
	for _, module := range []string{"builtins.", "__builtin__."} {
		for _, class := range []string{"bool", "int", "float", "complex", "str", "bytes", "bytearray", "list", "tuple", "dict", "set",
			"frozenset", "slice", "range", "xrange"} {
			add(roleInert, module+class)
		}
	}
	for _, module := range []string{"numpy.core.multiarray.", "numpy._core.multiarray."} {
		add(roleInert, module+"scalar", module+"_reconstruct")
	}
	return all
}

func (m *machine) global() error {
	module, err := m.line()
	if err != nil {
		return err
	}
	name, err := m.line()
	if err != nil {
		return err
	}
	return m.pushGlobal(module, name)
}

func (m *machine) stackGlobal() error {
	vs, err := m.pop(2)
	if err != nil {
		return err
	}
	module, ok := vs[0].(string)
	name, ok2 := vs[1].(string)
	if !ok || !ok2 {
		return m.fault("a global named by %s and %s; %s", kind(vs[0]), kind(vs[1]), damaged)
	}
	return m.pushGlobal(module, name)
}

func (m *machine) pushGlobal(module, name string) error {
	full := module + "." + name
	g, ok := globals[full]
	// A dot inside the name would refer to an attribute.
	if !ok || strings.Contains(name, ".") {
		return m.fault("the global %s is not allowed, only tensors, containers and plain values are; %s", elements.Quote(full), resave)
	}
	return m.push(g)
}

// reduce calls a global with a tuple of arguments.
func (m *machine) reduce() error {
	vs, err := m.pop(2)
	if err != nil {
		return err
	}
	args, ok := vs[1].(*tuple)
	if !ok {
		return m.fault("the arguments are %s and no tuple; %s", kind(vs[1]), damaged)
	}
	g, ok := vs[0].(global)
	if !ok {
		return m.fault("calls %s, which is no function; %s", kind(vs[0]), damaged)
	}
	v, err := m.call(g, args.items)
	if err != nil {
		return err
	}
	return m.push(v)
}

func (m *machine) call(g global, args []any) (any, error) {
	switch g.role {
	case roleDict:
		if d, err := m.dictOf(args); d != nil || err != nil {
			return d, err
		}
	case roleSize:
		if len(args) == 1 {
			if t, ok := args[0].(*tuple); ok {
				return t, nil
			}
		}
	case roleTensor, roleTensorOfType:
		if len(args) > 2 {
			if size, ok := args[2].(*tuple); ok {
				if err := m.spend(len(size.items)); err != nil {
					return nil, err
				}
			}
		}
		v, err := rebuildTensor(g, args)
		if err != nil {
			return nil, m.fault("%s: %w", g.name, err)
		}
		return v, nil
	case roleParameter:
		if len(args) >= 1 && len(args) <= 4 {
			if v, ok := args[0].(*view); ok {
				return v, nil
			}
		}
	case roleTensorOfClass:
		if len(args) == 4 {
			inner, ok := args[0].(global)
			class, ok2 := args[1].(global)
			innerArgs, ok3 := args[2].(*tuple)
			if ok && ok2 && ok3 && class.role == roleClass &&
				(inner.role == roleTensor || inner.role == roleTensorOfType || inner.role == roleParameter) {
				return m.call(inner, innerArgs.items)
			}
		}
	case roleInert:
		return &inert{class: g.name}, nil
	default:
		return nil, m.fault("calls %s, which is no function; %s", g.name, damaged)
	}
	return nil, m.fault("calls %s with %s; %s", g.name, kinds(args), damaged)
}

// dictOf makes a dict from no arguments or, as Python 2 pickled an OrderedDict, from a
// list of pairs. It returns nil for other arguments.
func (m *machine) dictOf(args []any) (*dict, error) {
	if len(args) == 0 {
		return &dict{}, nil
	}
	pairs, ok := args[0].(*list)
	if !ok || len(args) > 1 {
		return nil, nil
	}
	if err := m.spend(8 * len(pairs.items)); err != nil { // a real pair takes more bytes
		return nil, err
	}
	d := &dict{}
	for _, p := range pairs.items {
		var pair []any
		switch p := p.(type) {
		case *list:
			pair = p.items
		case *tuple:
			pair = p.items
		}
		if len(pair) != 2 {
			return nil, nil
		}
		if err := m.put(d, pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// newObject makes an object of a class: one of the harmless classes, or a dict.
func (m *machine) newObject() error {
	vs, err := m.pop(2)
	if err != nil {
		return err
	}
	g, ok := vs[0].(global)
	args, ok2 := vs[1].(*tuple)
	if !ok || !ok2 || g.role != roleInert && g.role != roleDict {
		return m.fault("makes an object of %s with %s; %s", kind(vs[0]), kind(vs[1]), damaged)
	}
	v, err := m.call(g, args.items)
	if err != nil {
		return err
	}
	return m.push(v)
}

// build sets attributes of an object. Only the settings in an argparse.Namespace are used;
// others, such as a state dict's _metadata, are ignored.
func (m *machine) build() error {
	vs, err := m.pop(2)
	if err != nil {
		return err
	}
	switch v := vs[0].(type) {
	case *inert:
		if state, ok := vs[1].(*dict); ok && v.class == "argparse.Namespace" {
			v.state = state
		}
		return m.push(v)
	case *dict:
		return m.push(v)
	}
	return m.fault("sets the state of %s; %s", kind(vs[0]), damaged)
}
