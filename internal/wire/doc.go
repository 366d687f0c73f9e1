// Package wire is what the roles say to each other: the keys in etcd, the
// subjects in NATS and the messages that travel under them, as JSON.
//
// It holds names and types only. Nothing in it is needed per step except the
// heartbeat; the gradients travel in the frames of package allreduce.
package wire

import (
	"encoding/json"
	"fmt"
)

// Encode turns a message into bytes. Messages of this package always encode.
func Encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// Decode reads a message and names its type when it is malformed.
func Decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

// Reply is how every request is answered: a result or a reason.
type Reply struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}
