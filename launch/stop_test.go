package launch

import (
	"strings"
	"testing"
)

// TestStopIsAskedForUntilAccepted lets a coordinator refuse.
func TestStopIsAskedForUntilAccepted(t *testing.T) {
	x := newTrial(t)
	if err := x.write("refusal", "ask again in a moment"); err != nil {
		t.Fatal(err)
	}
	x.begin()
	close(x.stop)
	x.until("it is asked again", func() bool { return strings.Count(x.read("told"), "\n") > 1 })
	if err := x.write("w1.code", "0"); err != nil {
		t.Fatal(err)
	}
	if err := x.end(); err != nil {
		t.Error(err)
	}
}
