package amxemu

import "testing"

func TestVerdict(t *testing.T) {
	const log = `=== RUN   TestA
--- FAIL: TestA (0.00s)
=== RUN   TestAB
=== RUN   TestAB/x_y
--- PASS: TestAB (1.20s)
    --- SKIP: TestAB/x_y (0.00s)
FAIL
`
	for name, want := range map[string]string{"TestA": "FAIL", "TestAB": "PASS", "TestAB/x_y": "SKIP", "TestB": "", "Test": ""} {
		if got := verdict([]byte(log), name); got != want {
			t.Errorf("verdict of %s is %q, want %q", name, got, want)
		}
	}
}

func TestPattern(t *testing.T) {
	if got, want := pattern("TestA/b.c/d"), `^TestA$/^b\.c$/^d$`; got != want {
		t.Errorf("pattern is %s, want %s", got, want)
	}
}
