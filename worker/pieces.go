package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gramme-project/gramme/internal/transfer"
	"github.com/gramme-project/gramme/internal/wire"
	"github.com/gramme-project/gramme/worker/fetch"
)

// part is a range to fetch and its destination.
type part struct {
	what wire.Range
	to   []byte
}

// fetchAll fetches parts in pieces from several sources at once. A source that fails is
// dropped; its piece comes from another.
func (w *worker) fetchAll(ctx context.Context, sources []string, parts []part) error {
	type piece struct {
		what wire.Range
		to   []byte
	}
	var pieces []piece
	for _, p := range parts {
		for at := 0; at < len(p.to); at += wire.MaxChunk {
			n := min(wire.MaxChunk, len(p.to)-at)
			what := p.what
			what.Offset, what.Length = int64(at), n
			pieces = append(pieces, piece{what, p.to[at : at+n]})
		}
	}
	todo := fetch.NewPieces(pieces)
	var mu sync.Mutex
	changed := sync.NewCond(&mu)
	next := func() (p piece, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		for {
			if p, ok = todo.Next(); ok || !todo.InFlight() {
				return p, ok
			}
			changed.Wait()
		}
	}
	done := func(p piece, err error) {
		mu.Lock()
		defer mu.Unlock()
		todo.Done(p, err)
		changed.Broadcast()
	}
	var group sync.WaitGroup
	for _, source := range sources {
		group.Go(func() {
			for {
				p, ok := next()
				if !ok {
					return
				}
				err := w.fetchPiece(ctx, source, p.what, p.to)
				if done(p, err); err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(ctx.Err(), todo.Err())
}

func (w *worker) fetchPiece(ctx context.Context, subject string, what wire.Range, to []byte) error {
	within, cancel := context.WithTimeout(ctx, w.cfg.answerTimeout())
	defer cancel()
	data, _, err := transfer.Fetch(within, w.cfg.bulk(), subject, what)
	if err != nil {
		return err
	}
	if len(data) != len(to) {
		return fmt.Errorf("%s: %d bytes, asked for %d", subject, len(data), len(to))
	}
	copy(to, data)
	return nil
}
