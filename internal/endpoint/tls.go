package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Files are the paths of PEM files.
type Files struct {
	CA   string `json:"ca,omitempty"`   // certificates that servers are verified by; "": those of the system
	Cert string `json:"cert,omitempty"` // of this client
	Key  string `json:"key,omitempty"`
}

func (f Files) validate() error {
	if (f.Cert == "") != (f.Key == "") {
		return errors.New("endpoint: a client's certificate and its key belong together")
	}
	return nil
}

// config reads the files. They are read at every dial, so that new connections use
// renewed certificates.
func (f Files) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		b, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("certificates of the authority: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("certificates of the authority: %s holds no certificate in PEM", f.CA)
		}
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate of this client: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
