// Package host describes this machine: its processor and caches, and the memory that this
// process can still allocate, limits of containers included.
package host

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/cpu"
)

// Cache is a cache of the first core.
type Cache struct {
	Level    int    `json:"level"`
	Kind     string `json:"kind"` // data, instruction or unified
	Bytes    int64  `json:"bytes"`
	SharedBy string `json:"shared_by"` // list of CPUs, such as 0-3
}

// CPU returns the vendor's name of the CPU, or the architecture if the system does not
// tell the name.
func CPU() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // Linux; elsewhere there is none
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return cmp.Or(systemCPU(), runtime.GOARCH)
}

// Feature is an instruction set extension, with whether the processor has it.
type Feature struct {
	Name string `json:"name"`
	Has  bool   `json:"has"`
}

// Features lists the extensions that kernels are, or will be, written for.
func Features() []Feature {
	switch runtime.GOARCH {
	case "amd64":
		x := cpu.X86
		return []Feature{
			{"AVX2", x.HasAVX2}, {"FMA", x.HasFMA},
			{"AVX512F", x.HasAVX512F}, {"AVX512BW", x.HasAVX512BW}, {"AVX512DQ", x.HasAVX512DQ}, {"AVX512VL", x.HasAVX512VL},
			{"AVX512_VNNI", x.HasAVX512VNNI}, {"AVX512_BF16", x.HasAVX512BF16},
			{"AMX_TILE", x.HasAMXTile}, {"AMX_INT8", x.HasAMXInt8}, {"AMX_BF16", x.HasAMXBF16},
		}
	case "arm64":
		x := cpu.ARM64
		return []Feature{{"ASIMD", x.HasASIMD}, {"ASIMDHP", x.HasASIMDHP}, {"ASIMDDP", x.HasASIMDDP}, {"SVE", x.HasSVE}, {"SVE2", x.HasSVE2}}
	}
	return nil
}

// Caches reads the caches of the first core where Linux lists them.
func Caches() []Cache {
	folders, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index*")
	var caches []Cache
	for _, dir := range folders {
		level, _ := strconv.Atoi(firstLine(dir, "level"))
		bytes := cacheSize(firstLine(dir, "size"))
		if level == 0 || bytes == 0 {
			continue
		}
		caches = append(caches, Cache{level, strings.ToLower(firstLine(dir, "type")), bytes, firstLine(dir, "shared_cpu_list")})
	}
	slices.SortStableFunc(caches, func(a, b Cache) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), strings.Compare(a.Kind, b.Kind))
	})
	return caches
}

// cacheSize reads sizes such as 32K and 2M.
func cacheSize(text string) int64 {
	unit := int64(1)
	switch {
	case strings.HasSuffix(text, "K"):
		unit = 1 << 10
	case strings.HasSuffix(text, "M"):
		unit = 1 << 20
	}
	n, _ := strconv.ParseInt(strings.TrimRight(text, "KM"), 10, 64)
	return n * unit
}

func firstLine(dir, file string) string {
	text, _ := os.ReadFile(filepath.Join(dir, file))
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}
