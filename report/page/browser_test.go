package page

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// probe is what a script in the page reports about it.
type probe struct {
	Sections []string  `json:"sections"`
	Images   int       `json:"images"`
	Broken   int       `json:"broken"`   // images without pixels
	Requests []string  `json:"requests"` // requests for anything outside the file
	Errors   []string  `json:"errors"`
	Sideways int       `json:"sideways"` // pixels by which the page is wider than the window
	Sorted   []float64 `json:"sorted"`   // F1 after two clicks on its heading, as shown
	Found    int       `json:"found"`    // classes that a search leaves
	Ink      string    `json:"ink"`
	Page     string    `json:"page"`
}

// probeScript fills in a probe once everything is loaded.
const probeScript = `
const errors = [];
addEventListener("error", e => errors.push(String(e.message || e.target.tagName)), true);
addEventListener("securitypolicyviolation", e => errors.push("policy: " + e.violatedDirective));
addEventListener("load", async () => {
  const images = [...document.images];
  await Promise.allSettled(images.map(i => i.decode()));
  const head = [...document.querySelectorAll("#classes th button")].find(b => b.textContent === "F1");
  head.click(); head.click();
  const rows = () => [...document.querySelectorAll("#classes tbody tr")];
  const sorted = rows().map(r => Number(r.cells[3].textContent));
  const find = document.querySelector("input.find");
  if (find) { find.value = "class 77"; find.dispatchEvent(new Event("input")); }
  const style = getComputedStyle(document.body);
  const pre = document.createElement("pre");
  pre.id = "probe";
  pre.textContent = JSON.stringify({
    sections: [...document.querySelectorAll("main section")].map(s => s.id),
    images: images.length, broken: images.filter(i => !(i.naturalWidth > 0)).length,
    requests: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
    errors, sorted, found: rows().filter(r => !r.hidden).length,
    sideways: document.documentElement.scrollWidth - innerWidth, ink: style.color, page: style.backgroundColor,
  });
  document.body.append(pre);
});`

// browser returns the path of a headless Chromium, or skips the test.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium in PATH; install it to see the page in a real browser (apt install chromium)")
	return ""
}

// open runs the browser on a file, with every host blocked, and returns its output.
func open(t *testing.T, chromium, file string, args ...string) (stdout, stderr string) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	defer stop()
	all := append([]string{
		"--headless=new", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-dev-shm-usage", "--disable-extensions",
		"--user-data-dir=" + t.TempDir(), "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--window-size=1280,1000",
	}, args...)
	if os.Geteuid() == 0 {
		all = append(all, "--no-sandbox") // root has no sandbox
	}
	cmd := exec.CommandContext(ctx, chromium, append(all, (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String())...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", chromium, err, errs.String())
	}
	return out.String(), errs.String()
}

// look opens a page with the probe in it; the page's policy is changed to allow the probe.
func look(t *testing.T, chromium, text string, args ...string) probe {
	t.Helper()
	policy := regexp.MustCompile(`script-src &#39;sha256-.*?&#39;`)
	if !policy.MatchString(text) {
		t.Fatal("the page has no policy for scripts")
	}
	text = policy.ReplaceAllString(text, "script-src &#39;unsafe-inline&#39;")
	text = strings.Replace(text, "<body>", "<body><script>"+probeScript+"</script>", 1)
	file := filepath.Join(t.TempDir(), "probed.html")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	var dom string
	var found []string
	for try := 0; try < 3 && found == nil; try++ { // a browser short of time may print the page before its scripts have ended
		dom, _ = open(t, chromium, file, append(args, "--virtual-time-budget=10000", "--dump-dom")...)
		found = regexp.MustCompile(`(?s)<pre id="probe">(.*?)</pre>`).FindStringSubmatch(dom)
	}
	if found == nil {
		t.Fatalf("the page's scripts did not come to their end; the browser has\n%.2000s", dom)
	}
	var p probe
	if err := json.Unmarshal([]byte(html.UnescapeString(found[1])), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestInBrowser opens reports in Chromium and checks sections, images, sorting, widths, light
// and dark mode, and that the browser reports no violation of the page's own policy.
func TestInBrowser(t *testing.T) {
	chromium := browser(t)
	small, large := write(t, example(10, 5)), write(t, example(120, 2))
	for _, c := range []struct {
		name, text string
		args       []string
		images     int
		found      int
		dark       bool
	}{
		{"light", small, nil, 10, 10, false},
		{"dark", small, []string{"--blink-settings=preferredColorScheme=0"}, 10, 10, true},
		{"narrow", large, []string{"--window-size=500,900"}, 4, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := look(t, chromium, c.text, c.args...)
			if got, want := strings.Join(p.Sections, " "), "summary training confusion classes calibration mistakes settings"; got != want {
				t.Errorf("sections %s, want %s", got, want)
			}
			if p.Images != c.images || p.Broken > 0 {
				t.Errorf("%d images, of which %d are broken, want %d", p.Images, p.Broken, c.images)
			}
			if len(p.Requests) > 0 || len(p.Errors) > 0 {
				t.Errorf("requests %q, errors %q", p.Requests, p.Errors)
			}
			if p.Sideways > 0 {
				t.Errorf("the page is %d pixels wider than the window", p.Sideways)
			}
			for i := 1; i < len(p.Sorted); i++ {
				if p.Sorted[i] < p.Sorted[i-1] {
					t.Fatalf("sorted by F1: %v", p.Sorted)
				}
			}
			if p.Found != c.found {
				t.Errorf("a search leaves %d classes, want %d", p.Found, c.found)
			}
			if dark := bright(t, p.Ink) > bright(t, p.Page); dark != c.dark {
				t.Errorf("text of %s on %s", p.Ink, p.Page)
			}
		})
	}
	t.Run("untouched", func(t *testing.T) {
		file, shot := filepath.Join(t.TempDir(), "report.html"), filepath.Join(t.TempDir(), "shot.png")
		if err := os.WriteFile(file, []byte(small), 0o666); err != nil {
			t.Fatal(err)
		}
		_, stderr := open(t, chromium, file, "--screenshot="+shot)
		for line := range strings.Lines(stderr) {
			if strings.Contains(line, "CONSOLE") {
				t.Errorf("the browser says %s", line)
			}
		}
		if info, err := os.Stat(shot); err != nil || info.Size() < 10_000 {
			t.Errorf("no screenshot of the page was made: %v", err)
		}
	})
}

// bright is the sum of the channels of a colour in CSS notation.
func bright(t *testing.T, color string) int {
	t.Helper()
	var r, g, b int
	if _, err := fmt.Sscanf(color, "rgb(%d, %d, %d)", &r, &g, &b); err != nil {
		t.Fatalf("%q: %v", color, err)
	}
	return r + g + b
}
