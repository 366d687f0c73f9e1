package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/note"
)

// Handover says that another key signs the log from this entry on. If it is signed, the
// previous key vouches for the new one. If not, the previous key was not available, as
// where the folder of a run was copied without it: then anyone with the folder may have
// gone on, and Note shows only that all earlier entries are as the previous key signed
// them.
type Handover struct {
	Prior  Tree   `json:"prior"` // the log before this entry
	From   string `json:"from"`  // public keys
	To     string `json:"to"`
	Signed bool   `json:"signed"`
	// Note is signed by From: the text of the handover or, if that is not signed, the head
	// of Prior.
	Note   string `json:"note"`
	Reason string `json:"reason"`
}

// handoverText returns the text that the previous key signs.
func handoverText(origin string, prior Tree, to string) string {
	return origin + " handover\n" + strconv.FormatInt(prior.Size, 10) + "\n" + prior.Root + "\n" + to + "\n"
}

func (h *Handover) validate() error {
	if err := h.Prior.validate(); err != nil {
		return fmt.Errorf("handover: prior: %w", err)
	}
	if h.From == h.To {
		return errors.New("handover: from a key to itself")
	}
	for _, key := range []string{h.From, h.To} {
		if _, err := parseVerifier(key); err != nil {
			return fmt.Errorf("handover: key: %w", err)
		}
	}
	return nil
}

// checkFollows returns why a handover cannot follow the entries that r replayed.
func (h *Handover) checkFollows(r *replay) error {
	if h.Prior != r.tree.state() {
		return fmt.Errorf("handover of a log of %d entries that is not this one", h.Prior.Size)
	}
	if h.From != r.keyAt(r.tree.size) {
		return errors.New("handover from a key that did not sign the entries before")
	}
	from, err := parseVerifier(h.From)
	if err != nil {
		return err
	}
	if to, err := parseVerifier(h.To); err != nil || to.Name() != from.Name() {
		return errors.New("handover to the key of another log")
	}
	if !h.Signed {
		head, _, err := parseHead([]byte(h.Note), from)
		if err != nil || head.Tree() != h.Prior {
			return errors.New("handover: its note is not the head of the log before it")
		}
		return nil
	}
	n, err := note.Open([]byte(h.Note), note.VerifierList(from))
	if err != nil || n.Text != handoverText(from.Name(), h.Prior, h.To) {
		return errors.New("handover: the previous key has not signed it")
	}
	return nil
}

// keyChange is a key and the first entry that it signed.
type keyChange struct {
	entry int64
	key   string
}

// keyAt returns the public key that signs the head of a log of the given size: a new key
// signs from its handover on.
func (r *replay) keyAt(size int64) string {
	key := r.public
	for _, k := range r.keys {
		if k.entry < size {
			key = k.key
		}
	}
	return key
}

// allKeys returns the first key of a log and those to which its entries hand it over,
// unchecked: walk checks them.
func allKeys(first verifier, entries io.ReaderAt) []verifier {
	keys := []verifier{first}
	in := newLineReader(entries, 0, math.MaxInt64)
	for {
		line, err := in.next()
		if err != nil {
			return keys
		}
		if !bytes.Contains(line, []byte(`,"type":"`+string(TypeHandover)+`"`)) {
			continue
		}
		e, err := decode(line)
		if err != nil || e.Handover == nil {
			continue
		}
		v, err := parseVerifier(e.Handover.To)
		known := func(k verifier) bool { return k.KeyHash() == v.KeyHash() } // a key may return
		if err == nil && v.Name() == first.Name() && !slices.ContainsFunc(keys, known) {
			keys = append(keys, v)
		}
	}
}

// adoptKey signs with the key of o: the log's own, or another one by a handover.
func (l *Log) adoptKey(o Options) error {
	current := l.state.keyAt(l.head.Size)
	signer, public, err := readKey(l.disk, o.KeyPath, o.Run)
	switch {
	case err == nil && public == current:
		l.signer = signer
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case o.Handover == "" && err != nil:
		return fmt.Errorf("the signing key %s of this ledger is missing: restore it, or start another run", o.KeyPath)
	case o.Handover == "":
		return faultOf(l.dir, keyFile, -1, "does not belong to the signing key %s", o.KeyPath)
	case err != nil:
		if signer, public, err = makeKey(l.disk, o.KeyPath, o.Run); err != nil {
			return err
		}
	}
	h := &Handover{Prior: l.state.tree.state(), From: current, To: public, Note: string(l.head.Note), Reason: o.Handover}
	if old, key, err := readKey(l.disk, o.OldKey, o.Run); o.OldKey != "" && err == nil && key == current {
		b, err := note.Sign(&note.Note{Text: handoverText(old.Name(), h.Prior, h.To)}, old)
		if err != nil {
			return fmt.Errorf("sign handover: %w", err)
		}
		h.Signed, h.Note = true, string(b)
	}
	l.signer = signer
	_, err = l.append([]Entry{{Handover: h}})
	return err
}
