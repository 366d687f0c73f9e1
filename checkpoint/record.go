package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/gramme-project/gramme/checkpoint/ledger"
	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
)

// mostMessages bounds what one sync of the ledger covers.
const mostMessages = 256

// record writes readings and events into the ledger and acknowledges them once
// they are durable. Messages that arrived meanwhile share one sync.
func (s *Service) record(ctx context.Context, messages <-chan *bus.Message) {
	for {
		var batch []*bus.Message
		select {
		case <-ctx.Done():
			return
		case m := <-messages:
			batch = append(batch, m)
		}
		for len(batch) < mostMessages && len(messages) > 0 { // nobody else receives them
			batch = append(batch, <-messages)
		}
		s.recordBatch(batch)
	}
}

func (s *Service) recordBatch(batch []*bus.Message) {
	var good []*bus.Message
	var all []ledger.Entry
	for _, m := range batch {
		entries, err := s.entriesOf(m)
		if err != nil {
			s.reply(m, nil, err)
			continue
		}
		good, all = append(good, m), append(all, entries...)
	}
	err := s.appendEntries(all)
	if err != nil {
		s.log.Error("ledger", zap.Error(err))
	}
	for _, m := range good {
		s.reply(m, nil, err)
	}
}

func (s *Service) entriesOf(m *bus.Message) ([]ledger.Entry, error) {
	if m.Subject == s.subjects.Readings() {
		var records []energy.Record
		if err := wire.Decode(m.Data, &records); err != nil {
			return nil, err
		}
		return entriesFrom(records), nil
	}
	var events []wire.Event
	if err := wire.Decode(m.Data, &events); err != nil {
		return nil, err
	}
	var entries []ledger.Entry
	for _, e := range events {
		entry, err := entryOf(e)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// entryOf turns an event of the coordinator into an entry of the ledger.
func entryOf(e wire.Event) (ledger.Entry, error) {
	entry := ledger.Entry{Key: e.Key}
	switch e.Kind {
	case wire.EventMembership:
		entry.Membership = &ledger.Membership{Generation: e.Generation, Members: e.Members, Reason: e.Reason}
	case wire.EventBegun:
		if e.Lineage == nil {
			return entry, fmt.Errorf("event %s does not say where training began", e.Key)
		}
		begun := ledger.Lineage(*e.Lineage)
		entry.Lineage = &begun
	case wire.EventRefused, wire.EventMixed, wire.EventReplicaDiffers:
		entry.Note = &ledger.Note{Kind: string(e.Kind), Text: e.Reason, Generation: e.Generation}
	default:
		return entry, fmt.Errorf("an event of kind %q is unknown", e.Kind)
	}
	return entry, nil
}

func (s *Service) appendEntries(entries []ledger.Entry) error {
	return appendTo(s.ledger, s.log, entries)
}

// appendTo appends entries to a ledger. A refused entry would be sent again for ever, so an
// invalid one is quarantined: a note with the reason takes its place.
func appendTo(l *ledger.Log, log *zap.Logger, entries []ledger.Entry) error {
	for {
		_, err := l.Append(entries...)
		refused := (*ledger.RefusedError)(nil)
		if !errors.As(err, &refused) {
			return err
		}
		bad := &entries[refused.Position]
		log.Warn("an entry does not belong in the ledger", zap.Error(refused.Err))
		note := &ledger.Note{Kind: ledger.NoteQuarantine, Text: "an entry was not taken: " + refused.Err.Error()}
		if source := (energy.Record{Reading: bad.Reading, Gap: bad.Gap}).Source(); source.Worker != "" {
			note.Worker = source.Worker
		}
		if bad.Note != nil && bad.Note.Kind == ledger.NoteQuarantine {
			return err // not even the note is taken
		}
		*bad = ledger.Entry{Note: note}
	}
}

// Append records readings of the process that the service runs in. It returns nil
// once they are durable.
func (s *Service) Append(_ context.Context, records []energy.Record) error {
	return s.appendEntries(entriesFrom(records))
}

func entriesFrom(records []energy.Record) (entries []ledger.Entry) {
	for _, r := range records {
		entries = append(entries, ledger.FromRecord(r))
	}
	return entries
}
