package launch

import (
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/waiting"
	"github.com/gramme-project/gramme/internal/wire"
)

// firstWordWithin bounds how long a run goes on in which no coordinator has ever
// answered. It is long: a machine may have much else to do.
const firstWordWithin = 5 * time.Minute

// silence is that of the coordinator from the start of the processes on. Once it is
// broken it is no more: training does not wait for a coordinator. It is a value
// without clock.
type silence struct {
	since  time.Time // zero: not begun
	told   bool
	broken bool
}

// next says what is due: to tell that the coordinator is waited for, or to give up.
func (s *silence) next(now time.Time) (tell, over bool) {
	if s.since.IsZero() {
		s.since = now
	}
	if s.broken {
		return false, false
	}
	lasts := now.Sub(s.since)
	tell = !s.told && lasts >= waiting.Patience
	s.told = s.told || tell
	return tell, lasts >= firstWordWithin
}

// listen does what the silence of the coordinator asks for.
func (c *cluster) listen() error {
	tell, over := c.silent.next(time.Now())
	if tell {
		c.Tell(fmt.Sprintf("waiting for the coordinator to answer, at most %s", firstWordWithin))
	}
	if over {
		return exit.Wrap(exit.Failure, "its log is "+c.Dir.Log(wire.IDCoordinator), fmt.Errorf("no coordinator has answered within %s", firstWordWithin))
	}
	return nil
}
