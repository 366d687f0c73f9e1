package natslink

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
)

// certificate makes a self-signed certificate for one mailbox. Its hash is part of the
// mailbox's URL, which neighbours learn from the plan; so it needs no name, and no name
// has to be resolved.
func certificate() (c tls.Certificate, pin string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, "", err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return c, "", err
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, hex.EncodeToString(sum[:]), nil
}

// dialTarget returns the address and options by which to connect to a mailbox's URL.
func dialTarget(address, secret string) (string, []nats.Option, error) {
	options := []nats.Option{nats.Token(secret), nats.NoReconnect(), nats.IgnoreDiscoveredServers(), nats.NoCallbacksAfterClientClose()}
	u, err := url.Parse(address)
	if err != nil {
		return "", nil, errors.New("its address is no URL")
	}
	if u.Scheme != "tls" {
		return address, options, nil
	}
	want, err := hex.DecodeString(u.Fragment)
	if err != nil || len(want) != sha256.Size {
		return "", nil, fmt.Errorf("its address %s lacks the hash of its certificate", address)
	}
	u.Fragment = ""
	return u.String(), append(options, nats.Secure(&tls.Config{
		MinVersion: tls.VersionTLS13,
		// The certificate must be the one that the URL names: this takes the place of
		// names and authorities.
		InsecureSkipVerify: true, // verified below
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("no certificate")
			}
			if got := sha256.Sum256(s.PeerCertificates[0].Raw); !bytes.Equal(got[:], want) {
				return errors.New("another certificate than that of the mailbox")
			}
			return nil
		},
	})), nil
}

// Probe tries to connect to a mailbox before ctx ends; a nil dial is net.Dialer.
func Probe(ctx context.Context, address, secret string, dial Dial) error {
	to, options, err := dialTarget(address, secret)
	if err != nil {
		return fmt.Errorf("reach mailbox: %w", err)
	}
	raw := &rawConn{ctx: ctx, dial: dial}
	defer context.AfterFunc(ctx, raw.close)()
	conn, err := nats.Connect(to, append(options, nats.Timeout(startTimeout), nats.SetCustomDialer(raw))...)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("reach mailbox %s: %w", to, err)
	}
	conn.Close()
	return nil
}
