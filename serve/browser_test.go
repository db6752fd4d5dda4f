package serve_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser returns a tab of a real browser, or skips the test, and the function that lists what went wrong in
// the page since the last call.
func browser(t *testing.T) (context.Context, func() []string) {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no chromium in PATH; install it to use the page in a real browser (apt install chromium)")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	do(t, ctx) // the browser lives as long as the context of the first call
	var mu sync.Mutex
	var wrong []string
	if err := chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			wrong = append(wrong, fmt.Sprint(e.ExceptionDetails.Text, " ", e.ExceptionDetails.Exception))
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				wrong = append(wrong, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	return ctx, func() []string {
		mu.Lock()
		defer mu.Unlock()
		all := wrong
		wrong = nil
		return all
	}
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// eval returns the value of a JavaScript expression.
func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// eventually waits until a JavaScript expression is true.
func eventually(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	for range 600 {
		if eval[bool](t, ctx, "Boolean("+expression+")") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s is never true; the page says:\n%s", expression, eval[string](t, ctx, "document.body.innerText"))
}

// The page classifies chosen, dropped, pasted and photographed images, explains an answer, and says
// what is wrong with a file. RESIDUAL_SCREENSHOTS names a folder for pictures of it.
func TestPage(t *testing.T) {
	ctx, wrong := browser(t)
	s, _ := started(t, about(), quiet())
	url, end := serving(t, s, "127.0.0.1:0")
	defer end()
	dir := t.TempDir()
	var files []string
	for i := range 3 {
		files = append(files, filepath.Join(dir, fmt.Sprint("photo-", i, ".jpg")))
		if err := os.WriteFile(files[i], jpegOf(t, uint64(i)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	text := filepath.Join(dir, "notes.jpg")
	if err := os.WriteFile(text, []byte("no image"), 0o666); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.EmulateViewport(1100, 900), chromedp.Navigate(url))
	eventually(t, ctx, `document.querySelector("#card h2")?.textContent === "animals" && document.querySelector("#card").textContent.includes("ant, bee, cat, dog")`)
	do(t, ctx, chromedp.SetUploadFiles(chromedp.CSS("#files"), files))
	eventually(t, ctx, `document.querySelectorAll(".result").length === 3 && [...document.querySelectorAll(".bars")].every(b => b.querySelectorAll("meter").length === 4)`)
	want := read(t, ask(s, "POST", "/predict", jpegOf(t, 2)), 200).Classes[0]
	if first := eval[string](t, ctx, `document.querySelector(".result .bars .name").textContent`); first != want.Class {
		t.Errorf("the page shows %q for the last image, want %q", first, want.Class)
	}
	do(t, ctx, chromedp.Click(chromedp.CSS(".result .explain")))
	eventually(t, ctx, `document.querySelector(".result .cam").complete && document.querySelector(".result .cam").naturalWidth > 0 && !document.querySelector(".result .cam").hidden`)
	shoot(t, ctx, "page.png")

	do(t, ctx, chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{text}))
	eventually(t, ctx, `document.querySelector(".result .failed")?.textContent.includes("not a JPEG")`)
	if got := wrong(); len(got) != 1 || !strings.Contains(got[0], "415") { // the browser logs the status
		t.Errorf("errors in the page: %q", got)
	}

	// By the clipboard and by dragging.
	for _, event := range []string{
		`new ClipboardEvent("paste", {clipboardData: transfer})`,
		`new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true})`,
	} {
		before := `document.querySelectorAll(".result").length`
		n := eval[int](t, ctx, before)
		do(t, ctx, chromedp.Evaluate[chromedp.Void](`(async () => {
			const blob = await new Promise(done => { const c = document.createElement("canvas"); c.width = c.height = 40; c.getContext("2d").fillRect(3, 3, 9, 9); c.toBlob(done); });
			const transfer = new DataTransfer();
			transfer.items.add(new File([blob], "drawn.png", {type: "image/png"}));
			document.dispatchEvent(`+event+`);
		})()`))
		eventually(t, ctx, fmt.Sprintf(`%s === %d && document.querySelectorAll(".result .bars")[0].querySelectorAll("meter").length === 4`, before, n+1))
	}

	// By the keyboard alone: the camera, its picture, and back.
	do(t, ctx, chromedp.Focus(chromedp.CSS("#camera")), chromedp.KeyEvent(kb.Enter))
	eventually(t, ctx, `document.activeElement.id === "shoot" && document.querySelector("#video").videoWidth > 0`)
	do(t, ctx, chromedp.KeyEvent(kb.Enter))
	eventually(t, ctx, `document.querySelector(".result figcaption")?.textContent === "camera.jpg" && document.querySelector(".result .bars").querySelectorAll("meter").length === 4`)
	do(t, ctx, chromedp.KeyEvent(kb.Escape))
	eventually(t, ctx, `document.querySelector("#viewfinder").hidden`)

	// On a phone, in the dark: nothing is wider than the screen, and the colours change.
	const back = `getComputedStyle(document.body).backgroundColor`
	light := eval[string](t, ctx, back)
	do(t, ctx, chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	}); err != nil {
		t.Fatal(err)
	}
	if dark := eval[string](t, ctx, back); light == dark {
		t.Errorf("light and dark have the background %s", light)
	}
	if width := eval[int](t, ctx, `document.documentElement.scrollWidth`); width > 360 {
		t.Errorf("on a screen of 360 pixels the page has %d", width)
	}
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`window.scrollTo(0, 0)`))
	shoot(t, ctx, "page-phone.png")
	if got := wrong(); len(got) != 0 {
		t.Errorf("errors in the page: %q", got)
	}
}

// A server with a token asks for it once.
func TestPageWithToken(t *testing.T) {
	ctx, _ := browser(t)
	o := quiet()
	o.Token = "secret"
	s, _ := started(t, about(), o)
	url, end := serving(t, s, "127.0.0.1:0")
	defer end()
	do(t, ctx, chromedp.Navigate(url))
	eventually(t, ctx, `!document.querySelector("#token-form").hidden && document.activeElement.id === "token"`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#token"), "secret"+kb.Enter))
	eventually(t, ctx, `document.querySelector("#token-form").hidden && document.querySelector("#card h2")?.textContent === "animals"`)
}

// shoot writes a picture of what the browser shows.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("RESIDUAL_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), picture, 0o666); err != nil {
		t.Fatal(err)
	}
}
