package process

import (
	"os"
	"testing"
	"time"
)

func TestParseVitals(t *testing.T) {
	v, err := parseVitals("1753 (a) S (b) t 1 1 1 0 -1 4194560 2541 0 33 0 250 17 0 0 20 0 12 0 3311 1264 3172 18446744073709551615")
	if err != nil || v != (Vitals{'t', 2670 * time.Millisecond, 33}) {
		t.Errorf("%+v, %v", v, err)
	}
	for _, text := range []string{"", "1 (x)", "1 (x) S 1 1", "1 (x) S 1 1 1 0 -1 4194560 2541 0 33 0 x 17", "1 (x) S 1 1 1 0 -1 4194560 2541 0 -3 0 1 17"} {
		if _, err := parseVitals(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
	if v, err := VitalsOf(os.Getpid()); err != nil || v.State == 0 {
		t.Errorf("of this process: %+v, %v", v, err)
	}
}
