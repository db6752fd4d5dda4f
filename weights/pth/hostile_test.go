package pth

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

type hostileFile struct {
	what string
	file []byte
	want string // part of the error; empty when the file is valid
}

// hostile is the table of the tests below and the seed of the fuzz corpus.
func hostile() []hostileFile {
	files := append(hostilePickles(), hostileTensors()...)
	return append(append(files, hostileArchives()...), hostileLegacy()...)
}

// hostilePickles are pickles that contain code, and damaged ones.
func hostilePickles() []hostileFile {
	var files []hostileFile
	add := func(what, pickle, want string) { files = append(files, hostileFile{what, checkpoint(pickle), want}) }
	add("good", good(), "")
	add("good, protocol 4 with a frame", "\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00}.", "")

	forbidden := func(opcode string, at int, name string) string {
		return fmt.Sprintf("opcode %s at byte %d of data.pkl: the global %q is not allowed", opcode, at, name)
	}
	add("os.system", protocol2+"cos\nsystem\n"+text("true")+"\x85R.", forbidden("GLOBAL", 2, "os.system"))
	add("posix.system", protocol2+"cposix\nsystem\n"+text("true")+"\x85R.", forbidden("GLOBAL", 2, "posix.system"))
	add("eval", protocol2+"c__builtin__\neval\n"+text("1")+"\x85R.", forbidden("GLOBAL", 2, "__builtin__.eval"))
	add("exec of protocol 4", "\x80\x04\x8c\x08builtins\x8c\x04exec\x93"+text("1")+"\x85R.", forbidden("STACK_GLOBAL", 18, "builtins.exec"))
	add("getattr", protocol2+"cbuiltins\ngetattr\n.", forbidden("GLOBAL", 2, "builtins.getattr"))
	add("subprocess", protocol2+"csubprocess\nPopen\n.", forbidden("GLOBAL", 2, "subprocess.Popen"))
	add("torch.load", protocol2+"ctorch\nload\n.", forbidden("GLOBAL", 2, "torch.load"))
	add("torch.hub.load", protocol2+"ctorch.hub\nload\n.", forbidden("GLOBAL", 2, "torch.hub.load"))
	add("numpy's loads", protocol2+"cnumpy\nload\n.", forbidden("GLOBAL", 2, "numpy.load"))
	add("a class of the main program", protocol2+"c__main__\nNet\n)\x81.", forbidden("GLOBAL", 2, "__main__.Net"))
	add("os.system in a wrapper's part", protocol2+"}("+text("model")+good()[2:len(good())-1]+text("args")+"cos\nsystem\n)Ru.", `"os.system" is not allowed`)
	add("attribute of an allowed module", protocol2+text("torch")+text("FloatStorage.__class__")+"\x93.", `"torch.FloatStorage.__class__" is not allowed`)
	add("dots moved into the name", protocol2+text("torch")+text("_utils._rebuild_tensor_v2")+"\x93.", `"torch._utils._rebuild_tensor_v2" is not allowed`)
	add("empty module", protocol2+text("")+text("eval")+"\x93.", `the global ".eval" is not allowed`)
	add("a name of bytes", protocol2+text("os")+"C\x06system\x93.", "opcode STACK_GLOBAL at byte 17 of data.pkl: a global named by a str and bytes")
	add("a name of an int", protocol2+"K\x01K\x02\x93.", "a global named by an int and an int")
	add("a name of 2 KB", protocol2+"c"+strings.Repeat("x", 2000)+"\ny\n.", "opcode GLOBAL at byte 2 of data.pkl: a name of more than 1024 bytes")
	add("a name that does not end", protocol2+"ctorch", "the pickle is cut short inside a name")
	add("newline in a name", protocol2+text("os\nx")+text("system")+"\x93.", `"os\nx.system" is not allowed`)

	notAllowed := func(opcode string, at int) string {
		return fmt.Sprintf("opcode %s at byte %d of data.pkl: is not allowed", opcode, at)
	}
	add("INST", protocol2+"(ios\nsystem\n.", notAllowed("INST", 3))
	add("OBJ", protocol2+"(ccollections\nOrderedDict\no.", notAllowed("OBJ", 28))
	add("NEWOBJ_EX", protocol2+"ccollections\nOrderedDict\n)}\x92.", notAllowed("NEWOBJ_EX", 29))
	add("EXT1", protocol2+"\x82\x01.", notAllowed("EXT1", 2))
	add("EXT4", protocol2+"\x84\x01\x00\x00\x00.", notAllowed("EXT4", 2))
	add("PERSID", protocol2+"P0\n.", notAllowed("PERSID", 2))
	add("INT of text", protocol2+"I1\n.", notAllowed("INT", 2))
	add("STRING with an escape", protocol2+"S'\\x41'\n.", notAllowed("STRING", 2))
	add("LONG of text", protocol2+"L"+strings.Repeat("9", 1<<20)+"L\n.", notAllowed("LONG", 2))
	add("DUP", protocol2+"}2.", notAllowed("DUP", 3))
	add("NEXT_BUFFER", "\x80\x05\x97.", notAllowed("NEXT_BUFFER", 2))
	add("unknown opcode", protocol2+"\xff.", notAllowed("0xff (unknown)", 2))

	add("call of a string", protocol2+text("os.system")+")R.", "opcode REDUCE at byte 17 of data.pkl: calls a str, which is no function")
	add("call of a dict", protocol2+"})R.", "calls a dict, which is no function")
	add("call of a storage type", protocol2+"ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage, which is no function")
	add("call of a tensor class", protocol2+"ctorch\nTensor\n)R.", "calls torch.Tensor, which is no function")
	add("call without a tuple", protocol2+"ccollections\nOrderedDict\n]R.", "the arguments are a list and no tuple")
	add("OrderedDict of an argument", protocol2+"ccollections\nOrderedDict\nK\x01\x85R.", "calls collections.OrderedDict with (an int)")
	pairOf := func(key string) string { return "(" + text(key) + "Nt" }
	add("OrderedDict of triples", protocol2+"ccollections\nOrderedDict\n](K\x01K\x02K\x03ta\x85R.", "calls collections.OrderedDict with (a list)")
	add("OrderedDict of pairs with a key twice", protocol2+"ccollections\nOrderedDict\n]"+pairOf("a")+"a"+pairOf("a")+"a\x85R.", `key "a" occurs twice in one dict`)
	pairs := protocol2 + "ccollections\nOrderedDict\nq\x00]("
	for i := range 1000 {
		pairs += pairOf(fmt.Sprint(i))
	}
	add("OrderedDict of the same pairs, a thousand times", pairs+"e\x85q\x010]q\x02("+strings.Repeat("h\x00h\x01R", 1000)+"e.", "copies more values than a pickle of")
	add("a tensor of 64 dimensions, a thousand times", protocol2+"]q\x000ctorch._utils\n_rebuild_tensor_v2\nq\x01("+four()+"K\x00("+strings.Repeat("K\x01", 64)+"t("+
		strings.Repeat("K\x01", 64)+"ttq\x02R0("+strings.Repeat("h\x01h\x02R", 1000)+"t.", "copies more values than a pickle of")
	add("good, OrderedDict of Python 2", protocol2+"ccollections\nOrderedDict\n](]U\x01ta"+rebuilt(four(), number(0), numbers(4), numbers(1))+"ae\x85R.", "")
	add("rebuild from another function", protocol2+"ctorch._tensor\n_rebuild_from_type_v2\n(ccollections\nOrderedDict\nctorch\nTensor\n)NtR.",
		"calls torch._tensor._rebuild_from_type_v2 with (collections.OrderedDict, torch.Tensor, a tuple, None)")
	nested := "ctorch._tensor\n_rebuild_from_type_v2\n"
	add("rebuild from itself", protocol2+nested+"("+nested+"ctorch\nTensor\n)NtR.", "calls torch._tensor._rebuild_from_type_v2 with (torch._tensor._rebuild_from_type_v2")
	add("parameter of a dict", protocol2+"ctorch._utils\n_rebuild_parameter\n(}\x89NtR.", "calls torch._utils._rebuild_parameter with (a dict, a bool, None)")
	add("object of a function", protocol2+"ctorch._utils\n_rebuild_tensor_v2\n)\x81.", "opcode NEWOBJ at byte 36 of data.pkl: makes an object of torch._utils._rebuild_tensor_v2")
	add("object of a string", protocol2+text("os")+")\x81.", "makes an object of a str")
	add("state of a function", protocol2+"ctorch._utils\n_rebuild_tensor_v2\n}b.", "opcode BUILD at byte 36 of data.pkl: sets the state of torch._utils._rebuild_tensor_v2")
	add("state of a list", protocol2+"]}b.", "sets the state of a list")
	add("state of a tensor", state(rebuilt(four(), number(0), numbers(4), numbers(1))+"}b"), "sets the state of a tensor")

	big := func(op string, n uint64, size int) string {
		return protocol2 + op + string(binary.LittleEndian.AppendUint64(nil, n)[:size]) + "x."
	}
	add("LONG4 of 2 GB", big("\x8b", math.MaxInt32, 4), "opcode LONG4 at byte 2 of data.pkl: the pickle is cut short: it wants 2147483647 bytes where 2 follow")
	add("LONG4 of a negative length", big("\x8b", math.MaxUint32, 4), "it wants 4294967295 bytes")
	add("BINUNICODE of 4 GB", big("X", math.MaxUint32, 4), "opcode BINUNICODE at byte 2 of data.pkl: the pickle is cut short: it wants 4294967295 bytes")
	add("BINUNICODE8 of 2^64-1", big("\x8d", math.MaxUint64, 8), "it wants 18446744073709551615 bytes where 2 follow")
	add("BINBYTES8 of 2^63", big("\x8e", 1<<63, 8), "it wants 9223372036854775808 bytes")
	add("BYTEARRAY8 of 2^40", big("\x96", 1<<40, 8), "it wants 1099511627776 bytes")
	add("frame of 2^64-1", big("\x95", math.MaxUint64, 8), "opcode FRAME at byte 2 of data.pkl: the pickle is cut short: a frame of 18446744073709551615 bytes")
	add("frame longer than the pickle", big("\x95", 3, 8), "a frame of 3 bytes where 2 follow")
	add("frame in a frame", "\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x95\x01\x00\x00\x00\x00\x00\x00\x00}.", "opcode FRAME at byte 11 of data.pkl: is inside the frame that ends at byte 22")
	add("STOP inside a frame", "\x80\x04\x95\x04\x00\x00\x00\x00\x00\x00\x00}...", "opcode STOP at byte 12 of data.pkl: is inside a frame that ends at byte 15")
	add("memo 2^32-1", protocol2+"}r\xff\xff\xff\xff.", "opcode LONG_BINPUT at byte 3 of data.pkl: memo 4294967295 where 0 is next")
	add("memo that is not there", protocol2+"h\x05.", "opcode BINGET at byte 2 of data.pkl: memo 5 is not there, of 0")
	add("memo three numbers on", protocol2+"}q\x00]q\x03.", "opcode BINPUT at byte 6 of data.pkl: memo 3 where 1 is next")
	add("good, of Python 2", protocol2+"}q\x01U\x01tq\x02"+rebuilt(four(), number(0), numbers(4), numbers(1))+"s.", "")
	add("BINSTRING of a negative length", big("T", math.MaxUint32, 4), "opcode BINSTRING at byte 2 of data.pkl: the pickle is cut short: it wants 4294967295 bytes")
	add("memo of nothing", protocol2+"q\x00.", "opcode BINPUT at byte 2 of data.pkl: the stack is empty")
	doubling := protocol2 + "]\x94"
	for i := range 200 {
		doubling += "(" + strings.Repeat("h"+string([]byte{byte(i)}), 8) + "t\x94"
	}
	add("a list of lists of lists, 8^200 long", doubling+"0.", "values and 0 marks are left in place of one value")
	add("a list that holds itself", protocol2+"]q\x00h\x00a.", "holds a list and no state dict")
	add("a dict that holds itself", protocol2+"}q\x00"+text("model")+"h\x00s.", "holds no tensors by name, nor a state dict under one of")
	add("a million lists deep", protocol2+strings.Repeat("]", 1_000_000)+strings.Repeat("a", 999_999)+".", "opcode EMPTY_LIST at byte 65538 of data.pkl: more than 65536 values wait")
	add("a million marks deep", protocol2+strings.Repeat("(", 1_000_000)+strings.Repeat("t", 1_000_000)+".", "opcode MARK at byte 1026 of data.pkl: more than 1024 containers are nested")
	add("tuples a million deep", protocol2+")"+strings.Repeat("\x85", 1_000_000)+".", "opcode TUPLE1 at byte 1027 of data.pkl: more than 1024 tuples are nested")
	add("lists of tuples of lists", protocol2+"]"+strings.Repeat("\x85]\x85a", 10_000)+".", "opcode APPEND at byte 6 of data.pkl: the target is a tuple")
	add("a million ints", protocol2+"("+strings.Repeat("K\x01", 1_000_000)+"t.", "more than 65536 values wait")

	add("no bytes", "", "data.pkl: the pickle is cut short at byte 0")
	add("no STOP", protocol2+"}", "the pickle is cut short at byte 3, where an opcode belongs")
	add("no PROTO", "}.", "opcode EMPTY_DICT at byte 0 of data.pkl: a pickle begins with PROTO")
	add("PROTO twice", protocol2+protocol2+"}.", "opcode PROTO at byte 2 of data.pkl: is inside a pickle")
	add("protocol 0", "\x80\x00}.", "opcode PROTO at byte 0 of data.pkl: protocol 0")
	add("protocol 6", "\x80\x06}.", "protocol 6; torch.save writes 2 to 5")
	add("nothing on the stack", protocol2+".", "opcode STOP at byte 2 of data.pkl: 0 values and 0 marks")
	add("two values", protocol2+"}}.", "2 values and 0 marks")
	add("a mark left", protocol2+"}(.", "1 values and 1 marks")
	add("a second pickle", good()+good(), "bytes follow; ")
	add("tuple without a mark", protocol2+"}t.", "opcode TUPLE at byte 3 of data.pkl: there is no MARK before it")
	add("pair of one", protocol2+"}\x86.", "opcode TUPLE2 at byte 3 of data.pkl: wants 2 values, the stack has 1")
	add("pop past a mark", protocol2+"}(0.", "opcode POP at byte 4 of data.pkl: wants 1 values, the stack has 0")
	add("append past a mark", protocol2+"](K\x01a.", "opcode APPEND at byte 6 of data.pkl: the stack is empty")
	add("append to a dict", protocol2+"}K\x01a.", "opcode APPEND at byte 5 of data.pkl: the target is a dict and no list")
	add("item of a list", protocol2+"]K\x01K\x02s.", "opcode SETITEM at byte 7 of data.pkl: the target is a list and no dict")
	add("key without a value", protocol2+"}("+text("a")+"u.", "opcode SETITEMS at byte 10 of data.pkl: a key without a value")
	add("key twice", protocol2+"}("+text("a")+"N"+text("a")+"Nu.", `opcode SETITEMS at byte 18 of data.pkl: key "a" occurs twice`)
	add("key twice in two steps", protocol2+"}"+text("a")+"Ns"+text("a")+"Ns.", `opcode SETITEM at byte 18 of data.pkl: key "a" occurs twice`)

	add("a tensor alone", protocol2+rebuilt(four(), number(0), numbers(4), numbers(1))+".", "holds a tensor and no state dict")
	add("None", protocol2+"N.", "holds None and no state dict")
	add("no tensors", protocol2+"}"+text("epoch")+"K\x01s.", `its entries are "epoch" (an int); `)
	add("a name that is no text", protocol2+"}K\x01"+rebuilt(four(), number(0), numbers(4), numbers(1))+"s.", "a tensor under 1, where a name belongs")
	add("a name that is not UTF-8", protocol2+"}"+text("\xff")+rebuilt(four(), number(0), numbers(4), numbers(1))+"s.", `a tensor under "\xff", where a name belongs`)
	return files
}

