package orders

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/gramme-project/gramme/internal/wire"
)

// TestOutbox sends more events than one batch holds, through a failure.
func TestOutbox(t *testing.T) {
	var o Outbox
	for i := range maxBatch + 2 {
		o.Add(wire.Event{Key: strconv.Itoa(i)})
	}
	if n := len(o.Next()); n != maxBatch {
		t.Fatalf("a batch of %d", n)
	}
	o.Add(wire.Event{Key: "late"})
	if o.Next() != nil {
		t.Error("a second batch while one is under way")
	}
	keys, first := o.Sent(errors.New("gone"))
	_, second := o.Sent(errors.New("gone"))
	if keys != nil || first == 0 || second <= first || o.Next() != nil {
		t.Errorf("acknowledged %v, then pauses of %s and %s", keys, first, second)
	}
	if keys, retry := o.Sent(nil); len(keys) != maxBatch || keys[0] != "0" || retry != 0 {
		t.Errorf("acknowledged %v, retry after %s", keys, retry)
	}
	o.Next()
	if keys, _ := o.Sent(nil); !slices.Equal(keys, []string{"64", "65", "late"}) || !o.Empty() {
		t.Errorf("acknowledged %v", keys)
	}
	o.Add(wire.Event{Key: "again"})
	o.Next()
	if _, retry := o.Sent(errors.New("gone")); retry != first {
		t.Errorf("after a success it waits %s, not %s", retry, first)
	}
}
