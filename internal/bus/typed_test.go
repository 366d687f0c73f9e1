package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/bus/membus"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestTypedMessages sends values, and reads the answers of one that doubles steps.
func TestTypedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := membus.New().Connect("c")
		t.Cleanup(c.Close)
		stop, err := c.Subscribe(bus.Subscription{Handlers: map[string]func(*bus.Message){
			"double": func(m *bus.Message) {
				var s wire.SnapshotInfo
				err := wire.Decode(m.Data, &s)
				if s.Step *= 2; s.Step == 0 && err == nil {
					err = errors.New("nothing to double")
				}
				if err := bus.Respond(m, s, err); err != nil {
					t.Error(err)
				}
			},
			"acknowledge": func(m *bus.Message) { _ = bus.Respond(m, nil, nil) },
			"garbage":     func(m *bus.Message) { _ = m.Respond(bus.Message{Data: []byte("{")}) },
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		ctx := t.Context()
		if got, err := bus.Request[wire.SnapshotInfo](ctx, c, "double", wire.SnapshotInfo{Step: 4}); err != nil || got.Step != 8 {
			t.Errorf("twice 4 is %d, %v", got.Step, err)
		}
		refused := (*bus.RefusedError)(nil)
		if _, err := bus.Request[wire.SnapshotInfo](ctx, c, "double", wire.SnapshotInfo{}); !errors.As(err, &refused) || refused.Reason != "nothing to double" {
			t.Errorf("a refusal is %v", err)
		}
		if err := bus.Deliver(ctx, c, "double", nil); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "decode") {
			t.Errorf("an empty message is answered with %v", err)
		}
		if err := bus.Deliver(ctx, c, "acknowledge", 1); err != nil {
			t.Error(err)
		}
		for subject, request := range map[string]func(context.Context, bus.Conn, string, any) error{
			"garbage": bus.Deliver, "acknowledge": func(ctx context.Context, c bus.Conn, subject string, v any) error {
				_, err := bus.Request[wire.SnapshotInfo](ctx, c, subject, v)
				return err
			},
		} {
			if err := request(ctx, c, subject, 1); err == nil || errors.As(err, &refused) {
				t.Errorf("%s: %v", subject, err)
			}
		}
		if err := bus.Deliver(ctx, c, "nowhere", 1); !errors.Is(err, bus.ErrNoResponders) || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("where nobody is: %v", err)
		}
	})
}
