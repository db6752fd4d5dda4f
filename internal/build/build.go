// Package build tests how the module builds: that the program is one static file, that
// it builds for all its systems, and that sources and pages follow the rules of
// CONTRIBUTING.md.
package build
