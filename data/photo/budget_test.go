package photo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// The error for an image beyond the limit gives its size and the limit. An image at the limit is
// read.
func TestMaxPixels(t *testing.T) {
	for name, pixels := range map[string]int64{"turned6.jpg": 140, "plain.bmp": 140, "palette.gif": 140, "lossless.webp": 140, "turned6.png": 140} {
		content := read(t, name)
		_, info, err := Decode(content, Options{MaxPixels: pixels - 1})
		var large *TooLargeError
		if !errors.As(err, &large) || large.Pixels() != pixels || large.MaxPixels != pixels-1 || int64(info.Width*info.Height) != pixels {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
		if want := fmt.Sprintf("is too large: %dx%d are 140 pixels, where 139 pixels are possible", info.Width, info.Height); !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", name, want, err)
		}
		if _, _, err := Decode(content, Options{MaxPixels: pixels}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Options{}).within(8000, 6250); err != nil {
		t.Errorf("50 megapixels: %v", err)
	}
	if (Options{}).within(8000, 6251) == nil || (Options{}).within(1<<31-1, 1<<31-1) == nil {
		t.Error("more than 50 megapixels are possible")
	}
}

// An ended context stops decoding in every format, and the error is that of the context.
func TestContextEndsADecoding(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	for _, name := range []string{"turned6.jpg", "plain.bmp", "palette.gif", "lossless.webp", "turned6.png"} {
		m, _, err := Decode(read(t, name), Options{Context: ctx})
		if err != context.Canceled || m.Pix != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := Decode(read(t, name), Options{Context: t.Context()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The memory that is reserved at once stays within the budget for any number of goroutines. An
// image that is larger than the budget is decoded alone.
func TestBudget(t *testing.T) {
	small, large := read(t, "turned6.png"), read(t, "turned6.jpg")
	one := DecodingBytes(small, Options{})
	if pixels := int64(3 * 10 * 14); one < 2*pixels || one > 100*pixels {
		t.Fatalf("an image of %d bytes takes %d", pixels, one)
	}
	if turned, stored := DecodingBytes(large, Options{}), DecodingBytes(large, Options{AsStored: true}); turned != stored+3*10*14 {
		t.Errorf("%d bytes turned, %d as stored", turned, stored)
	}
	if n := DecodingBytes([]byte("no image"), Options{}); n != 0 {
		t.Errorf("no image takes %d bytes", n)
	}
	for _, c := range []struct{ bytes, want int64 }{
		{3 * one, 3 * one}, {3*one + one/2, 3 * one}, {one, one}, {one / 2, one}, {1, one}, {100 * one, 8 * one},
	} {
		b := NewBudget(c.bytes)
		var all sync.WaitGroup
		full := make(chan bool) // closed when no other image fits in
		closed := sync.OnceFunc(func() { close(full) })
		for range 8 {
			all.Go(func() {
				release, err := b.Hold(small, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if b.Peak() == c.want {
					closed()
				}
				<-full
				if _, _, err := Decode(small, Options{}); err != nil {
					t.Error(err)
				}
				release()
				release() // does nothing
			})
		}
		all.Wait()
		if b.Peak() != c.want || b.inUse != 0 {
			t.Errorf("a budget of %d: %d in use at once, want %d; %d in the end", c.bytes, b.Peak(), c.want, b.inUse)
		}
	}
}

// Waiting for memory ends with the context, and a nil budget never waits.
func TestBudgetStopsWithItsContext(t *testing.T) {
	content := read(t, "turned6.png")
	b := NewBudget(1)
	release, err := b.Hold(content, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := b.Hold(content, Options{Context: ctx}); err != context.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	release()
	if release, err = b.Hold(content, Options{}); err != nil {
		t.Fatal(err)
	}
	release()
	var none *Budget
	if release, err = none.Hold(content, Options{}); err != nil {
		t.Fatal(err)
	}
	release()
	if n := NewBudget(0); n.bytes != DefaultBudget {
		t.Errorf("%d bytes", n.bytes)
	}
}

// Inspect and Decode return the same error for a JPEG file of a kind that is not decoded.
func TestJPEGKinds(t *testing.T) {
	good := read(t, "turned6.jpg")
	sof := strings.Index(string(good), "\xff\xc0")
	for want, change := range map[string]func(b []byte){
		"is a jpeg file of a kind that is not read (unsupported JPEG: arithmetic coding)":   func(b []byte) { b[sof+1] = 0xc9 },
		"is a jpeg file of a kind that is not read (unsupported JPEG: lossless coding)":     func(b []byte) { b[sof+1] = 0xc3 },
		"is a jpeg file of a kind that is not read (unsupported JPEG: samples of 12 bits)":  func(b []byte) { b[sof+4] = 12 },
		"is a jpeg file of a kind that is not read (unsupported JPEG: the height comes aft": func(b []byte) { b[sof+5], b[sof+6] = 0, 0 },
		"is a jpeg file that cannot be decoded (damaged JPEG: it has no pixels)":            func(b []byte) { b[sof+7], b[sof+8] = 0, 0 },
	} {
		b := []byte(string(good))
		change(b)
		_, err := Inspect(b, Options{})
		_, _, err2 := Decode(b, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), want) || err2 == nil || err2.Error() != err.Error() {
			t.Errorf("want %q, got %v and %v", want, err, err2)
		}
	}
}