// hostileTensors are tensors and storages with false sizes.
func hostileTensors() []hostileFile {
	var files []hostileFile
	add := func(what, pickle, want string) { files = append(files, hostileFile{what, checkpoint(pickle), want}) }
	at := func(s string) string { return "of data.pkl: torch._utils._rebuild_tensor_v2: " + s }
	add("good, expanded", tensorOf(3, []int64{5, 5}, []int64{0, 0}), "")
	add("good, no elements", tensorOf(4, []int64{0, 9}, []int64{9, 1}), "")
	add("good, no dimensions", tensorOf(3, nil, nil), "")
	add("good, strides of single sizes", tensorOf(0, []int64{1, 4}, []int64{1 << 40, 1}), "")
	add("too many elements", tensorOf(0, []int64{5}, []int64{1}), at("shape [5] with strides [1] from element 0 reaches outside its storage of 4 elements"))
	add("offset too large", tensorOf(1, []int64{2, 2}, []int64{2, 1}), at("shape [2, 2] with strides [2 1] from element 1 reaches outside"))
	add("offset past the end", tensorOf(5, []int64{0}, []int64{1}), at("begins at element 5 of a storage of 4"))
	add("offset at the end", tensorOf(4, nil, nil), at("shape [] with strides [] from element 4 reaches outside"))
	add("negative offset", tensorOf(-1, []int64{1}, []int64{1}), at("begins at element -1"))
	add("stride too large", tensorOf(0, []int64{2, 2}, []int64{3, 1}), at("shape [2, 2] with strides [3 1]"))
	add("stride of 2^62", tensorOf(0, []int64{3, 3}, []int64{1 << 62, 1 << 62}), "reaches outside")
	add("negative stride", tensorOf(3, []int64{4}, []int64{-1}), at("size 4 and stride -1 of dimension 0 are no counts"))
	add("negative size", tensorOf(0, []int64{-4}, []int64{1}), "size -4 and stride 1 of dimension 0 are no counts")
	add("two negative sizes", tensorOf(0, []int64{-2, -2}, []int64{2, 1}), "size -2 and stride 2")
	add("sizes and strides differ", tensorOf(0, []int64{2, 2}, []int64{1}), "2 sizes and 1 strides")
	add("numel wraps to 0", tensorOf(0, []int64{1 << 32, 1 << 32}, []int64{0, 0}), at("shape [4294967296, 4294967296] has more elements than can be counted"))
	add("overflow hidden by a zero", tensorOf(0, []int64{1 << 32, 1 << 32, 0}, []int64{0, 0, 0}), "more elements than can be counted")
	add("2^59 elements of one", tensorOf(0, []int64{1 << 59}, []int64{0}), `tensor "t" of shape [576460752303423488] repeats elements`)
	add("a million elements of one", tensorOf(0, []int64{1 << 20}, []int64{0}), "repeats elements of its storage beyond what a file of")
	many := make([]int64, 65)
	for i := range many {
		many[i] = 1
	}
	add("65 dimensions", tensorOf(0, many, many), at("65 sizes and 65 strides, at most 64 are possible"))
	add("a thousand dimensions", state(rebuilt(four(), number(0), "("+strings.Repeat("K\x01", 1000)+"t", "("+strings.Repeat("K\x01", 1000)+"t")), "1000 sizes")
	add("a size that is a float", state(rebuilt(four(), number(0), "(G"+strings.Repeat("\x00", 8)+"t", numbers(1))), "size a float and stride 1 of dimension 0 are no counts")
	add("a size of 80 bits", state(rebuilt(four(), number(0), "(\x8a\x0a"+strings.Repeat("\x01", 10)+"t", numbers(1))), "size an int and stride 1")
	add("sizes in a list", state(rebuilt(four(), number(0), "]K\x04a", numbers(1))), "(a storage, an int, a list, a tuple, a bool, a dict) in place of a storage")
	add("a tensor of a tensor", state(rebuilt(rebuilt(four(), number(0), numbers(4), numbers(1)), number(0), numbers(4), numbers(1))), "(a tensor, an int")
	add("three arguments", state("ctorch._utils\n_rebuild_tensor_v2\n("+four()+"K\x00"+numbers(4)+"tR"), at("3 arguments"))
	add("a type that is none", state("ctorch._utils\n_rebuild_tensor_v3\n("+four()+"K\x00"+numbers(4)+numbers(1)+"\x89NNtR"), "None in place of an element type")
	add("eight bytes over four", state("ctorch._utils\n_rebuild_tensor_v3\n("+four()+"K\x00"+numbers(4)+numbers(1)+"\x89Nctorch\nuint64\ntR"), "reaches outside its storage of 2 elements")

	storage := func(s string) string { return state(rebuilt(s, number(0), numbers(4), numbers(1))) }
	add("storage not in the archive", storage(storageOf("FloatStorage", "1", 4)), `opcode BINPERSID at byte 93 of data.pkl: storage "1" is not in the archive`)
	add("storage key that climbs", storage(storageOf("FloatStorage", "../data.pkl", 4)), `storage "../data.pkl" is not in the archive`)
	add("storage shorter than said", storage(storageOf("FloatStorage", "0", 5)), `storage "0" has 16 bytes in the archive, where its elements take 20`)
	add("storage longer than said", storage(storageOf("FloatStorage", "0", 3)), "where its elements take 12")
	add("storage of wider elements", storage(storageOf("DoubleStorage", "0", 4)), "where its elements take 32")
	add("negative storage", storage(storageOf("FloatStorage", "0", -4)), `storage "0" of -4 elements`)
	add("storage of 2^62", storage(storageOf("FloatStorage", "0", 1<<62)), `storage "0" of 4611686018427387904 elements`)
	add("storage of 2^61-1", storage(storageOf("FloatStorage", "0", 1<<61-1)), "has 16 bytes in the archive")
	add("quantised storage", storage(storageOf("QInt8Storage", "0", 16)), `"torch.QInt8Storage" is not allowed`)
	id := func(s string) string { return storage(s + "Q") }
	add("persistent id a string", id(text("storage")), "a persistent id that is a str and no tuple")
	add("persistent id a list", id("]"), "a persistent id that is a list and no tuple")
	add("persistent id empty", id(")"), "the persistent id () is no storage of 5 entries")
	add("persistent id of a module", id("("+text("module")+text("m.py")+text("import os")+"NNt"), "is no storage of 5 entries")
	add("persistent id of six", id("("+text("storage")+"ctorch\nFloatStorage\n"+text("0")+text("cpu")+"K\x04Nt"), "is no storage of 5 entries")
	add("persistent id without a type", id("("+text("storage")+text("FloatStorage")+text("0")+text("cpu")+"K\x04t"), "does not name the type, key and length")
	add("persistent id of an inert type", id("("+text("storage")+"cbuiltins\nlist\n"+text("0")+text("cpu")+"K\x04t"), "does not name the type")
	add("persistent id with a key of bytes", id("("+text("storage")+"ctorch\nFloatStorage\nC\x010"+text("cpu")+"K\x04t"), "does not name the type")
	add("persistent id of half an element", id("("+text("storage")+"ctorch\nFloatStorage\n"+text("0")+text("cpu")+"G"+strings.Repeat("\x00", 8)+"t"), "does not name the type")
	add("persistent id of nothing", protocol2+"Q.", "opcode BINPERSID at byte 2 of data.pkl: wants 1 values")

	// A storage of a megabyte behind a thousand strided views.
	jumps := protocol2 + "}("
	for i := range 1000 {
		jumps += text(fmt.Sprint(i)) + rebuilt(storageOf("ByteStorage", "0", 1<<20), number(int64(i)), numbers(2), numbers(1<<20-1000))
	}
	files = append(files, hostileFile{"a thousand wide views", zipped(part{name: "a/data.pkl", content: jumps + "u."},
		part{name: "a/data/0", content: strings.Repeat("x", 1<<20)}), `is one of too many that pick elements out of a large storage`})
	return files
}

