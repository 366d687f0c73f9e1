package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// maxLine bounds one entry.
const maxLine = 1 << 20

// encode returns the canonical line of an entry, newline included. The leaf of
// the log is the line without its newline.
func encode(e Entry) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	if b.Len() > maxLine {
		return nil, fmt.Errorf("entry of %d bytes is too long", b.Len())
	}
	return b.Bytes(), nil
}

// decode reads one line without its newline. It accepts exactly what encode returns: any
// other form of the same entry is an error, and so are unknown fields.
func decode(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, fmt.Errorf("malformed: %w", err)
	}
	if e.Version != Version {
		return Entry{}, fmt.Errorf("schema version %d is not known to this program, which knows %d", e.Version, Version)
	}
	again, err := encode(e)
	if err != nil {
		return Entry{}, err
	}
	if !bytes.Equal(again[:len(again)-1], line) {
		return Entry{}, errors.New("malformed: not in canonical form")
	}
	t, err := e.body()
	if err != nil {
		return Entry{}, err
	}
	if t != e.Type {
		return Entry{}, fmt.Errorf("malformed: type %q with the body of %q", e.Type, t)
	}
	return e, nil
}

// link returns how an entry refers to the previous line.
func link(leaf tlog.Hash) string { return hex.EncodeToString(leaf[:8]) }
