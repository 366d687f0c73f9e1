package membership

import "sync"

// Latest is a channel that holds the newest value only: putting never blocks, and a slow
// reader skips the values in between.
type Latest[T any] struct {
	mu     sync.Mutex
	c      chan T
	closed bool
}

// NewLatest returns an empty one.
func NewLatest[T any]() *Latest[T] { return &Latest[T]{c: make(chan T, 1)} }

// C is where values come out.
func (l *Latest[T]) C() <-chan T { return l.c }

// Put replaces what has not been read. After Close it does nothing.
func (l *Latest[T]) Put(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	select {
	case <-l.c:
	default:
	}
	l.c <- v // there is room: only Put fills it, under the lock
}

// Close closes the channel; what was put last can still be read.
func (l *Latest[T]) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.c)
	}
}
