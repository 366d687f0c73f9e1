package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// ConnectShared is Connect for stores on services that others use, too.
type ConnectShared func() (store membership.SharedStore, kill func())

// SharedCases are those of membership.SharedStore beyond Cases.
func SharedCases() map[string]func(*testing.T, ConnectShared) {
	return map[string]func(*testing.T, ConnectShared){
		"one folder holds a run":          lockedOnce,
		"the lock of a killed one ends":   lockEnds,
		"a new start resets a run":        reset,
		"a run that is done is forgotten": cleaned,
		"the first secret stays":          secret,
	}
}

var here, there = membership.Holder{Host: "a", Boot: "1", Folder: "/run", PID: 1}, membership.Holder{Host: "b", Folder: "/run", PID: 2}

func lock(t *testing.T, s membership.SharedStore, h membership.Holder) membership.RunLock {
	t.Helper()
	l, err := s.LockRun(within(t), h, TTL)
	check(t, err)
	return l
}

func lockedOnce(t *testing.T, connect ConnectShared) {
	s, _ := connect()
	other, _ := connect()
	first := lock(t, s, here)
	// What a process that was killed left is no obstacle where it ran.
	second := lock(t, s, here)
	if _, err := other.LockRun(within(t), there, TTL); err == nil || !strings.Contains(err.Error(), "process 1 on a, in /run") {
		t.Errorf("another machine: %v", err)
	} else {
		wants(t, err, membership.ErrLocked)
	}
	check(t, first.Release(within(t))) // it has lost the run, and gives up no more than it has
	_, err := other.LockRun(within(t), there, TTL)
	wants(t, err, membership.ErrLocked)

	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- second.Keep(ctx) }()
	cancel()
	check(t, <-kept)
	check(t, second.Release(within(t)))
	check(t, lock(t, other, there).Release(within(t)))
}

func lockEnds(t *testing.T, connect ConnectShared) {
	victim, kill := connect()
	s, _ := connect()
	lock(t, victim, here)
	kill()
	check(t, lock(t, s, there).Release(within(t)))
}

func reset(t *testing.T, connect ConnectShared) {
	s, _ := connect()
	l := lock(t, s, here)
	check(t, s.PutSpec(within(t), []byte("x: 1")))
	check(t, l.ReplaceSpec(within(t), []byte("x: 2")))
	if b, err := s.Spec(within(t)); string(b) != "x: 2" || err != nil {
		t.Errorf("spec %q %v", b, err)
	}
	leader := campaign(t, s, "c")
	check(t, leader.PutPlan(within(t), wire.Plan{Generation: 1}))
	check(t, leader.PutIntent(within(t), wire.Intent{Stop: true}))
	intents, err := s.WatchIntent(t.Context())
	check(t, err)
	await(t, intents, "the intent", func(i wire.Intent) bool { return i.Stop })
	old := register(t, s, "w1", "1")
	register(t, s, "w2", "1")
	check(t, l.Reset(within(t), func(r wire.Registration) bool { return r.ID == "w1" }))

	await(t, intents, "an intent that asks for nothing", func(i wire.Intent) bool { return !i.Stop })
	seen, err := s.WatchWorkers(t.Context())
	check(t, err)
	awaitIDs(t, seen, "w2/1")
	for what, lost := range map[string]<-chan struct{}{"a leader": leader.Lost(), "a worker that is gone": old.Lost()} {
		select {
		case <-lost:
		case <-within(t).Done():
			t.Fatalf("%s does not learn that it is none", what)
		}
	}
	next := campaign(t, s, "d")
	if i, ok, err := next.Intent(within(t)); ok || err != nil {
		t.Errorf("the intent stays: %+v, %v", i, err)
	}
	if p, ok, err := next.Plan(within(t)); p.Generation != 1 || !ok || err != nil {
		t.Errorf("generations do not go on: %+v, %v", p, err)
	}
}

func cleaned(t *testing.T, connect ConnectShared) {
	s, _ := connect()
	l := lock(t, s, here)
	check(t, s.PutSpec(within(t), []byte("x: 1")))
	_, err := s.Secret(within(t), "a")
	check(t, err)
	register(t, s, "w1", "1")
	leader := campaign(t, s, "c")
	check(t, leader.PutPlan(within(t), wire.Plan{Generation: 1}))
	check(t, l.Clean(within(t)))
	_, err = s.LockRun(within(t), there, time.Second)
	wants(t, err, membership.ErrLocked)
	_, err = s.Secret(within(t), "b")
	wants(t, err, membership.ErrNoRun)
	seen, err := s.WatchWorkers(t.Context())
	check(t, err)
	awaitIDs(t, seen)
	if _, ok, err := campaign(t, s, "d").Plan(within(t)); ok || err != nil {
		t.Errorf("a plan stays, %v", err)
	}
}

func secret(t *testing.T, connect ConnectShared) {
	s, _ := connect()
	other, _ := connect()
	_, err := s.Secret(within(t), "a")
	wants(t, err, membership.ErrNoRun)
	check(t, s.PutSpec(within(t), []byte("x: 1")))
	for i, store := range []membership.SharedStore{s, other} {
		if got, err := store.Secret(within(t), []string{"a", "b"}[i]); got != "a" || err != nil {
			t.Errorf("secret %q, %v", got, err)
		}
	}
}
