package wire

import (
	"time"

	"github.com/gramme-project/gramme/internal/number"
)

// Range asks for a part of something that is too large for one message. The answer
// carries the bytes as data, their CRC32C and the total size in the headers below.
type Range struct {
	Name   string `json:"name"` // shard: its SHA-256; snapshot: weights, moment1, moment2, meta; entry: the step in decimal
	Offset int64  `json:"offset"`
	Length int    `json:"length"`
	Step   uint64 `json:"step,omitempty"` // of a snapshot: a donor that has another one by now refuses
}

// Parts of a snapshot and of a checkpoint.
const (
	PartWeights = "weights"
	PartMoment1 = "moment1"
	PartMoment2 = "moment2"
)

// Headers of binary messages.
const (
	HeaderCRC   = "Gramme-CRC32C" // of the data, 8 hex digits
	HeaderTotal = "Gramme-Total"  // bytes of the whole, decimal
	HeaderError = "Gramme-Error"  // set instead of data
	HeaderLater = "Gramme-Later"  // set with an error: what was asked for does not exist yet
	HeaderSlice = "Gramme-Slice"  // SliceHeader as JSON
)

// MaxChunk bounds the data of a binary message. With its headers it stays below the 1 MiB
// that a NATS server accepts by default.
const MaxChunk = 1 << 19

// SnapshotInfo names a state that a donor can give.
type SnapshotInfo struct {
	Found    bool   `json:"found"`
	Step     uint64 `json:"step"`
	Elements int    `json:"elements"` // of each of weights, moment1, moment2 (flat, padded)
	Meta     []byte `json:"meta"`     // replica.Meta, encoded
	Digest   string `json:"digest"`   // replica digest of the whole
	// Numerics are set for a checkpoint; those of a member are in the plan.
	Numerics Numerics `json:"numerics,omitzero"`
}

// Pin asks a member to keep its state after a step, and the entries since, for one
// that joins: it goes on meanwhile. Step 0 is whatever it is at. The answer names the
// state that is kept, which may be one that another asked for; Found is false where
// its step has yet to come.
type Pin struct {
	Step uint64 `json:"step"`
	For  string `json:"for"` // worker that joins: nothing is kept for it once it has
}

// SliceHeader describes one chunk of a worker's part of a checkpoint.
// Weights and moments are cut at the same elements. The service answers each
// chunk with a Reply.
type SliceHeader struct {
	Step       uint64       `json:"step"`
	Generation uint64       `json:"generation"`
	Rank       int          `json:"rank"`
	World      int          `json:"world"`
	Worker     string       `json:"worker"`
	Part       string       `json:"part"`              // weights, moment1, moment2
	Offset     int          `json:"offset"`            // first element of this chunk in the flat buffer
	Count      int          `json:"count"`             // elements (float32, little-endian)
	First      int          `json:"first"`             // first element of the worker's slice
	End        int          `json:"end"`               // one past its last element
	Meta       []byte       `json:"meta,omitempty"`    // replica.Meta, sent with every chunk of rank 0's weights at offset First
	Digest     string       `json:"digest,omitempty"`  // replica digest of the whole state, likewise
	Loss       number.Float `json:"loss,omitempty"`    // of the step, likewise
	Numerics   Numerics     `json:"numerics,omitzero"` // of the state, likewise
	Lineage    Lineage      `json:"begun,omitzero"`    // from where it was trained, likewise
	Final      bool         `json:"final,omitempty"`   // the run ends with this step
}

// Committed announces a checkpoint that is visible and durable.
type Committed struct {
	Step     uint64    `json:"step"`
	Path     string    `json:"path"`
	Manifest string    `json:"manifest_sha256"`
	Time     time.Time `json:"time"`
}

// Event is an entry of the ledger that the coordinator or a worker asks for.
type Event struct {
	Key        string    `json:"key"` // counted once per key
	Kind       EventKind `json:"kind"`
	Generation uint64    `json:"generation,omitempty"`
	Members    []string  `json:"members,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Lineage    *Lineage  `json:"begun,omitempty"`
}
