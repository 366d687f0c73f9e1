package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/embedded"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/wire"
)

// TestStatusWaitsForACoordinator asks while one is starting again.
func TestStatusWaitsForACoordinator(t *testing.T) {
	server, err := embedded.StartNATS(embedded.NATSOptions{Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	e := endpoint.Endpoint{Run: "r", NATS: server.URL(), Secret: "s"}
	conn, err := e.DialNATS(t.Context(), "coordinator")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answered := make(chan error, 1)
	time.AfterFunc(retryWithin/8, func() {
		answered <- func() error {
			asked, err := conn.SubscribeSync(wire.SubjectsOf(e.Run).Status())
			if err != nil {
				return err
			}
			m, err := asked.NextMsgWithContext(t.Context())
			if err != nil {
				return err
			}
			body, err := wire.Encode(wire.Reply{Result: json.RawMessage(`{"state":"training"}`)})
			if err != nil {
				return err
			}
			return m.Respond(body)
		}()
	})
	if s, err := askStatus(t.Context(), e); err != nil || s.State != wire.StateTraining {
		t.Errorf("%+v %v", s, err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}
