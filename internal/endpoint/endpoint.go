// Package endpoint is how a process reaches the etcd and the NATS of a run: a
// small value that a parent hands to its children through the environment, and
// that `gramme` finds in a file in the folder of a run.
//
// It guarantees that the secret stands in no process list and in no file that
// others may read. It does not start services and knows no protocol above the
// connection.
package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Variable is the name in the environment under which Environ puts an endpoint.
const Variable = "GRAMME_ENDPOINT"

// Endpoint names the services of one run.
type Endpoint struct {
	Run    string   `json:"run"`
	Etcd   []string `json:"etcd"`             // URLs
	NATS   string   `json:"nats"`             // URL
	Secret string   `json:"secret,omitempty"` // token of NATS
}

// Validate says what is missing.
func (e Endpoint) Validate() error {
	switch {
	case e.Run == "":
		return errors.New("endpoint: the run is missing")
	case len(e.Etcd) == 0:
		return errors.New("endpoint: the address of etcd is missing")
	case e.NATS == "":
		return errors.New("endpoint: the address of NATS is missing")
	}
	return nil
}

// Environ returns the endpoint as NAME=value pairs for the environment of a
// child. The environment of a process is readable by its user only.
func (e Endpoint) Environ() ([]string, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode endpoint: %w", err)
	}
	return []string{Variable + "=" + string(b)}, nil
}

// FromEnviron finds an endpoint among NAME=value pairs. The last one counts.
func FromEnviron(environ []string) (Endpoint, error) {
	for i := len(environ) - 1; i >= 0; i-- {
		if text, ok := strings.CutPrefix(environ[i], Variable+"="); ok {
			return parse(Variable, []byte(text))
		}
	}
	return Endpoint{}, fmt.Errorf("%s is not set: it says where etcd and NATS of the run are", Variable)
}

// parse reads an endpoint. An error never repeats the text: it holds a secret.
func parse(from string, text []byte) (Endpoint, error) {
	var e Endpoint
	if err := json.Unmarshal(text, &e); err != nil {
		return Endpoint{}, fmt.Errorf("read endpoint from %s: not JSON of an endpoint", from)
	}
	if err := e.Validate(); err != nil {
		return Endpoint{}, fmt.Errorf("read %s: %w", from, err)
	}
	return e, nil
}

// WriteFile stores the endpoint so that path holds either what it held or all
// of it, readable by its user only.
func (e Endpoint) WriteFile(path string) (err error) {
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode endpoint: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write endpoint: %w", err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// ReadFile reads what WriteFile stored. An absent file is fs.ErrNotExist.
func ReadFile(path string) (Endpoint, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Endpoint{}, fmt.Errorf("read endpoint: %w", err)
	}
	return parse(path, b)
}