// hostileArchives are zip files with false entries.
func hostileArchives() []hostileFile {
	pickle, floats := part{name: "archive/data.pkl", content: good()}, part{name: "archive/data/0", content: strings.Repeat("\x00", 16)}
	plain := zipped(pickle, floats)
	bomb := part{name: "archive/data/0", content: strings.Repeat("\x00", 64<<20), method: zip.Deflate}
	patch := func(i, at int, value uint32, size int) []byte {
		return central(plain, i, func(h []byte) { copy(h[at:at+size], binary.LittleEndian.AppendUint32(nil, value)) })
	}
	both := func(size uint32) []byte {
		return central(plain, 1, func(h []byte) {
			binary.LittleEndian.PutUint32(h[20:], size)
			binary.LittleEndian.PutUint32(h[24:], size)
		})
	}
	named := func(name string) []byte { return zipped(pickle, floats, part{name: name, content: "x"}) }
	return []hostileFile{
		{"good", plain, ""},
		{"good, byte order", zipped(pickle, floats, part{name: "archive/byteorder", content: "little"}), ""},
		{"bomb", zipped(pickle, bomb), `entry "archive/data/0": is compressed (method 8, `},
		{"compressed pickle", zipped(part{name: "archive/data.pkl", content: good(), method: zip.Deflate}, floats), `entry "archive/data.pkl": is compressed`},
		{"bomb that nothing refers to", zipped(pickle, floats, part{name: "archive/x", content: strings.Repeat("\x00", 1<<20), method: zip.Deflate}), `entry "archive/x": is compressed`},
		{"unknown method", patch(1, 10, 99, 2), "is compressed (method 99"},
		{"stored, with two sizes", patch(1, 24, 1<<31, 4), "is compressed (method 0, 16 bytes that would become 2147483648)"},
		{"size past the end", both(1 << 30), "1073741824 bytes at "},
		{"encrypted", patch(1, 8, 1, 2), "is encrypted"},
		{"header past the end", patch(1, 42, 1<<30, 4), "reading its header"},
		{"header in the middle", patch(1, 42, 3, 4), "reading its header"},
		{"overlap", patch(1, 42, 0, 4), `inside "archive/data`},
		{"overlap by a byte", central(plain, 0, func(h []byte) {
			n := binary.LittleEndian.Uint32(h[24:]) + 200
			binary.LittleEndian.PutUint32(h[20:], n)
			binary.LittleEndian.PutUint32(h[24:], n)
		}), `entry "archive/data/0": begins at byte`},
		{"storage that lies over the pickle", zippedOver(), "begins at byte"},
		{"name twice", zipped(pickle, floats, floats), `entry "archive/data/0": occurs twice`},
		{"two pickles of one name", zipped(pickle, pickle, floats), `entry "archive/data.pkl": occurs twice`},
		{"two pickles in two folders", zipped(pickle, floats, part{name: "other/data.pkl", content: good()}), `entry "other/data.pkl": lies outside the folder "archive"`},
		{"no pickle", zipped(floats), "holds no data.pkl"},
		{"no entries", zipped(), "is no checkpoint of torch.save"},
		{"no folder", zipped(part{name: "data.pkl", content: good()}), `lies outside the folder "data.pkl"`},
		{"a TorchScript program", zipped(pickle, floats, part{name: "archive/constants.pkl", content: "x"}), "is a TorchScript program, which holds code"},
		{"a TorchScript program as torch.jit.save writes it", zipped(pickle, floats, part{"archive/code/__torch__/net.py", "class Net", zip.Deflate}), "is code of a TorchScript program, which is not run; load it by torch.jit.load"},
		{"name that climbs", named("archive/../../etc/passwd"), `entry "archive/../../etc/passwd": its name is no path inside`},
		{"name from the root", named("/etc/passwd"), "is no path inside"},
		{"name with a backslash", named(`archive/..\x`), "is no path inside"},
		{"neither little nor big", zipped(pickle, floats, part{name: "archive/byteorder", content: "middle"}), `byteorder is "middle"`},
		{"byte order of a megabyte", zipped(pickle, floats, part{name: "archive/byteorder", content: strings.Repeat("l", 1<<20)}), `byteorder is "llll`},
		{"table cut off", plain[:len(plain)-22], "reading the zip archive's table"},
		{"half", plain[:len(plain)/2], "reading the zip archive's table"},
		{"a million entries said", central(plain, 0, func(h []byte) {
			end := h[len(h)-22:]
			binary.LittleEndian.PutUint16(end[8:], 0xfffe)
			binary.LittleEndian.PutUint16(end[10:], 0xfffe)
		}), "reading the zip archive's table"},

		{"no bytes", nil, "is no checkpoint of torch.save"},
		{"three bytes", []byte("PK\x03"), "is no checkpoint of torch.save"},
		{"wrong magic", append([]byte("PK\x05\x06"), plain[4:]...), "is no checkpoint of torch.save"},
		{"bare pickle", []byte(good()), "is a bare pickle"},
		{"a web page", []byte("\n<!DOCTYPE html><html>"), "is a web page"},
		{"a pointer of Git LFS", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0"), "is a Git LFS pointer"},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00"), "is compressed with gzip"},
		{"safetensors", []byte("\x08\x00\x00\x00\x00\x00\x00\x00{}      "), "is a safetensors file"},
		{"a NumPy array", []byte("\x93NUMPY\x01\x00"), "is a NumPy array"},
	}
}

