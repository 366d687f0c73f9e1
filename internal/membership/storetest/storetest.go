// Package storetest is the conformance suite of membership.Store: what every
// adapter must do, as cases that its tests run.
package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/wire"
)

// Connect returns the store of a new process on the state that all processes of
// a case share, and what kills that process.
type Connect func() (store membership.Store, kill func())

// TTL is that of leases and leaders in the cases: longer than a busy disk may
// take to sync, as short as can be otherwise.
const TTL = 5 * time.Second

// Cases are independent of each other. Each wants an empty state.
func Cases() map[string]func(*testing.T, Connect) {
	return map[string]func(*testing.T, Connect){
		"registrations come and go":            registrations,
		"an ID is held by one incarnation":     taken,
		"a killed process leaves":              killed,
		"a live registration stays":            stays,
		"an evicted worker learns of it":       evicted,
		"watches deliver the newest value":     watches,
		"the first spec stays":                 spec,
		"plans follow each other":              plans,
		"one coordinator leads":                election,
		"a leader that was killed is replaced": replaced,
		"what ended says so":                   ended,
	}
}

// worker returns the registration of one incarnation.
func worker(id, incarnation string) wire.Registration {
	return wire.Registration{ID: id, Incarnation: incarnation, Host: "h", PID: 7, Speed: 1.5, Started: time.Unix(1, 0).UTC()}
}

// within bounds what should happen at once.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// await reads from a watch until ok.
func await[T any](t *testing.T, c <-chan T, what string, ok func(T) bool) T {
	t.Helper()
	late := time.After(20 * time.Second)
	var last T
	for {
		select {
		case v, open := <-c:
			if !open {
				t.Fatalf("%s: the watch ended", what)
			}
			if last = v; ok(v) {
				return v
			}
		case <-late:
			t.Fatalf("%s did not come; last was %+v", what, last)
		}
	}
}

func ids(all []wire.Registration) []string {
	var out []string
	for _, r := range all {
		out = append(out, r.ID+"/"+r.Incarnation)
	}
	return out
}

func awaitIDs(t *testing.T, c <-chan []wire.Registration, want ...string) []wire.Registration {
	t.Helper()
	return await(t, c, "workers", func(all []wire.Registration) bool { return slices.Equal(ids(all), want) })
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func register(t *testing.T, s membership.Store, id, incarnation string) membership.Lease {
	t.Helper()
	l, err := s.Register(within(t), worker(id, incarnation), TTL)
	check(t, err)
	return l
}

func campaign(t *testing.T, s membership.Store, id string) membership.Leadership {
	t.Helper()
	l, err := s.Campaign(within(t), id, TTL)
	check(t, err)
	return l
}
