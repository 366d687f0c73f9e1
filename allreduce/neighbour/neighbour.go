// Package neighbour keeps what a link knows about its two neighbours: whether each is
// gone, and why. The first reason for a neighbour stands.
package neighbour

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

// Tracker is the knowledge about both neighbours. It is safe for concurrent use.
type Tracker struct {
	any          chan struct{}
	gone         [2]chan struct{}
	noMoreFrames chan struct{}

	mu              sync.Mutex
	errs            [2]error
	firstErr        error
	noMoreFramesErr error
}

// New returns a Tracker of two neighbours that are present.
func New() *Tracker {
	return &Tracker{any: make(chan struct{}), gone: [2]chan struct{}{make(chan struct{}), make(chan struct{})}, noMoreFrames: make(chan struct{})}
}

// MarkLost records that a neighbour is gone.
func (t *Tracker) MarkLost(s Side, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.errs[s] != nil {
		return
	}
	t.errs[s] = err
	close(t.gone[s])
	if t.noMoreFramesErr == nil && (s == Previous || errors.Is(err, allreduce.ErrLost)) {
		t.noMoreFramesErr = err
		close(t.noMoreFrames)
	}
	if t.firstErr == nil {
		t.firstErr = err
		close(t.any)
	}
}

// Any is closed once a neighbour is gone.
func (t *Tracker) Any() <-chan struct{} { return t.any }

// Gone is closed once this neighbour is gone.
func (t *Tracker) Gone(s Side) <-chan struct{} { return t.gone[s] }

// NoMoreFrames is closed once waiting for a frame is useless: the previous neighbour is
// gone, or the next is lost. What the next does not receive, the previous will in the end
// not send; and where only the connection between two ranks is cut, no other rank knows. A
// next neighbour that left may have all that it needed, and has told its other neighbour.
func (t *Tracker) NoMoreFrames() <-chan struct{} { return t.noMoreFrames }

// NoMoreFramesErr returns the reason for NoMoreFrames, nil while there is none.
func (t *Tracker) NoMoreFramesErr() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.noMoreFramesErr
}

// FirstErr returns why the first neighbour was lost, nil while both are present.
func (t *Tracker) FirstErr() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.firstErr
}

// Err returns why this neighbour was lost, nil while it is present.
func (t *Tracker) Err(s Side) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.errs[s]
}

// LeaveNotice is what a rank that leaves tells its neighbours: which rank is at fault
// and what happened. It travels as JSON.
type LeaveNotice struct {
	Rank int    `json:"rank"`
	Lost bool   `json:"lost"` // the rank is gone; else it left, and lives
	Text string `json:"text,omitempty"`
}

// NewLeaveNotice returns the notice of a rank that leaves for a reason. The loss of
// another rank names that rank; any other reason, or none, names the leaver itself. So
// does the silence of another rank: it may be silent from the leaver only, and must not
// count twice.
func NewLeaveNotice(leaver int, reason error) LeaveNotice {
	var peer *allreduce.PeerError
	if errors.As(reason, &peer) && !errors.Is(reason, allreduce.ErrSilent) {
		for _, kind := range []error{allreduce.ErrLost, allreduce.ErrLeft} {
			if errors.Is(peer.Err, kind) {
				text := strings.TrimPrefix(strings.TrimPrefix(peer.Err.Error(), kind.Error()), ": ")
				return LeaveNotice{peer.Rank, errors.Is(kind, allreduce.ErrLost), text}
			}
		}
	}
	n := LeaveNotice{Rank: leaver}
	if reason != nil {
		n.Text = reason.Error()
	}
	return n
}

// Err returns the notice as the neighbours report it.
func (n LeaveNotice) Err() error {
	kind := allreduce.ErrLeft
	if n.Lost {
		kind = allreduce.ErrLost
	}
	if n.Text != "" {
		kind = fmt.Errorf("%w: %s", kind, n.Text)
	}
	return &allreduce.PeerError{Rank: n.Rank, Err: kind}
}
