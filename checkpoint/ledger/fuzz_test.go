package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// FuzzDecode: what decode accepts has one spelling, and what Open reads of it
// faster is the same.
func FuzzDecode(f *testing.F) {
	for i, e := range everyType() {
		e.Version, e.Index = Version, int64(i)
		e.Type, _ = e.body()
		line, err := encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line[:len(line)-1])
	}
	f.Add([]byte(`{"v":1,"index":0,"prev":"","time":"2026-01-01T00:00:00+01:00","type":"note","key":"\\\"","note":{"kind":"","text":"\u2028"}}`))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := decode(line)
		if err != nil {
			return
		}
		again, err := encode(e)
		if err != nil || !bytes.Equal(again, append(bytes.Clone(line), '\n')) {
			t.Errorf("%q is accepted, and written as %q (%v)", line, again, err)
		}
		checkQuickEntry(t, line, e)
	})
}

// FuzzParseHead: a head that parses is, byte for byte, one that was signed, as
// the signature depends on nothing but the text.
func FuzzParseHead(f *testing.F) {
	s, v := fixedKeys(f, newMemDisk())
	for _, size := range []int64{0, 1, 12345} {
		h, err := signHead(s, size, tlog.RecordHash(nil))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(h.Note)
	}
	for _, text := range []string{"", "gramme/run-1\n1\n", headText("gramme/run-1", -1, emptyRoot), headText("gramme/run-1", 1, emptyRoot) + "more\n",
		"gramme/run-1\n01\n" + emptyRoot.String() + "\n"} {
		if b, err := note.Sign(&note.Note{Text: text}, s); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _, err := parseHead(b, v)
		if err != nil {
			return
		}
		want, err := signHead(s, h.Size, h.Root)
		if err != nil || !bytes.Equal(want.Note, b) || !bytes.Equal(h.Note, b) {
			t.Errorf("%q is read as %+v", b, h)
		}
	})
}

// fixedKeys stores a private key that is the same in every process of a fuzz
// target, so that what one found means the same to another.
func fixedKeys(f *testing.F, d memDisk) (note.Signer, verifier) {
	f.Helper()
	seed := make([]byte, ed25519.SeedSize)
	public, ok := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if !ok {
		f.Fatal("not an Ed25519 key")
	}
	text, err := note.NewEd25519VerifierKey(origin(testRun), public)
	if err != nil {
		f.Fatal(err)
	}
	hash := strings.Split(text, "+")[1]
	secret := base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	d.write(memOptions().KeyPath, []byte("PRIVATE+KEY+"+origin(testRun)+"+"+hash+"+"+secret+"\n"))
	s, _, err := readKey(d, memOptions().KeyPath, testRun)
	if err != nil {
		f.Fatal(err)
	}
	v, err := parseVerifier(text)
	if err != nil {
		f.Fatal(err)
	}
	return s, v
}

// FuzzVerify: three files of any content either give an error or are those of
// the log that was signed, up to what stands behind its head.
func FuzzVerify(f *testing.F) {
	d := newMemDisk()
	fixedKeys(f, d)
	l, err := open(d, memOptions())
	if err != nil {
		f.Fatal(err)
	}
	mustAppend(f, l, reading("w0", "cpu", 1, 5), remark("k", "x"))
	entries, head, key := d.read(inLog(entriesFile)), d.read(inLog(headFile)), d.read(inLog(keyFile))
	f.Add(entries, head, key)
	f.Add(append(bytes.Clone(entries), "{"...), head, key)
	f.Add(entries[:100], head, key)
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, e, h, k []byte) {
		d := newMemDisk()
		d.write(inLog(entriesFile), e)
		d.write(inLog(headFile), h)
		d.write(inLog(keyFile), k)
		a, err := verify(d, "/run/ledger", nil)
		if err != nil {
			return
		}
		if !bytes.Equal(h, head) || !bytes.Equal(k, key) || !bytes.HasPrefix(e, entries) {
			t.Errorf("verifies:\n%s\n%s\n%s", e, h, k)
		}
		_ = a.String()
	})
}
