package checkpoint

import (
	"runtime"
	"runtime/debug"
)

const modulePath = "github.com/residual-ml/residual"

// Versions returns the version of Residual in this program, or (devel) if the build does not
// record one, and the version of Go.
func Versions() (residual, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)", runtime.Version()
	}
	return versionIn(info), info.GoVersion
}

func versionIn(info *debug.BuildInfo) string {
	found := debug.Module{}
	if info.Main.Path == modulePath {
		found = info.Main
	}
	for _, m := range info.Deps { // if another program uses the library
		if m.Path != modulePath {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		found = *m
	}
	if found.Version == "" {
		return "(devel)"
	}
	return found.Version
}
