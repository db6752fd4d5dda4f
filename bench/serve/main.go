// Command serve measures residual serve beside other servers of models, on loopback: requests a second at
// equal p99, the share of the network's own throughput, overload, memory, and the time to the first answer.
// README.md beside it says what it needs and what is measured.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if *model == "" {
		log.Fatal("-model: name a resnet18, as from `residual import resnet18.pth --out resnet18.safetensors`")
	}
	folder, err := os.MkdirTemp("", "bench-serve-")
	if err != nil {
		log.Fatal(err)
	}
	err = measure(folder)
	_ = os.RemoveAll(folder)
	if err != nil {
		log.Fatal(err)
	}
}

func measure(folder string) error {
	if *residual == "" {
		*residual = filepath.Join(folder, "residual")
		if err := run("go", "build", "-C", "../..", "-ldflags=-s -w", "-o", *residual, "./cmd/residual"); err != nil {
			return err
		}
	}
	photos, err := draw(64)
	if err != nil {
		return err
	}
	peak := 0.0
	if wants("load") || wants("overload") {
		if peak, err = compare(folder, photos); err != nil {
			return err
		}
	}
	if wants("bench") {
		if err := beside(peak); err != nil {
			return err
		}
	}
	if wants("overload") {
		if err := overload(photos, peak); err != nil {
			return err
		}
	}
	if wants("start") {
		return starts(photos)
	}
	return nil
}

// compare measures all servers in turns and prints the table. It returns the most requests a second of residual serve.
func compare(folder string, photos [][]byte) (peak float64, err error) {
	servers := []server{ours(*model)}
	if wants("load") {
		others, err := peers(folder)
		if err != nil {
			return 0, err
		}
		servers = append(servers, others...)
	}
	points := make([][]point, len(servers))
	for r := range *rounds {
		for i := range servers {
			if r%2 == 1 {
				i = len(servers) - 1 - i
			}
			found, err := servers[i].sweep(photos)
			if err != nil {
				return 0, err
			}
			points[i] = append(points[i], found...)
		}
	}
	for _, p := range points[0] {
		peak = max(peak, p.rate)
	}
	table(servers, points)
	return peak, nil
}

// beside prints the share of the throughput without HTTP.
func beside(peak float64) error {
	text, err := exec.Command(*residual, "bench", "--mode", "infer", "--model", "resnet18", "--feed", "photos", "--batch", "32", "--json").Output()
	if err != nil {
		return fmt.Errorf("residual bench: %w", err)
	}
	var b struct {
		Rate float64 `json:"images_per_second"`
	}
	if err := json.Unmarshal(text, &b); err != nil || b.Rate == 0 {
		return fmt.Errorf("residual bench: %v: %s", err, text)
	}
	fmt.Printf("\nresidual bench --mode infer --feed photos --batch 32: %.0f images/s", b.Rate)
	if peak > 0 {
		fmt.Printf("; served %.0f, which is %.2f of it", peak, peak/b.Rate)
	}
	fmt.Println()
	return nil
}
