// Package transfer carries bytes that are too large for one message over NATS:
// requests for a range (wire.Range), answers with the range, its CRC32C and the
// size of the whole.
//
// It guarantees that Read returns the bytes that were given to Answer. It does not
// guarantee that they are the right ones: the caller verifies the whole.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/gramme-project/gramme/internal/wire"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC32C of data as headers carry it.
func Checksum(data []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli)) }

// Verify compares data with the checksum in a message's headers.
func Verify(m *nats.Msg) error {
	if want := m.Header.Get(wire.HeaderCRC); Checksum(m.Data) != want {
		return fmt.Errorf("checksum of %d bytes is %s, the message says %q", len(m.Data), Checksum(m.Data), want)
	}
	return nil
}

// Answer replies to a request with the range r of all.
func Answer(request *nats.Msg, r wire.Range, all []byte) error {
	if r.Offset < 0 || r.Length < 0 || r.Length > wire.MaxChunk || r.Offset > int64(len(all)) {
		return Refuse(request, fmt.Errorf("range %d+%d of %q: it has %d bytes, and a message carries %d", r.Offset, r.Length, r.Name, len(all), wire.MaxChunk))
	}
	data := all[r.Offset:min(r.Offset+int64(r.Length), int64(len(all)))]
	return AnswerPiece(request, data, int64(len(all)))
}

// AnswerPiece replies with a piece of something that has total bytes.
func AnswerPiece(request *nats.Msg, data []byte, total int64) error {
	m := nats.NewMsg(request.Reply)
	m.Data = data
	m.Header.Set(wire.HeaderCRC, Checksum(data))
	m.Header.Set(wire.HeaderTotal, strconv.FormatInt(total, 10))
	return request.RespondMsg(m)
}

// Refuse replies with a reason.
func Refuse(request *nats.Msg, reason error) error {
	m := nats.NewMsg(request.Reply)
	m.Header.Set(wire.HeaderError, reason.Error())
	return request.RespondMsg(m)
}

// ErrLater says that the requested object has yet to come.
var ErrLater = errors.New("it has yet to come")

// Later replies that the requested object has yet to come.
func Later(request *nats.Msg) error {
	m := nats.NewMsg(request.Reply)
	m.Header.Set(wire.HeaderError, ErrLater.Error())
	m.Header.Set(wire.HeaderLater, "1")
	return request.RespondMsg(m)
}

// Fetch requests a range and returns its bytes and the size of the whole.
func Fetch(ctx context.Context, conn *nats.Conn, subject string, r wire.Range) (data []byte, total int64, err error) {
	body, err := wire.Encode(r)
	if err != nil {
		return nil, 0, err
	}
	m, err := conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: body})
	if err != nil {
		return nil, 0, fmt.Errorf("request %s: %w", subject, err)
	}
	data, total, err = Read(m)
	if err != nil {
		return nil, 0, fmt.Errorf("answer of %s: %w", subject, err)
	}
	return data, total, nil
}

// Read verifies an answer. One of Later is ErrLater.
func Read(m *nats.Msg) (data []byte, total int64, err error) {
	if m.Header.Get(wire.HeaderLater) != "" {
		return nil, 0, ErrLater
	}
	if reason := m.Header.Get(wire.HeaderError); reason != "" {
		return nil, 0, errors.New(reason)
	}
	if err := Verify(m); err != nil {
		return nil, 0, err
	}
	total, err = strconv.ParseInt(m.Header.Get(wire.HeaderTotal), 10, 64)
	if err != nil || total < int64(len(m.Data)) {
		return nil, 0, fmt.Errorf("size of the whole: %q", m.Header.Get(wire.HeaderTotal))
	}
	return m.Data, total, nil
}
