package coordinator

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// TestAHangIsWarnedOf for a while, and nobody's but the worker's own word counts.
func TestAHangIsWarnedOf(t *testing.T) {
	h, now := hangs{}, time.Unix(1000, 0)
	h.add(now, wire.Suspicion{From: "up", Subject: "w1", Evidence: "process ended", Final: true})
	h.add(now, wire.Suspicion{From: "w2", Subject: "w1", Evidence: "closed", Hung: true})
	h.add(now, wire.Suspicion{From: "w2", Subject: "w2", Evidence: "its computation did not return for 12 s", Final: true, Hung: true})
	h.add(now.Add(time.Minute), wire.Suspicion{From: "w1", Subject: "w1", Evidence: "its computation did not return for 11 s", Final: true, Hung: true})
	got := statusInput{hangs: h}.status(now.Add(2 * time.Minute)).Warnings
	const rest = ". Its micro-batches were given to others, and its process ended; if that happens again, see whether its device works"
	if len(got) != 2 || got[0].Subject != "w1" || got[0].Kind != wire.WarnHungComputation ||
		got[0].Text != "w1: its computation did not return for 11 s"+rest || got[1].Subject != "w2" {
		t.Errorf("%+v", got)
	}
	if got := (statusInput{hangs: h}).status(now.Add(hungFor + time.Second)).Warnings; len(got) != 1 || got[0].Subject != "w1" {
		t.Errorf("later: %+v", got)
	}
}
