package coordinator

import (
	"context"
	"sync"
)

// queue is a list that one goroutine fills and another empties. Adding never
// blocks.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	some  chan struct{} // holds one token where there may be items
}

func newQueue[T any]() *queue[T] { return &queue[T]{some: make(chan struct{}, 1)} }

func (q *queue[T]) add(v T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, v)
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// take waits for items and returns up to limit of them, oldest first; none when
// ctx ends.
func (q *queue[T]) take(ctx context.Context, limit int) []T {
	for {
		if ctx.Err() != nil {
			return nil
		}
		if items := q.takeNow(limit); len(items) > 0 {
			return items
		}
		select {
		case <-q.some:
		case <-ctx.Done():
			return nil
		}
	}
}

// takeNow returns up to limit items that are there.
func (q *queue[T]) takeNow(limit int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(limit, len(q.items))
	taken := q.items[:n:n]
	q.items = q.items[n:]
	return taken
}
