package natslink

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/neighbour"
)

// Session is one rank's place in the ring of one generation.
type Session struct {
	Run        string // a token of NATS subjects
	Generation uint64
	Rank       int
	World      int // at least 2: a single worker needs no link
	// Previous and Next are the URLs of the neighbours' mailboxes, equal in a world of 2.
	// A link through the broker does not use them.
	Previous, Next string
	// Silence is how long a neighbour may be silent before it counts as lost, where that
	// is longer than in the mailbox's Options.
	Silence time.Duration
}

func (s Session) validate() error {
	switch {
	case s.Run == "" || strings.ContainsAny(s.Run, ".*> \t\r\n"):
		return fmt.Errorf("run %q: not a token of a subject", s.Run)
	case s.World < 2 || s.World > allreduce.MaxWorld:
		return fmt.Errorf("world size %d: a link needs 2 to %d ranks", s.World, allreduce.MaxWorld)
	case s.Rank < 0 || s.Rank >= s.World:
		return fmt.Errorf("rank %d is not in 0..%d", s.Rank, s.World-1)
	}
	return nil
}

// neighbour returns the rank on one side.
func (s Session) neighbour(side neighbour.Side) int {
	if side == neighbour.Next {
		return (s.Rank + 1) % s.World
	}
	return (s.Rank + s.World - 1) % s.World
}

// Kinds of messages to a rank. Leave has one subject for each side that it can come from.
const (
	kindFrame         = "frame"          // by the previous rank
	kindCredit        = "credit"         // by the next rank
	kindHello         = "hello"          // a request that it answers if it is present
	kindLeavePrevious = "leave.previous" // by the previous rank
	kindLeaveNext     = "leave.next"     // by the next rank
)

// subject returns the subject of one kind of message to a rank in this generation.
func (s Session) subject(rank int, kind string) string {
	return fmt.Sprintf("gramme.%s.ring.%d.%d.%s", s.Run, s.Generation, rank, kind)
}

func (s Session) name(what string) string {
	return fmt.Sprintf("gramme ring %s generation %d rank %d %s", s.Run, s.Generation, s.Rank, what)
}

var errClosed = errors.New("ring link closed")
