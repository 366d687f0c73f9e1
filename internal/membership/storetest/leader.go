package storetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

func plan(generation uint64) wire.Plan {
	return wire.Plan{Generation: generation, MicroBatches: 4, Reason: "test", Members: []wire.Member{{ID: "a", Incarnation: "1", Share: 4}}}
}

func watches(t *testing.T, connect Connect) {
	s, _ := connect()
	leader := campaign(t, s, "c")
	early, err := s.WatchPlan(t.Context())
	check(t, err)
	intents, err := s.WatchIntent(t.Context())
	check(t, err)
	for g := range uint64(20) { // nobody reads meanwhile
		check(t, leader.PutPlan(within(t), plan(g+1)))
	}
	newest := func(p wire.Plan) bool { return reflect.DeepEqual(p, plan(20)) }
	await(t, early, "plan 20", newest)
	late, err := s.WatchPlan(t.Context())
	check(t, err)
	if first := await(t, late, "a plan", func(wire.Plan) bool { return true }); !newest(first) {
		t.Errorf("a watch began with generation %d", first.Generation)
	}
	want := wire.Intent{Stop: true, Reason: "asked", Drain: []string{"x"}, Workers: 3}
	check(t, leader.PutIntent(within(t), want))
	await(t, intents, "the intent", func(i wire.Intent) bool { return reflect.DeepEqual(i, want) })
}

func spec(t *testing.T, connect Connect) {
	s, _ := connect()
	other, _ := connect()
	_, err := s.Spec(within(t))
	wants(t, err, membership.ErrNoRun)
	check(t, s.PutSpec(within(t), []byte("x: 1")))
	check(t, other.PutSpec(within(t), []byte("x: 1")))
	wants(t, other.PutSpec(within(t), []byte("x: 2")), membership.ErrOtherSpec)
	if b, err := other.Spec(within(t)); string(b) != "x: 1" || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

func plans(t *testing.T, connect Connect) {
	s, _ := connect()
	leader := campaign(t, s, "c")
	if _, ok, err := leader.Plan(within(t)); ok || err != nil {
		t.Fatalf("a plan in an empty store: %v", err)
	}
	if _, ok, err := leader.Intent(within(t)); ok || err != nil {
		t.Fatalf("an intent in an empty store: %v", err)
	}
	wants(t, leader.PutPlan(within(t), plan(2)), membership.ErrConflict)
	check(t, leader.PutPlan(within(t), plan(1)))
	wants(t, leader.PutPlan(within(t), plan(1)), membership.ErrConflict)
	wants(t, leader.PutPlan(within(t), plan(3)), membership.ErrConflict)
	check(t, leader.PutPlan(within(t), plan(2)))
	if p, ok, err := leader.Plan(within(t)); !ok || err != nil || !reflect.DeepEqual(p, plan(2)) {
		t.Errorf("%+v %v %v", p, ok, err)
	}
	// Of many writers of one generation one wins.
	results := make(chan error)
	for range 8 {
		go func() { results <- leader.PutPlan(t.Context(), plan(3)) }()
	}
	won := 0
	for range 8 {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, membership.ErrConflict) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers of one generation won", won)
	}
}

func election(t *testing.T, connect Connect) {
	one, _ := connect()
	two, _ := connect()
	first := campaign(t, one, "one")
	elected := make(chan membership.Leadership, 1)
	go func() {
		l, err := two.Campaign(t.Context(), "two", TTL)
		if err == nil {
			elected <- l
		}
	}()
	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := two.Campaign(impatient, "three", TTL); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("campaign against a leader: %v", err)
	}
	check(t, first.PutPlan(within(t), plan(1)))
	time.Sleep(TTL + TTL/2)
	if len(elected) > 0 || isClosed(first.Lost()) {
		t.Fatal("a live leader was replaced")
	}
	check(t, first.Resign(within(t)))
	second := <-elected
	<-first.Lost()
	wants(t, first.PutPlan(within(t), plan(2)), membership.ErrNotLeader)
	wants(t, first.PutIntent(within(t), wire.Intent{}), membership.ErrNotLeader)
	wants(t, first.Evict(within(t), "a", "1"), membership.ErrNotLeader)
	check(t, second.PutPlan(within(t), plan(2)))
	check(t, first.Resign(within(t)))
	check(t, second.PutPlan(within(t), plan(3)))
}

func replaced(t *testing.T, connect Connect) {
	one, kill := connect()
	two, _ := connect()
	first := campaign(t, one, "one")
	check(t, first.PutPlan(within(t), plan(1)))
	kill()
	second := campaign(t, two, "two")
	if p, ok, err := second.Plan(within(t)); !ok || err != nil || p.Generation != 1 {
		t.Errorf("%+v %v %v", p, ok, err)
	}
	check(t, second.PutPlan(within(t), plan(2)))
}

func ended(t *testing.T, connect Connect) {
	s, _ := connect()
	ctx, cancel := context.WithCancel(t.Context())
	workers, err := s.WatchWorkers(ctx)
	check(t, err)
	plans, err := s.WatchPlan(ctx)
	check(t, err)
	cancel()
	for range workers { // until it is closed
	}
	for range plans {
	}
	if _, err := s.Campaign(ctx, "c", TTL); !errors.Is(err, context.Canceled) {
		t.Errorf("campaign: %v", err)
	}
	if _, err := s.Register(ctx, worker("a", "1"), TTL); !errors.Is(err, context.Canceled) {
		t.Errorf("register: %v", err)
	}
}