// zippedOver makes a storage overlap the bytes of the pickle before it.
func zippedOver() []byte {
	b := zipped(part{name: "a/data.pkl", content: good() + strings.Repeat("x", 64)}, part{name: "a/data/0", content: strings.Repeat("x", 16)})
	return central(b, 1, func(h []byte) { binary.LittleEndian.PutUint32(h[42:], 0) })
}

// hostileLegacy are files of the old format.
func hostileLegacy() []hostileFile {
	keys, storage := "]"+text("k")+"a", "\x04\x00\x00\x00\x00\x00\x00\x00"+strings.Repeat("\x00", 16)
	value := oldTensor("N")
	first := string(old(value, keys, storage))
	return []hostileFile{
		{"old, good", []byte(first), ""},
		{"old, os.system", old("cos\nsystem\n"+text("true")+"\x85R", keys, storage), `opcode GLOBAL at byte 27 of the file: the global "os.system" is not allowed`},
		{"old, os.system among the keys", old(value, "cos\nsystem\n)R", storage), `"os.system" is not allowed`},
		{"old, another version", []byte(strings.Replace(first, "M\xe9\x03", "M\xea\x03", 1)), "version 1002 of the old format"},
		{"old, version a dict", []byte(strings.Replace(first, "M\xe9\x03", "}", 1)), "version a dict of the old format"},
		{"old, only the magic number", []byte(legacyMagic), "the file: the pickle is cut short"},
		{"old, cut in the storage", []byte(first[:len(first)-1]), `storage "k" of 16 bytes at `},
		{"old, cut before the storage", []byte(first[:len(first)-20]), "lies behind the end of the file"},
		{"old, bytes left over", []byte(first + "x"), "1 bytes follow the last storage"},
		{"old, other length", old(value, keys, strings.Replace(storage, "\x04", "\x03", 1)), `storage "k" has 3 elements at byte`},
		{"old, negative length", old(value, keys, strings.Repeat("\xff", 8)+storage[8:]), "has 18446744073709551615 elements"},
		{"old, keys a tuple", old(value, ")", storage), "a tuple in place of the list of storages"},
		{"old, no key", old(value, "]", ""), "0 storages for the 1 that tensors have"},
		{"old, key twice", old(value, "]("+text("k")+text("k")+"e", storage+storage), `the list of storages holds "k", which no tensor has or which it holds twice`},
		{"old, unknown key", old(value, "]"+text("z")+"a", storage), `the list of storages holds "z"`},
		{"old, key an int", old(value, "]K\x01a", storage), "the list of storages holds 1"},
		{"old, view of a storage", old(oldTensor("("+text("v")+"K\x00K\x04t"), keys, storage), `storage "k" is a view of another`},
		{"old, storage of five", old(strings.Replace(value, "NtQ", "tQ", 1), keys, storage), "is no storage of 6 entries"},
		{"old, one storage of two lengths", old("}("+text("a")+value[len("}"+text("t")):len(value)-1]+text("b")+
			strings.Replace(value[len("}"+text("t")):len(value)-1], "K\x04NtQ", "K\x05NtQ", 1)+"u", keys, storage), `storage "k" is 20 bytes of F32 here and 16 of F32 before`},
	}
}

