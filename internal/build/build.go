// Package build holds tests of how the module builds: that the program is one
// static file, that it builds for the systems it is meant for, and that its
// sources keep the house's form.
package build
