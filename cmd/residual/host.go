package main

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

// cpuCache is a cache of the first core.
type cpuCache struct {
	Level    int    `json:"level"`
	Kind     string `json:"kind"` // data, instruction or unified
	Bytes    int64  `json:"bytes"`
	SharedBy string `json:"shared_by"` // CPUs, as 0-3
}

// cpuModel is the maker's name of the CPU, or what is known in its place.
func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // Linux; elsewhere there is none
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return cmp.Or(systemCPU(), runtime.GOARCH)
}

// cpuFeatures lists what kernels are, or will be, written for.
func cpuFeatures() []feature {
	switch runtime.GOARCH {
	case "amd64":
		x := cpu.X86
		return []feature{
			{"AVX2", x.HasAVX2}, {"FMA", x.HasFMA},
			{"AVX512F", x.HasAVX512F}, {"AVX512BW", x.HasAVX512BW}, {"AVX512DQ", x.HasAVX512DQ}, {"AVX512VL", x.HasAVX512VL},
			{"AVX512_VNNI", x.HasAVX512VNNI}, {"AVX512_BF16", x.HasAVX512BF16},
			{"AMX_TILE", x.HasAMXTile}, {"AMX_INT8", x.HasAMXInt8}, {"AMX_BF16", x.HasAMXBF16},
		}
	case "arm64":
		x := cpu.ARM64
		return []feature{{"ASIMD", x.HasASIMD}, {"ASIMDHP", x.HasASIMDHP}, {"ASIMDDP", x.HasASIMDDP}, {"SVE", x.HasSVE}, {"SVE2", x.HasSVE2}}
	}
	return nil
}

// cpuCaches reads the caches of the first core where Linux lists them.
func cpuCaches() []cpuCache {
	folders, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index*")
	var caches []cpuCache
	for _, dir := range folders {
		level, _ := strconv.Atoi(firstLine(dir, "level"))
		bytes := cacheSize(firstLine(dir, "size"))
		if level == 0 || bytes == 0 {
			continue
		}
		caches = append(caches, cpuCache{level, strings.ToLower(firstLine(dir, "type")), bytes, firstLine(dir, "shared_cpu_list")})
	}
	slices.SortStableFunc(caches, func(a, b cpuCache) int {
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

// memory is what the machine has and what of it could be had now.
func memory() (total, available int64) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return systemMemory(), 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			total = kib << 10
		case "MemAvailable:":
			available = kib << 10
		}
	}
	return total, available
}

// memoryLimit is that of the container, as far as Linux tells; 0 for none.
func memoryLimit() int64 {
	for _, file := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
		n, err := strconv.ParseInt(firstLine("/sys/fs/cgroup", file), 10, 64)
		if err == nil && n < 1<<60 { // beyond that it is the word for "none"
			return n
		}
	}
	return 0
}

// freeMemory is what could be had now, of the machine or as much as the container may
// have; 0 where neither is known.
func freeMemory() int64 {
	_, available := memory()
	if limit := memoryLimit(); limit > 0 && (available == 0 || limit < available) {
		return limit
	}
	return available
}

func firstLine(dir, file string) string {
	text, _ := os.ReadFile(filepath.Join(dir, file))
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}
