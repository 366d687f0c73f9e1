package membus_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/bus/bustest"
	"github.com/gramme-project/gramme/internal/bus/membus"
)

func TestConformance(t *testing.T) {
	for name, run := range bustest.Cases() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := membus.New()
				run(t, func() (bustest.Client, func() func()) {
					c := s.Connect("c")
					t.Cleanup(c.Close)
					return c, c.Interrupt
				})
			})
		})
	}
}

// received is what comes to a connection under a subject.
type received struct {
	texts []string
	at    []time.Duration // since the beginning of the bubble
}

func listen(t *testing.T, c *membus.Conn, subject string) *received {
	t.Helper()
	h, begun := &received{}, time.Now()
	stop, err := c.Subscribe(bus.Subscription{Handlers: map[string]func(*bus.Message){subject: func(m *bus.Message) {
		h.texts, h.at = append(h.texts, string(m.Data)), append(h.at, time.Since(begun))
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return h
}

func publish(t *testing.T, c *membus.Conn, subject string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := c.Publish(bus.Message{Subject: subject, Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := membus.New()
		a, b, c := s.Connect("a"), s.Connect("b"), s.Connect("c")
		t.Cleanup(func() { a.Close(); b.Close(); c.Close() })
		toB, toC := listen(t, b, "s"), listen(t, c, "s")
		s.SetFate(func(d membus.Delivery) membus.Fate {
			switch {
			case d.From != "a" || d.To != "b":
				return membus.Fate{}
			case string(d.Message.Data) == "lost":
				return membus.Fate{Drop: true}
			case string(d.Message.Data) == "late":
				return membus.Fate{Delay: time.Second}
			case string(d.Message.Data) == "twice":
				return membus.Fate{Copies: 1}
			}
			return membus.Fate{}
		})
		publish(t, a, "s", "first", "lost", "late", "twice", "last")
		publish(t, c, "s", "other")
		time.Sleep(2 * time.Second)
		publish(t, a, "s", "again")
		synctest.Wait()
		if want := []string{"first", "other", "late", "twice", "twice", "last", "again"}; !slices.Equal(toB.texts, want) {
			t.Errorf("b receives %v, not %v", toB.texts, want)
		}
		for i, want := range []time.Duration{0, 0, time.Second, time.Second, time.Second, time.Second, 2 * time.Second} {
			if toB.at[i] != want {
				t.Errorf("b receives %s after %v, not %v", toB.texts[i], toB.at[i], want)
			}
		}
		if want := []string{"first", "lost", "late", "twice", "last", "other", "again"}; !slices.Equal(toC.texts, want) {
			t.Errorf("c receives %v, not %v", toC.texts, want)
		}
	})
}

// TestDelaysKeepOrder delays each message by chance.
func TestDelaysKeepOrder(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			s := membus.New()
			s.SetFate(func(membus.Delivery) membus.Fate {
				return membus.Fate{Delay: time.Duration(r.IntN(3)) * time.Millisecond}
			})
			a, b := s.Connect("a"), s.Connect("b")
			t.Cleanup(func() { a.Close(); b.Close() })
			got := listen(t, b, "s")
			var want []string
			for i := range 100 {
				want = append(want, fmt.Sprint(i))
				publish(t, a, "s", fmt.Sprint(i))
				time.Sleep(time.Duration(r.IntN(2)) * time.Millisecond)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if !slices.Equal(got.texts, want) {
				t.Fatalf("seed %d: came %v", seed, got.texts)
			}
		})
	}
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := membus.New()
		a, b, c := s.Connect("a"), s.Connect("b"), s.Connect("c")
		t.Cleanup(func() { a.Close(); b.Close(); c.Close() })
		toB, toC := listen(t, b, "s"), listen(t, c, "s")
		s.Partition("a", "b")
		publish(t, a, "s", "within")
		publish(t, c, "s", "outside")
		s.Partition()
		publish(t, c, "s", "healed")
		synctest.Wait()
		if want := []string{"within", "healed"}; !slices.Equal(toB.texts, want) {
			t.Errorf("b receives %v, not %v", toB.texts, want)
		}
		if want := []string{"outside", "healed"}; !slices.Equal(toC.texts, want) {
			t.Errorf("c receives %v, not %v", toC.texts, want)
		}
	})
}
