package report

import "golang.org/x/sys/windows"

// understandsEscapes turns the console's escape sequences on; consoles older
// than Windows 10 have none and get plain lines.
func understandsEscapes(fd uintptr) bool {
	h := windows.Handle(fd)
	var mode uint32
	if err := windows.GetConsoleMode(h, &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
