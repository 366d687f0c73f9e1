package launch

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/waiting"
)

func TestSilenceOfTheCoordinator(t *testing.T) {
	begun := time.Now()
	var s silence
	for _, c := range []struct {
		name       string
		after      time.Duration
		tell, over bool
	}{
		{"at the start", 0, false, false},
		{"soon after", waiting.Patience - 1, false, false},
		{"it lasts", waiting.Patience, true, false},
		{"it was told", time.Minute, false, false},
		{"it never ends", firstWordWithin, false, true},
	} {
		if tell, over := s.next(begun.Add(c.after)); tell != c.tell || over != c.over {
			t.Errorf("%s: tell %v, over %v", c.name, tell, over)
		}
	}
	s.broken = true
	if tell, over := s.next(begun.Add(time.Hour)); tell || over {
		t.Error("a coordinator that answered once is waited for")
	}
}
