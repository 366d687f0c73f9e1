// Package endpoint is how a process reaches the etcd and the NATS of a run: a
// small value that a parent hands to its children through the environment, and
// that `gramme` finds in a file in the folder of a run.
//
// The services are a run's own, inside of `gramme up`, or clusters that others use, too.
// There a run keeps to its own keys and subjects.
//
// It guarantees that secrets stand in no process list, in no error and in no file that
// others may read; of certificates and credentials it holds the paths only. It does not
// start services and knows no protocol above the connection.
package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/internal/vfs"
)

// Variable is the name in the environment under which Environ puts an endpoint.
const Variable = "GRAMME_ENDPOINT"

// Endpoint names the services of one run.
type Endpoint struct {
	Run    string   `json:"run"`
	Etcd   []string `json:"etcd"`             // URLs of the members
	NATS   string   `json:"nats"`             // URLs of the servers, joined by commas
	Secret string   `json:"secret,omitempty"` // of the run: mailboxes of workers ask for it, and the run's own NATS
	// Shared says that the services are not the run's own: others use them, too, and they
	// do not know the run's secret.
	Shared      bool   `json:"shared,omitempty"`
	TLS         Files  `json:"tls,omitzero"`
	Credentials string `json:"nats_creds,omitempty"` // file of a NATS user
}

// Validate says what is missing, and what cannot be used.
func (e Endpoint) Validate() error {
	switch {
	case e.Run == "":
		return errors.New("endpoint: the run is missing")
	case len(e.Etcd) == 0:
		return errors.New("endpoint: the address of etcd is missing")
	case e.NATS == "":
		return errors.New("endpoint: the address of NATS is missing")
	}
	if err := checkURLs("etcd", e.Etcd, "http", "https", "unix"); err != nil {
		return err
	}
	if err := checkURLs("NATS", strings.Split(e.NATS, ","), "nats", "tls"); err != nil {
		return err
	}
	return e.TLS.validate()
}

// Encrypted reports whether the services are reached by TLS.
func (e Endpoint) Encrypted() bool {
	return strings.HasPrefix(e.NATS, "tls:") || len(e.Etcd) > 0 && strings.HasPrefix(e.Etcd[0], "https:")
}

// checkURLs requires URLs of one of the schemes, the same for all.
func checkURLs(service string, texts []string, schemes ...string) error {
	var first string
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil { // which would repeat the text
			return fmt.Errorf("endpoint: an address of %s is no URL: %s://HOST:PORT is needed", service, schemes[0])
		}
		if !slices.Contains(schemes, u.Scheme) || u.Host == "" && u.Path == "" {
			return fmt.Errorf("endpoint: address %q of %s: %s://HOST:PORT is needed", u.Redacted(), service, strings.Join(schemes[:2], ":// or "))
		}
		if first == "" {
			first = u.Scheme
		}
		if u.Scheme != first {
			return fmt.Errorf("endpoint: addresses of %s begin with %s:// and with %s://: all are reached alike", service, first, u.Scheme)
		}
	}
	return nil
}

// redacted shows addresses without the passwords that they may hold.
func redacted(texts []string) string {
	shown := make([]string, len(texts))
	for i, text := range texts {
		shown[i] = "?"
		if u, err := url.Parse(text); err == nil {
			if u.User != nil {
				u.User = url.User("xxxxx") // a name alone may be a token
			}
			shown[i] = u.String()
		}
	}
	return strings.Join(shown, ",")
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
		if text, ok := strings.CutPrefix(environ[i], Variable+"="); ok && text != "" {
			return parse(Variable, []byte(text))
		}
	}
	return Endpoint{}, fmt.Errorf("%s is %w: it says where etcd and NATS of the run are", Variable, ErrNotSet)
}

// ErrNotSet says that the environment holds no endpoint.
var ErrNotSet = errors.New("not set")

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

// WriteFile replaces a file by the endpoint, atomically and durably, readable by its user only.
func (e Endpoint) WriteFile(path string) error {
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode endpoint: %w", err)
	}
	if err := vfs.WriteFile(vfs.OS{}, path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("store endpoint: %w", err)
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
