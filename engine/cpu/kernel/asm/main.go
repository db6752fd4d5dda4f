// Command asm generates the assembly of package kernel. Run it with "go generate"
// in the parent folder after any change here, and commit the files that it writes.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", "..", "folder of package kernel")
	flag.Parse()
	generate(*dir)
}

// generate writes all files into dir.
func generate(dir string) {
	for _, isa := range []isa{avx512, avx2} {
		write(dir, "gemm_"+isa.name+"_amd64", isa, gemmFile, productSwitch(isa, "gemm", floats, ", p.aks, p.bks"))
		write(dir, "vector_"+isa.name+"_amd64", isa, vectorFile, "")
		write(dir, "mix_"+isa.name+"_amd64", isa, mixFile, mixSwitch(isa))
		write(dir, "combine_"+isa.name+"_amd64", isa, combineFile, "")
		write(dir, "bytes_"+isa.name+"_amd64", isa, bytesFile, "")
		write(dir, "tilesbytes_"+isa.name+"_amd64", isa, tilesBytesFile, exactSwitch(isa))
	}
	for _, isa := range []isa{avx512bf16, avx512, avx2} {
		write(dir, "vectorbf16_"+isa.name+"_amd64", isa, vectorBF16File, "")
		write(dir, "dot_"+isa.name+"_amd64", isa, dotFile, productSwitch(isa, "dot", bf16Pairs, ""))
		write(dir, "round_"+isa.name+"_amd64", isa, roundFile, roundSwitch(isa))
		write(dir, "sums_"+isa.name+"_amd64", isa, sumsFile, sumsSwitch(isa))
		write(dir, "pairs_"+isa.name+"_amd64", isa, pairsFile, "")
		write(dir, "tiles_"+isa.name+"_amd64", isa, tilesFile, tileSwitch(isa))
		write(dir, "lines_"+isa.name+"_amd64", isa, linesFile, "")
	}
	for _, isa := range []isa{avx512vnni, avx512, avx2} {
		write(dir, "dotint16_"+isa.name+"_amd64", isa, dotInt16File, productSwitch(isa, "dotInt16", int16Pairs, ""))
		write(dir, "dotsums_"+isa.name+"_amd64", isa, dotSumsFile, dotSumsSwitch(isa))
		write(dir, "dotint8_"+isa.name+"_amd64", isa, dotInt8File, quadSwitch(isa))
	}
	write(dir, "words_avx512_amd64", avx512, wordsFile, "")
	for name, text := range map[string][]byte{"mix_matrices.go": matricesFile(), "mix_operations.go": operationsFile(), "exact_tilings.go": exactFile(),
		"line_tiling.go": linesText()} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// write generates one assembly file and the Go file that declares its functions and
// ends with extra, Go text that calls them.
func write(dir, name string, isa isa, body func(*emitter), extra string) {
	ctx := build.NewContext()
	ctx.ConstraintExpr("!noasm")
	body(&emitter{Context: ctx, isa: isa})
	file, err := ctx.Result()
	if err == nil {
		err = pass.Compile.Execute(file)
	}
	if err != nil {
		log.Fatalf("%s: %v", name, err)
	}
	spellBytes(file)
	cfg := printer.Config{Name: "engine/cpu/kernel/asm", Pkg: "kernel"}
	for suffix, p := range map[string]printer.Printer{".s": printer.NewGoAsm(cfg), ".go": printer.NewStubs(cfg)} {
		text, err := p.Print(file)
		if err != nil {
			log.Fatalf("%s%s: %v", name, suffix, err)
		}
		if suffix == ".go" {
			text = append(text, extra...)
		}
		if err := os.WriteFile(filepath.Join(dir, name+suffix), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
