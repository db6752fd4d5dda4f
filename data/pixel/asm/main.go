// Command asm generates the assembly of package pixel. After any change here, run "go generate"
// in the parent folder and commit the generated files.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"

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

// generate writes the assembly and its Go declarations into dir.
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
