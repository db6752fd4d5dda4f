package serve

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"strconv"
)

// pageFiles are the page that classifies images in a browser. It needs nothing from elsewhere.
//
//go:embed page
var pageFiles embed.FS

// The page's scripts, styles and images come from this server alone, and no other page can hold it in a frame.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page adds the paths of the page.
func page(open func(pattern string, h handler)) {
	for path, file := range map[string]struct{ name, kind string }{
		"/{$}":         {"index.html", "text/html; charset=utf-8"},
		"/page.js":     {"page.js", "text/javascript; charset=utf-8"},
		"/page.css":    {"page.css", "text/css; charset=utf-8"},
		"/favicon.svg": {"favicon.svg", "image/svg+xml"},
	} {
		content, err := pageFiles.ReadFile("page/" + file.name)
		if err != nil {
			panic(err) // it is part of the program
		}
		sum := sha256.Sum256(content)
		tag := strconv.Quote(hex.EncodeToString(sum[:8]))
		open("GET "+path, func(w http.ResponseWriter, r *http.Request) error {
			h := w.Header()
			h.Set("Content-Security-Policy", contentPolicy)
			h.Set("Permissions-Policy", "camera=(self)")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cache-Control", "no-cache")
			h.Set("ETag", tag)
			if r.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
			h.Set("Content-Type", file.kind)
			h.Set("Content-Length", strconv.Itoa(len(content)))
			_, _ = w.Write(content)
			return nil
		})
	}
}
