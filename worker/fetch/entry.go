package fetch

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/worker/step"
)

// entry gets the entry of a step.
type entry struct {
	*Fetch
	step.FetchEntry
	told bool // that this worker is up to date
}

func (e *entry) get() Action { return e.do(GetEntry{e.From, e.Step}, e.got) }

func (e *entry) got(_ time.Time, a Answer) Action {
	switch {
	case a.Err == nil:
		return End{Event: step.EntryFetched{Generation: e.Generation, Step: e.Step}}
	case !e.Await:
		return e.fail(e.Generation, fmt.Errorf("fetch entry of step %d: %w", e.Step, a.Err))
	case !a.Later:
		return failed(e.Generation, a.Err)
	}
	w := Wait{For: e.timeout / 100}
	if !e.told {
		e.told = true
		w.Event = step.UpToDate{Generation: e.Generation, Step: e.Step}
	}
	return e.wait(w, e.get)
}
