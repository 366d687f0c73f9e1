package meter

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"github.com/gramme-project/gramme/internal/energy"
)

// The write-ahead log is a sequence of frames:
//
//	length  4 bytes, little-endian, of the payload
//	crc     4 bytes, CRC32C of the payload
//	payload JSON of logged
//
// A frame replaces the earlier ones that have the key of its record. Whatever
// follows the first frame that is not whole was never acknowledged to anyone.
const (
	frameHeader = 8
	maxPayload  = 1 << 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// logged is the payload of a frame: a record, and whether it is a reading that
// is not finished yet.
type logged struct {
	energy.Record
	Open bool `json:"open,omitempty"`
}

// frame encodes a record for the log.
func frame(r energy.Record, open bool) ([]byte, error) {
	payload, err := json.Marshal(logged{r, open})
	if err != nil {
		return nil, fmt.Errorf("encode record %v: %w", r.Source().Key(), err)
	}
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("encode record %v: %d bytes are more than a frame holds", r.Source().Key(), len(payload))
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, frameHeader+len(payload)), uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	return append(b, payload...), nil
}

// parse returns the records of a log, up to the first frame that is not whole,
// and how many bytes they take.
func parse(b []byte) (records []logged, whole int) {
	for {
		rest := b[whole:]
		if len(rest) < frameHeader {
			return records, whole
		}
		size := binary.LittleEndian.Uint32(rest)
		if size == 0 || size > maxPayload || int(size) > len(rest)-frameHeader {
			return records, whole
		}
		payload := rest[frameHeader : frameHeader+int(size)]
		if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			return records, whole
		}
		var l logged
		if json.Unmarshal(payload, &l) != nil || l.Validate() != nil || l.Open && l.Reading == nil {
			return records, whole
		}
		records = append(records, l)
		whole += frameHeader + int(size)
	}
}

// replay returns what a log says that its processes measured: the newest state
// of each record, in order. A meter that had an open reading was killed: that
// reading ends with its last look, and a gap follows it until `death`, the wall
// time until when the process may have lived.
func replay(log []logged, now instant, bootID string, death int64) []energy.Record {
	newest := map[energy.Key]logged{}
	var order []energy.Key
	for _, l := range log {
		k := l.Source().Key()
		if _, ok := newest[k]; !ok {
			order = append(order, k)
		}
		newest[k] = l
	}
	var records []energy.Record
	for _, k := range order {
		l := newest[k]
		if !l.Open {
			records = append(records, l.Record)
			continue
		}
		r := l.Reading
		gap := &energy.Gap{Source: r.Source, Reason: "the process was killed: nothing was measured after its last look"}
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
		records = append(records, energy.Record{Gap: gap})
	}
	return records
}
