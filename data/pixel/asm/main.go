// Command asm writes the assembly of package pixel. Run it with "go generate" in the
// parent folder after any change here, and commit what it writes.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", "..", "folder of package pixel")
	flag.Parse()
	generate(*dir)
}

// emitter is avo's context and the vectors.
type emitter struct {
	*build.Context
	y      [16]reg.VecPhysical
	tables map[string]operand.Mem
}

// generate writes both files into dir.
func generate(dir string) {
	ctx := build.NewContext()
	ctx.ConstraintExpr("!noasm")
	e := &emitter{Context: ctx, tables: map[string]operand.Mem{}, y: [16]reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	}}
	e.idctTables()
	e.idct()
	e.upsample()
	e.ycc()
	e.horizontal()
	e.vertical()
	file, err := ctx.Result()
	if err == nil {
		err = pass.Compile.Execute(file)
	}
	if err != nil {
		log.Fatal(err)
	}
	cfg := printer.Config{Name: "data/pixel/asm", Pkg: "pixel"}
	for suffix, p := range map[string]printer.Printer{".s": printer.NewGoAsm(cfg), ".go": printer.NewStubs(cfg)} {
		text, err := p.Print(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "avx2_amd64"+suffix), text, 0o644)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

// function starts a function of pointers and numbers.
func (e *emitter) function(name, doc, args string) {
	e.Function(name)
	e.Attributes(attr.NOSPLIT)
	e.Pragma("noescape")
	e.SignatureExpr("func(" + args + ")")
	e.Doc(name + " " + doc)
}

func (e *emitter) done() {
	e.VZEROUPPER()
	e.RET()
}

// arg loads a parameter.
func (e *emitter) arg(name string) reg.GPVirtual {
	r := e.GP64()
	e.Load(e.Param(name), r)
	return r
}

// words is a table of 16-bit numbers repeated to fill a vector.
func (e *emitter) words(name string, v ...int) {
	m := e.StaticGlobal(name)
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		e.AddDatum(2*i, operand.U16(uint16(int16(v[i%len(v)]))))
	}
	e.tables[name] = m
}

// longs is the same of a 32-bit number.
func (e *emitter) longs(name string, v int) {
	m := e.StaticGlobal(name)
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 8 {
		e.AddDatum(4*i, operand.U32(uint32(int32(v))))
	}
	e.tables[name] = m
}

func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }
