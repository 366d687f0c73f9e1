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

	"github.com/gramme-project/gramme/internal/vfs"
)

// readKey reads the private key of a log and returns its public key, in the canonical form
// that parseVerifier accepts; fs.ErrNotExist if there is none.
func readKey(d vfs.FS, path, run string) (note.Signer, string, error) {
	b, err := readFile(d, path)
	if err != nil {
		return nil, "", err
	}
	text := strings.TrimSuffix(string(b), "\n")
	s, err := note.NewSigner(text)
	if err != nil {
		return nil, "", fmt.Errorf("signing key %s: %w", path, err)
	}
	if s.Name() != origin(run) {
		return nil, "", fmt.Errorf("signing key %s is of log %q, not of %q", path, s.Name(), origin(run))
	}
	// PRIVATE+KEY+name+hash+base64(algorithm, seed)
	parts := strings.SplitN(text, "+", 5) // NewSigner has found as many
	secret, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(secret) != 1+ed25519.SeedSize {
		return nil, "", fmt.Errorf("signing key %s: malformed", path)
	}
	public, err := note.NewEd25519VerifierKey(s.Name(), ed25519.NewKeyFromSeed(secret[1:]).Public().(ed25519.PublicKey))
	return s, public, err
}

// PublicKey returns the public key of the private key at path; fs.ErrNotExist if
// there is none.
func PublicKey(path, run string) (string, error) {
	_, public, err := readKey(vfs.OS{}, path, run)
	return public, err
}

// makeKey makes a private key and stores it, readable by its owner only.
func makeKey(d vfs.FS, path, run string) (note.Signer, string, error) {
	secret, _, err := note.GenerateKey(rand.Reader, origin(run))
	if err == nil {
		err = vfs.MkdirAll(d, filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = replaceFile(d, path, []byte(secret+"\n"), 0o600)
	}
	if err != nil {
		return nil, "", fmt.Errorf("make signing key: %w", err)
	}
	return readKey(d, path, run)
}

// makeKeys returns the signer and public key of a new log in dir. It uses a key that an
// interrupted creation left.
func makeKeys(d vfs.FS, dir, path, run string) (note.Signer, string, error) {
	s, public, err := readKey(d, path, run)
	if errors.Is(err, fs.ErrNotExist) {
		s, public, err = makeKey(d, path, run)
	}
	if err != nil {
		return nil, "", err
	}
	return s, public, replaceFile(d, filepath.Join(dir, keyFile), []byte(public+"\n"), 0o644)
}

// verifier is a public key with its text.
type verifier struct {
	note.Verifier
	text string
}

// parseVerifier reads a public key in canonical form.
func parseVerifier(text string) (verifier, error) {
	v, err := note.NewVerifier(text)
	if err != nil {
		return verifier{}, err
	}
	_, rest, _ := strings.Cut(text, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return verifier{}, errors.New("malformed")
	}
	again, err := note.NewEd25519VerifierKey(v.Name(), ed25519.PublicKey(raw[1:]))
	if err != nil || again != text {
		return verifier{}, errors.New("not in canonical form")
	}
	return verifier{v, text}, nil
}
