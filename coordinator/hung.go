package coordinator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/wire"
)

// hungFor is how long the status warns of a computation that did not return. Log and
// ledger keep it.
const hungFor = 5 * time.Minute

// hangs are the workers that recently reported that they hang, by ID.
type hangs map[string]hang

type hang struct {
	evidence string
	at       time.Time
}

// add takes a suspicion.
func (h hangs) add(now time.Time, s wire.Suspicion) {
	if s.Hung && s.From == s.Subject {
		h[s.Subject] = hang{string(s.Evidence), now}
	}
}

// warnings returns the warnings for the status, sorted by ID.
func (h hangs) warnings(now time.Time) (all []wire.Warning) {
	for id, one := range h {
		if now.Sub(one.at) >= hungFor {
			delete(h, id)
			continue
		}
		all = append(all, wire.Warning{
			Kind: wire.WarnHungComputation, Subject: id,
			Text: fmt.Sprintf("%s: %s. Its micro-batches were given to others, and its process ended; if that happens again, see whether its device works", id, one.evidence),
		})
	}
	slices.SortFunc(all, func(a, b wire.Warning) int { return strings.Compare(a.Subject, b.Subject) })
	return all
}
