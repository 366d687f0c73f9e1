package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Head is a signed state of the log.
type Head struct {
	Size int64     // entries
	Root tlog.Hash // of the tree over them
	Note []byte    // the signed note, as in the head file and in checkpoint folders
}

// Tree returns size and root in the form of entries.
func (h Head) Tree() Tree { return Tree{h.Size, h.Root.String()} }

// emptyRoot is the root of a log without entries (SHA-256 of nothing, RFC 6962).
var emptyRoot = tlog.Hash{
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
	0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
}

// origin names the log of a run; it is also the name of its key.
func origin(run string) string { return "gramme/" + run }

// headText is the C2SP checkpoint body.
func headText(origin string, size int64, root tlog.Hash) string {
	return origin + "\n" + strconv.FormatInt(size, 10) + "\n" + root.String() + "\n"
}

// signHead makes the signed head of a state.
func signHead(s note.Signer, size int64, root tlog.Hash) (Head, error) {
	b, err := note.Sign(&note.Note{Text: headText(s.Name(), size, root)}, s)
	if err != nil {
		return Head{}, fmt.Errorf("sign head: %w", err)
	}
	return Head{Size: size, Root: root, Note: b}, nil
}

// parseHead verifies a signed head and that its bytes are canonical: one signature,
// canonical numbers and base64, nothing around it. It returns which of the keys, all of
// one log, has signed it.
func parseHead(b []byte, keys ...verifier) (Head, verifier, error) {
	known := make([]note.Verifier, len(keys))
	for i, k := range keys {
		known[i] = k
	}
	n, err := note.Open(b, note.VerifierList(known...))
	if err != nil {
		return Head{}, verifier{}, headError(err)
	}
	v := keys[slices.IndexFunc(keys, func(k verifier) bool { return k.KeyHash() == n.Sigs[0].Hash })]
	h, err := readHead(b, n, v)
	return h, v, err
}

// readHead parses a note that v has signed.
func readHead(b []byte, n *note.Note, v note.Verifier) (Head, error) {
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Head{}, errors.New("not a head: it has origin, size and root")
	}
	if lines[0] != v.Name() {
		return Head{}, fmt.Errorf("head of another log, %q", lines[0])
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Head{}, fmt.Errorf("%q is not a size", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Head{}, fmt.Errorf("%q is not a root", lines[2])
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return Head{}, errors.New("not signed once, by the key of this log")
	}
	signature, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
	if err != nil || len(signature) < 4 || binary.BigEndian.Uint32(signature) != v.KeyHash() {
		return Head{}, errors.New("malformed signature")
	}
	again := headText(v.Name(), size, root) + "\n— " + v.Name() + " " + base64.StdEncoding.EncodeToString(signature) + "\n"
	if !bytes.Equal([]byte(again), b) {
		return Head{}, errors.New("not in canonical form")
	}
	return Head{Size: size, Root: root, Note: bytes.Clone(b)}, nil
}

// headError explains why a note does not open.
func headError(err error) error {
	var bad *note.InvalidSignatureError
	var foreign *note.UnverifiedNoteError
	switch {
	case errors.As(err, &bad):
		return errors.New("signature does not verify")
	case errors.As(err, &foreign):
		return errors.New("not signed by the key of this log")
	}
	return err
}
