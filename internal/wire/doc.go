// Package wire is the contract between the roles: the keys in etcd, the subjects in NATS,
// the messages under them, which are JSON, and the constants in those messages
// (contracts.go).
//
// It holds names and types only. A step uses only the heartbeat from it: gradients travel
// in the frames of package allreduce.
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

// Reply answers a request: a result or an error.
type Reply struct {
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}
