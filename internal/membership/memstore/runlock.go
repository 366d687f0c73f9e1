package memstore

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// runLock is one that was taken; its fields are under the server's mu.
type runLock struct {
	store  *Store
	holder membership.Holder
	ttl    time.Duration
}

// LockRun implements membership.SharedStore.
func (s *Store) LockRun(ctx context.Context, h membership.Holder, ttl time.Duration) (membership.RunLock, error) {
	for {
		l, unlocked, err := s.tryLock(h, ttl)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock the run: %w", context.Cause(ctx))
		case <-unlocked:
		}
	}
}

// tryLock returns the lock, or what is closed when that of a dead process ends.
func (s *Store) tryLock(h membership.Holder, ttl time.Duration) (membership.RunLock, <-chan struct{}, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	held := s.server.lock
	switch {
	case held == nil, held.holder.Same(h):
		l := &runLock{s, h, ttl}
		s.server.lock = l
		return l, nil, nil
	case !held.store.crashed:
		o := held.holder
		return nil, nil, fmt.Errorf("lock the run: %w: process %d on %s, in %s", membership.ErrLocked, o.PID, o.Host, o.Folder)
	}
	return nil, s.server.unlocked, nil
}

// unlock ends a lock; it needs mu.
func (s *Server) unlock(l *runLock) {
	if s.lock == l {
		s.lock = nil
		close(s.unlocked)
		s.unlocked = make(chan struct{})
	}
}

// Keep implements membership.RunLock. Memory is never away.
func (l *runLock) Keep(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// ReplaceSpec implements membership.RunLock.
func (l *runLock) ReplaceSpec(_ context.Context, spec []byte) error {
	s := l.store.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spec = bytes.Clone(spec)
	return nil
}

// Reset implements membership.RunLock.
func (l *runLock) Reset(_ context.Context, gone func(wire.Registration) bool) error {
	s := l.store.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.intent != nil {
		s.intent = nil
		s.tellIntent(wire.Intent{}) // it asks for nothing
	}
	if s.leader != nil {
		s.dismiss(s.leader)
	}
	for _, w := range s.workers {
		if gone(w.reg) {
			w.end(true)
		}
	}
	return nil
}

// Clean implements membership.RunLock.
func (l *runLock) Clean(ctx context.Context) error {
	if err := l.Reset(ctx, func(wire.Registration) bool { return true }); err != nil {
		return err
	}
	s := l.store.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan, s.spec, s.secret = nil, nil, ""
	return nil
}

// Release implements membership.RunLock.
func (l *runLock) Release(context.Context) error {
	l.store.server.mu.Lock()
	defer l.store.server.mu.Unlock()
	l.store.server.unlock(l)
	return nil
}

// Secret implements membership.SharedStore.
func (s *Store) Secret(_ context.Context, offered string) (string, error) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.secret == "" && s.server.spec == nil {
		return "", membership.ErrNoRun
	}
	if s.server.secret == "" {
		s.server.secret = offered
	}
	return s.server.secret, nil
}
