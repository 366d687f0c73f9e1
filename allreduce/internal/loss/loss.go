// Package loss keeps what a link knows of its two neighbours: whether and why
// each is gone. The first reason for a neighbour stands.
package loss

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/gramme-project/gramme/allreduce"
)

// Side is one of the two neighbours.
type Side int

// The sides of a link.
const (
	Previous Side = iota
	Next
)

// Tracker is safe for concurrent use.
type Tracker struct {
	any     chan struct{}
	gone    [2]chan struct{}
	starved chan struct{}

	mu   sync.Mutex
	errs [2]error
	err  error
	why  error // of starved
}

// New returns a Tracker of two neighbours that are there.
func New() *Tracker {
	return &Tracker{any: make(chan struct{}), gone: [2]chan struct{}{make(chan struct{}), make(chan struct{})}, starved: make(chan struct{})}
}

// Lose records that a neighbour is gone.
func (t *Tracker) Lose(s Side, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.errs[s] != nil {
		return
	}
	t.errs[s] = err
	close(t.gone[s])
	if t.why == nil && (s == Previous || errors.Is(err, allreduce.ErrLost)) {
		t.why = err
		close(t.starved)
	}
	if t.err == nil {
		t.err = err
		close(t.any)
	}
}

// Any is closed once a neighbour is gone.
func (t *Tracker) Any() <-chan struct{} { return t.any }

// Gone is closed once this neighbour is gone.
func (t *Tracker) Gone(s Side) <-chan struct{} { return t.gone[s] }

// Starved is closed once it is in vain to wait for a frame: the previous neighbour is
// gone, or the next is lost. What the next does not get, the previous will not send
// either; and where only the way between two ranks is cut, nobody else knows. A next
// neighbour that left may have all that it needed, and has told its other one.
func (t *Tracker) Starved() <-chan struct{} { return t.starved }

// Why returns the reason for Starved, nil while there is none.
func (t *Tracker) Why() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why
}

// First returns why the first neighbour went, nil while both are there.
func (t *Tracker) First() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Err returns why this neighbour went, nil while it is there.
func (t *Tracker) Err(s Side) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.errs[s]
}

// Notice is what a rank that leaves tells its neighbours: who is at fault and
// what happened. It travels as JSON.
type Notice struct {
	Rank int    `json:"rank"`
	Lost bool   `json:"lost"` // not there any more; else it left, and lives
	Text string `json:"text,omitempty"`
}

// NoticeOf returns the notice of a rank that leaves for a reason. The loss of
// another rank is passed on as that rank's; anything else, or nothing, is the
// leaver's own. So is that another is silent: it may be so from where the leaver is
// only, and must not count twice.
func NoticeOf(leaver int, reason error) Notice {
	var peer *allreduce.PeerError
	if errors.As(reason, &peer) && !errors.Is(reason, allreduce.ErrSilent) {
		for _, kind := range []error{allreduce.ErrLost, allreduce.ErrLeft} {
			if errors.Is(peer.Err, kind) {
				text := strings.TrimPrefix(strings.TrimPrefix(peer.Err.Error(), kind.Error()), ": ")
				return Notice{peer.Rank, errors.Is(kind, allreduce.ErrLost), text}
			}
		}
	}
	n := Notice{Rank: leaver}
	if reason != nil {
		n.Text = reason.Error()
	}
	return n
}

// Err is the notice as the neighbours report it.
func (n Notice) Err() error {
	kind := allreduce.ErrLeft
	if n.Lost {
		kind = allreduce.ErrLost
	}
	if n.Text != "" {
		kind = fmt.Errorf("%w: %s", kind, n.Text)
	}
	return &allreduce.PeerError{Rank: n.Rank, Err: kind}
}
