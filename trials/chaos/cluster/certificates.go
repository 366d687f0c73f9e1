package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime of the certificates: longer than any trial.
const lifetime = 7 * 24 * time.Hour

// writeCertificates makes an authority and lets it sign one certificate for all
// servers, of this machine and of the address host, and one for all clients. Its own
// key is written nowhere.
func writeCertificates(dir, host string) error {
	var ca *x509.Certificate
	var signer *ecdsa.PrivateKey
	for i, name := range []string{"ca", "server", "client"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: "Gramme trial cluster, " + name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lifetime),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		switch name {
		case "ca":
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
			ca, signer = c, key
		case "server": // a client of its peers, too
			c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
			c.IPAddresses, c.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, []string{"localhost"}
			if ip := net.ParseIP(host); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			}
		}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), signer)
		if err == nil {
			err = write(dir, name+".pem", "CERTIFICATE", der)
		}
		if err == nil && name != "ca" {
			if der, err = x509.MarshalPKCS8PrivateKey(key); err == nil {
				err = write(dir, name+".key", "PRIVATE KEY", der)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func write(dir, name, kind string, der []byte) error {
	return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
