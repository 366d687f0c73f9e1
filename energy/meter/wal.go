package meter

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/gramme-project/gramme/energy"
)

// The write-ahead log is a sequence of frames:
//
//	length  4 bytes, little-endian, of the payload
//	crc     4 bytes, CRC32C of the payload
//	payload JSON of batch
//
// Bytes after the first incomplete frame were never durable. A frame is one sample of the
// meters, which counts as a whole or not at all.
const (
	frameHeader = 8
	maxPayload  = 1 << 24
	// fullFrame is the size after which the records of a rewritten log go on in another
	// frame.
	fullFrame = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is the payload of a frame.
type batch struct {
	Done []energy.Record `json:"done,omitempty"` // to be sent
	// Open replaces Open of the last frame: the readings of the running meters, as if
	// they were finished now.
	Open []*energy.Reading `json:"open,omitempty"`
	// Missing replaces Missing of the last frame: the gaps of the meters that should run
	// and do not.
	Missing []*energy.Gap `json:"missing,omitempty"`
	// Killed says, in a log that was emptied since, that the process was killed.
	Killed bool `json:"killed,omitempty"`
}

// killed reports whether the process of this log was killed.
func (b batch) killed() bool { return b.Killed || len(b.Open) > 0 }

// encodedBatch is a batch whose records are already encoded.
type encodedBatch struct {
	Done []json.RawMessage `json:"done,omitempty"` // in place of the batch's own
	batch
}

// item is a record that waits for its acknowledgement, and its encoding.
type item struct {
	record energy.Record
	json   json.RawMessage
}

func newItem(r energy.Record) (item, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return item{}, fmt.Errorf("encode record %v: %w", r.Source().Key(), err)
	}
	return item{r, b}, nil
}

// encode returns the frames of a log, or of an addition to one: a single frame unless many
// records wait.
func encode(items []item, open []*energy.Reading, missing []*energy.Gap) ([]byte, error) {
	var log []byte
	var next encodedBatch
	size := 0
	flush := func() (err error) {
		log, err = appendFrame(log, next)
		next, size = encodedBatch{}, 0
		return err
	}
	for _, it := range items {
		if size > fullFrame {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		next.Done = append(next.Done, it.json)
		size += len(it.json)
	}
	next.Open, next.Missing = open, missing
	err := flush()
	return log, err
}

// emptyLog returns a log whose records were all sent.
func emptyLog(log batch) ([]byte, error) { return appendFrame(nil, batch{Killed: log.killed()}) }

func appendFrame(log []byte, batch any) ([]byte, error) {
	payload, err := json.Marshal(batch)
	if err != nil {
		return nil, fmt.Errorf("encode readings: %w", err)
	}
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("encode readings: %d bytes are more than a frame holds", len(payload))
	}
	log = binary.LittleEndian.AppendUint32(log, uint32(len(payload)))
	log = binary.LittleEndian.AppendUint32(log, crc32.Checksum(payload, castagnoli))
	return append(log, payload...), nil
}

// parse returns the content of a log up to the first incomplete frame, and its length in
// bytes.
func parse(b []byte) (log batch, whole int) {
	for {
		next, size := frame(b[whole:])
		if size == 0 {
			return log, whole
		}
		log.Done = append(log.Done, next.Done...)
		log.Open, log.Missing, log.Killed = next.Open, next.Missing, next.Killed
		whole += size
	}
}

// frame reads the frame at the beginning of b; size 0 means that it is incomplete.
func frame(b []byte) (next batch, size int) {
	if len(b) < frameHeader {
		return batch{}, 0
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || n > maxPayload || int(n) > len(b)-frameHeader {
		return batch{}, 0
	}
	payload := b[frameHeader : frameHeader+int(n)]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return batch{}, 0
	}
	if json.Unmarshal(payload, &next) != nil || next.validate() != nil {
		return batch{}, 0
	}
	return next, frameHeader + int(n)
}

// damaged reports whether a log with that many whole bytes lost something that was
// durable. A crash leaves only the beginning of one last frame: the first frame appears as
// a whole, and none is written after an incomplete one.
func damaged(b []byte, whole int) bool {
	if whole == 0 {
		return len(b) > 0
	}
	for at := whole + 1; at < len(b); at++ {
		if _, size := frame(b[at:]); size > 0 {
			return true
		}
	}
	return false
}

func (b batch) validate() error {
	for _, r := range b.records() {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// records returns everything in a log.
func (b batch) records() []energy.Record {
	all := slices.Clone(b.Done)
	for _, r := range b.Open {
		all = append(all, energy.Record{Reading: r})
	}
	for _, g := range b.Missing {
		all = append(all, energy.Record{Gap: g})
	}
	return all
}

// replay returns the records of a log in order. A meter with an open reading was killed:
// the reading ends with its last sample, and a gap follows it until `death`, the wall time
// until which the process may have lived. An open gap ends with the last sample.
func replay(log batch, now instant, bootID string, death int64) []energy.Record {
	records := log.Done
	for _, g := range log.Missing {
		records = append(records, energy.Record{Gap: g})
	}
	for _, r := range log.Open {
		gap := &energy.Gap{Source: r.Source, Reason: "the process was killed: nothing was measured after its last sample"}
		if r.End > r.Start || r.MicroJ > 0 {
			records = append(records, energy.Record{Reading: r})
			gap.Seq++
		}
		silent := max(0, death-r.WallEnd)
		if r.BootID == bootID {
			silent = min(silent, max(0, now.boot-r.End))
		}
		if silent == 0 {
			continue
		}
		gap.Start, gap.End = r.End, r.End+silent
		gap.WallStart, gap.WallEnd = r.WallEnd, r.WallEnd+silent
		for _, p := range r.Parts {
			gap.FirstStep = max(gap.FirstStep, p.LastStep)
		}
		gap.LastStep = gap.FirstStep
		if gap.Validate() == nil { // else its numbers do not fit their types
			records = append(records, energy.Record{Gap: gap})
		}
	}
	return records
}
