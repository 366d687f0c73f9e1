package storetest

import (
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

func registrations(t *testing.T, connect Connect) {
	s, _ := connect()
	seen, err := s.WatchWorkers(t.Context())
	check(t, err)
	awaitIDs(t, seen)
	b := register(t, s, "b", "1")
	a := register(t, s, "a", "1")
	awaitIDs(t, seen, "a/1", "b/1")

	r := worker("b", "1")
	r.Draining = true
	check(t, b.Update(within(t), r))
	await(t, seen, "the update", func(all []wire.Registration) bool { return len(all) == 2 && all[1] == r })
	if err := b.Update(within(t), worker("b", "2")); err == nil {
		t.Error("an update changed the incarnation")
	}

	check(t, a.Close(within(t)))
	awaitIDs(t, seen, "b/1")
	check(t, a.Close(within(t)))
	wants(t, a.Update(within(t), worker("a", "1")), membership.ErrLost) // and does not come back by it
	register(t, s, "a", "2")
	awaitIDs(t, seen, "a/2", "b/1")
	check(t, b.Close(within(t)))
	awaitIDs(t, seen, "a/2")
	if isClosed(a.Lost()) {
		t.Error("a closed registration counts as lost")
	}
}

func taken(t *testing.T, connect Connect) {
	s, _ := connect()
	other, _ := connect()
	first := register(t, s, "a", "1")
	_, err := other.Register(within(t), worker("a", "2"), TTL)
	wants(t, err, membership.ErrTaken)
	register(t, other, "ab", "1") // another ID with the same beginning
	register(t, s, "a", "1")      // the answer to the first was lost
	check(t, first.Close(within(t)))
}

func killed(t *testing.T, connect Connect) {
	s, _ := connect()
	victim, kill := connect()
	seen, err := s.WatchWorkers(t.Context())
	check(t, err)
	register(t, victim, "a", "1")
	awaitIDs(t, seen, "a/1")
	kill()
	_, err = s.Register(within(t), worker("a", "2"), TTL)
	wants(t, err, membership.ErrTaken)
	awaitIDs(t, seen)
	register(t, s, "a", "2")
}

func stays(t *testing.T, connect Connect) {
	s, _ := connect()
	l := register(t, s, "a", "1")
	time.Sleep(TTL + TTL/2)
	seen, err := s.WatchWorkers(t.Context())
	check(t, err)
	awaitIDs(t, seen, "a/1")
	if isClosed(l.Lost()) {
		t.Error("lost")
	}
}

func evicted(t *testing.T, connect Connect) {
	s, _ := connect()
	boss, _ := connect()
	leader := campaign(t, boss, "c")
	old := register(t, s, "a", "1")
	seen, err := s.WatchWorkers(t.Context())
	check(t, err)
	awaitIDs(t, seen, "a/1")

	check(t, leader.Evict(within(t), "a", "0")) // not that one
	check(t, leader.Evict(within(t), "nobody", "1"))
	check(t, leader.Evict(within(t), "a", "1"))
	awaitIDs(t, seen)
	register(t, s, "a", "2")
	select {
	case <-old.Lost():
	case <-within(t).Done():
		t.Fatal("an evicted worker does not learn of it")
	}
	wants(t, old.Update(within(t), worker("a", "1")), membership.ErrLost)
	check(t, old.Close(within(t)))
	awaitIDs(t, seen, "a/2")
}
