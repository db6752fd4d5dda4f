package exchange

import (
	"os"
	"strings"
	"testing"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/prepare"
)

// Every model of the registry can be exported and imported with the same bits, and is
// recognised, folded or not.
func TestEveryModelOfTheRegistry(t *testing.T) {
	const quick, largest = 300_000, 30_000_000
	for _, name := range models.Names() {
		e, err := models.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			if e.Params > largest {
				t.Skipf("%d parameters, more than the %d that fit a test: smaller nets have the same layers", e.Params, int64(largest))
			}
			if e.Params > quick && os.Getenv("RESIDUAL_LONG") == "" {
				t.Skipf("%d parameters; set RESIDUAL_LONG=1", e.Params)
			}
			h, w := e.Height, e.Width
			if !e.FixedSize {
				h, w = min(h, 64), min(w, 64)
			}
			m := shake(e.New(models.Config{}))
			x := unit(2, e.Channels, h, w)
			want := call(t, m, x)
			for _, fold := range []bool{false, true} {
				net := imported(t, exported(t, m, ExportConfig{Input: prepare.Input{Channels: e.Channels, Height: h, Width: w}, Fold: fold}))
				got := call(t, net, x)
				// A GELU is several nodes of the graph, which round one by one and are no layer of a known net.
				gelu := e.Family == "Whitened ResNet"
				if fold || gelu {
					near(t, "folded", got.Data(), want.Data())
				} else if !sameBits(got.Data(), want.Data()) {
					t.Errorf("the logits are not those of the model")
				}
				known, found, err := Recognise(net, "")
				if gelu {
					if err == nil || !strings.Contains(err.Error(), "the graph is none of the networks known by name") {
						t.Errorf("recognised as %s (%v)", known.Entry.Name, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if !fold && known.Entry.Name != name {
					t.Errorf("recognised as %s", known.Entry.Name)
				}
				near(t, "recognised", call(t, found, x).Data(), want.Data())
			}
		})
	}
}
