package exchange

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
)

func TestPackageNames(t *testing.T) {
	for dir, want := range map[string]string{
		"shoes": "shoes", "My-Shoes": "myshoes", "2shoes": "shoes", "shoes2": "shoes2", "go": "model", "func": "model",
		"": "model", ".": "model", "main": "model", "schuhe_ä": "schuhe_", "__": "model", "a\n": "a",
	} {
		if got := packageName(dir); got != want {
			t.Errorf("%q gives %q, want %q", dir, got, want)
		}
	}
}

func TestSaveGoKeepsOtherFiles(t *testing.T) {
	info := checkpoint.Model{Architecture: "d2l-bnlenet\"\n*/", Classes: make([]string, 10), Channels: 1, Height: 28, Width: 28}
	m := models.NewD2LBNLeNet(1, 10)
	dir := filepath.Join(t.TempDir(), "new", "shoes")
	for range 2 { // the second time over what it wrote itself
		if name, err := SaveGo(dir, m, info); err != nil || name != "shoes" {
			t.Fatalf("%q, %v", name, err)
		}
	}
	source := filepath.Join(dir, goSource)
	if err := os.WriteFile(source, []byte("package shoes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := SaveGo(dir, m, info); err == nil || !strings.Contains(err.Error(), source) {
		t.Errorf("somebody's file: %v", err)
	}
	if b, _ := os.ReadFile(source); string(b) != "package shoes\n" {
		t.Errorf("it became %q", b)
	}
}