// Each file is refused with one line that names file, fault and next step, at little cost.
func TestHostileFiles(t *testing.T) {
	files := hostile()
	refused, most, slowest := 0, uint64(0), time.Duration(0)
	for _, c := range files {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		f, err := readBytes(c.file)
		slowest = max(slowest, time.Since(start))
		runtime.ReadMemStats(&after)
		cost := after.TotalAlloc - before.TotalAlloc
		most = max(most, cost)
		if limit := uint64(1<<20 + 100*len(c.file)); cost > limit || cost > 64<<20 {
			t.Errorf("%s: %d bytes allocated for a file of %d", c.what, cost, len(c.file))
		}
		if c.want == "" {
			if err == nil {
				_, err = f.Tensors()
			}
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		refused++
		switch {
		case err == nil:
			t.Errorf("%s: accepted", c.what)
		case !strings.Contains(err.Error(), c.want) && !tooLarge(err):
			t.Errorf("%s: want %q in %v", c.what, c.want, err)
		case !strings.HasPrefix(err.Error(), "model.pth: ") || strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000 ||
			!strings.Contains(err.Error(), "; ") && !strings.Contains(err.Error(), "NumPy array"):
			t.Errorf("%s: %q is not one line of file, fault and next step", c.what, err)
		}
	}
	if refused < 60 {
		t.Errorf("only %d files were refused", refused)
	}
	t.Logf("%d files refused; at most %d KB allocated and %v taken for one", refused, most>>10, slowest)
}

// A pickle or a file that is truncated anywhere is refused.
func TestCutFiles(t *testing.T) {
	pickle := good()
	for n := range len(pickle) {
		if _, err := readBytes(checkpoint(pickle[:n])); err == nil || !strings.Contains(err.Error(), "the pickle is cut short") {
			t.Errorf("a pickle cut at byte %d: %v", n, err)
		}
	}
	for _, path := range []string{"testdata/plain-dict-2.15.pth", "testdata/legacy-types-1.13.pth"} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(b) {
			if _, err := readBytes(b[:n]); err == nil {
				t.Errorf("%s cut at byte %d was read", path, n)
			}
		}
	}
}

