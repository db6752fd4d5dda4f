package report

import "golang.org/x/sys/windows"

// understandsEscapes turns on the console's escape sequences. Consoles older
// than Windows 10 do not have them and get plain lines.
func understandsEscapes(fd uintptr) bool {
	h := windows.Handle(fd)
	var mode uint32
	if err := windows.GetConsoleMode(h, &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
