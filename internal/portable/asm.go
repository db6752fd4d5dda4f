//go:build !noasm

package portable

// Build says whether the tag noasm left the assembly out of this build.
const Build = false