// Whatever the bytes, memory stays in proportion to them, and an accepted file can be read.
func FuzzRead(f *testing.F) {
	for _, c := range hostile() {
		if len(c.file) < 1<<12 {
			f.Add(c.file)
		}
	}
	for _, name := range []string{"types-2.15", "wrapped-model-1.13", "legacy-types-2.15", "protocol-5-1.13"} {
		b, err := os.ReadFile("testdata/" + name + ".pth")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := readBytes(b)
		if err == nil {
			if _, err = file.Tensors(); err != nil && !strings.Contains(err.Error(), "cannot be read") &&
				!strings.Contains(err.Error(), "a BOOL of value") && !strings.Contains(err.Error(), "does not fit int64") {
				t.Errorf("accepted, but: %v", err)
			}
		}
		runtime.ReadMemStats(&after)
		// The constant covers a view that repeats one byte, as int64.
		if cost := after.TotalAlloc - before.TotalAlloc; cost > uint64(10<<20+150*len(b)) {
			t.Errorf("%d bytes allocated for a file of %d", cost, len(b))
		}
	})
}

// tooLarge reports whether err is about sizes that do not fit a 32-bit int.
func tooLarge(err error) bool {
	return strconv.IntSize == 32 && strings.Contains(err.Error(), "are no counts")
}
