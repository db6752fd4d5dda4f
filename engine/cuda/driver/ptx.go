//go:build cuda

package driver

import (
	"strconv"
	"strings"
)

// Signatures returns, for every kernel of a PTX text, the sizes of its parameters in bytes.
func Signatures(ptx string) map[string][]int {
	all := map[string][]int{}
	for _, part := range strings.Split(ptx, ".visible .entry ")[1:] {
		name, rest, _ := strings.Cut(part, "(")
		list, _, _ := strings.Cut(rest, ")")
		sizes := []int{}
		for _, p := range strings.Split(list, ",") {
			if f := strings.Fields(p); len(f) >= 3 && f[0] == ".param" {
				sizes = append(sizes, parameterSize(f))
			}
		}
		all[strings.TrimSpace(name)] = sizes
	}
	return all
}

// parameterSize returns the size of a parameter declared as ".param .u64 name" or
// ".param .align 8 .b8 name[56]", or 0 if it cannot parse the declaration.
func parameterSize(words []string) int {
	if words[1] == ".align" {
		_, count, _ := strings.Cut(words[len(words)-1], "[")
		n, _ := strconv.Atoi(strings.TrimSuffix(count, "]"))
		return n
	}
	bits, _ := strconv.Atoi(strings.TrimLeft(words[1], ".usbf"))
	return bits / 8
}
