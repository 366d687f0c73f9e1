package fetch

import (
	"errors"
	"fmt"

	"github.com/gramme-project/gramme/internal/words"
)

// Pieces divides what is fetched among sources, each of which gives one piece at a time. A
// piece that a source did not give comes from another.
type Pieces[P any] struct {
	todo     []P
	inFlight int // they are fetched again if their source fails
	failures error
}

// NewPieces returns the pieces of a fetch.
func NewPieces[P any](all []P) *Pieces[P] { return &Pieces[P]{todo: all} }

// Next returns a piece to fetch. There may be one after a Done if there is none now, unless
// nothing is in flight.
func (p *Pieces[P]) Next() (piece P, ok bool) {
	if len(p.todo) == 0 {
		return piece, false
	}
	piece, p.todo = p.todo[len(p.todo)-1], p.todo[:len(p.todo)-1]
	p.inFlight++
	return piece, true
}

// InFlight reports whether pieces are being fetched.
func (p *Pieces[P]) InFlight() bool { return p.inFlight > 0 }

// Done takes the result of a piece. A source that failed gets no other piece.
func (p *Pieces[P]) Done(piece P, err error) {
	p.inFlight--
	if err != nil {
		p.todo, p.failures = append(p.todo, piece), errors.Join(p.failures, err)
	}
}

// Err says what is missing after all sources have given what they can.
func (p *Pieces[P]) Err() error {
	if len(p.todo) == 0 {
		return nil
	}
	return fmt.Errorf("%s missing: %w", words.Several(len(p.todo), "piece"), p.failures)
}
