package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// loadSigner reads the private key of a log; fs.ErrNotExist if there is none.
func loadSigner(d disk, path, run string) (note.Signer, error) {
	b, err := readFile(d, path)
	if err != nil {
		return nil, err
	}
	s, err := note.NewSigner(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	if s.Name() != origin(run) {
		return nil, fmt.Errorf("signing key %s is of log %q, not of %q", path, s.Name(), origin(run))
	}
	return s, nil
}

// makeSigner makes a private key and stores it, readable by its owner only.
func makeSigner(d disk, path, run string) (note.Signer, error) {
	secret, _, err := note.GenerateKey(rand.Reader, origin(run))
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	if err := makeFolder(d, filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	if err := replaceFile(d, path, []byte(secret+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	return note.NewSigner(secret)
}

// verifierKey returns the public key of a private key file, in the canonical form that
// parseVerifier accepts.
func verifierKey(d disk, path string) (string, error) {
	b, err := readFile(d, path)
	if err != nil {
		return "", err
	}
	// PRIVATE+KEY+name+hash+base64(algorithm, seed)
	parts := strings.SplitN(strings.TrimSuffix(string(b), "\n"), "+", 5)
	if len(parts) != 5 {
		return "", fmt.Errorf("signing key %s: malformed", path)
	}
	secret, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(secret) != 1+ed25519.SeedSize {
		return "", fmt.Errorf("signing key %s: malformed", path)
	}
	public, ok := ed25519.NewKeyFromSeed(secret[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("signing key %s: not an Ed25519 key", path)
	}
	return note.NewEd25519VerifierKey(parts[2], public)
}

// verifier is a public key with its text.
type verifier struct {
	note.Verifier
	text string
}

// parseVerifier reads a public key file: one line, in canonical form.
func parseVerifier(b []byte) (note.Verifier, string, error) {
	text, ok := strings.CutSuffix(string(b), "\n")
	if !ok {
		return nil, "", errors.New("malformed: no end of line")
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		return nil, "", err
	}
	_, rest, _ := strings.Cut(text, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return nil, "", errors.New("malformed")
	}
	again, err := note.NewEd25519VerifierKey(v.Name(), ed25519.PublicKey(raw[1:]))
	if err != nil || again != text {
		return nil, "", errors.New("not in canonical form")
	}
	return verifier{v, text}, text, nil
}

// makeKeys returns the signer and public key of a new log in dir. It uses a key that an
// interrupted creation left.
func makeKeys(d disk, dir, keyPath, run string) (note.Signer, string, error) {
	s, err := loadSigner(d, keyPath, run)
	if errors.Is(err, fs.ErrNotExist) {
		s, err = makeSigner(d, keyPath, run)
	}
	if err != nil {
		return nil, "", err
	}
	public, err := verifierKey(d, keyPath)
	if err != nil {
		return nil, "", err
	}
	return s, public, replaceFile(d, filepath.Join(dir, keyFile), []byte(public+"\n"), 0o644)
}
