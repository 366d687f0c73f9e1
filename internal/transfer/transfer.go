// Package transfer carries bytes that are too large for one message over a bus:
// requests for a range (wire.Range), answers with the range, its CRC32C and the
// size of the whole.
//
// It guarantees that Fetch returns the bytes that were given to Serve. It does not
// guarantee that they are the right ones: the caller verifies the whole.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/wire"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC32C of data as headers carry it.
func Checksum(data []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli)) }

// Verify compares data with the checksum in a message's headers.
func Verify(m *bus.Message) error {
	if want := m.Header[wire.HeaderCRC]; Checksum(m.Data) != want {
		return fmt.Errorf("checksum of %d bytes is %s, the message says %q", len(m.Data), Checksum(m.Data), want)
	}
	return nil
}

// ErrLater says that the requested object has yet to come.
var ErrLater = errors.New("it has yet to come")

// Serve answers a request for a range with what read returns for it: a piece and the
// size of the whole, or the reason why there is none.
func Serve(request *bus.Message, read func(wire.Range) (piece []byte, total int64, err error)) error {
	var r wire.Range
	var piece []byte
	var total int64
	err := wire.Decode(request.Data, &r)
	if err == nil {
		piece, total, err = read(r)
	}
	if err != nil {
		header := map[string]string{wire.HeaderError: err.Error()}
		if errors.Is(err, ErrLater) {
			header[wire.HeaderLater] = "1"
		}
		return request.Respond(bus.Message{Header: header})
	}
	return request.Respond(bus.Message{
		Data:   piece,
		Header: map[string]string{wire.HeaderCRC: Checksum(piece), wire.HeaderTotal: strconv.FormatInt(total, 10)},
	})
}

// Piece returns the range r of all, and the size of all.
func Piece(all []byte, r wire.Range) (piece []byte, total int64, err error) {
	total = int64(len(all))
	if r.Offset < 0 || r.Length < 0 || r.Length > wire.MaxChunk || r.Offset > total {
		return nil, 0, fmt.Errorf("range %d+%d of %q: it has %d bytes, and a message carries %d", r.Offset, r.Length, r.Name, total, wire.MaxChunk)
	}
	return all[r.Offset:min(r.Offset+int64(r.Length), total)], total, nil
}

// Fetch requests a range and returns its bytes and the size of the whole. It fails with
// ErrLater where what it asks for has yet to come.
func Fetch(ctx context.Context, conn bus.Conn, subject string, r wire.Range) (data []byte, total int64, err error) {
	body, err := wire.Encode(r)
	if err != nil {
		return nil, 0, err
	}
	m, err := conn.Request(ctx, bus.Message{Subject: subject, Data: body})
	if err != nil {
		return nil, 0, fmt.Errorf("request %s: %w", subject, err)
	}
	data, total, err = read(m)
	if err != nil {
		return nil, 0, fmt.Errorf("answer of %s: %w", subject, err)
	}
	return data, total, nil
}

// read verifies an answer.
func read(m *bus.Message) (data []byte, total int64, err error) {
	if m.Header[wire.HeaderLater] != "" {
		return nil, 0, ErrLater
	}
	if reason := m.Header[wire.HeaderError]; reason != "" {
		return nil, 0, errors.New(reason)
	}
	if err := Verify(m); err != nil {
		return nil, 0, err
	}
	total, err = strconv.ParseInt(m.Header[wire.HeaderTotal], 10, 64)
	if err != nil || total < int64(len(m.Data)) {
		return nil, 0, fmt.Errorf("size of the whole: %q", m.Header[wire.HeaderTotal])
	}
	return m.Data, total, nil
}
