package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strings"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/vfs"
)

// Verify checks the log in dir and returns its account. It needs nothing else, and works
// while the log is written: it reads the head, then the entries that the head covers.
// heads must be heads of the same log, earlier or the same. A fault of the log or of one
// of heads is a *Fault.
func Verify(dir string, heads ...NamedHead) (*Account, error) {
	return verify(vfs.OS{}, dir, heads)
}

// smallFiles is the content of the key and head files of a log.
type smallFiles struct {
	run    string
	public string     // the first key, which identifies the log
	keys   []verifier // the first, and those of handovers, unchecked
	head   Head
	signer string // public key that signed the head
}

func readSmallFiles(d vfs.FS, dir string) (s smallFiles, err error) {
	b, err := readFile(d, filepath.Join(dir, keyFile))
	if err != nil {
		return s, readFault(dir, keyFile, err)
	}
	text, ok := strings.CutSuffix(string(b), "\n")
	if !ok {
		return s, faultOf(dir, keyFile, -1, "malformed: no end of line")
	}
	first, err := parseVerifier(text)
	if err != nil {
		return s, faultOf(dir, keyFile, -1, "%v", err)
	}
	s.public, s.keys = text, []verifier{first}
	if s.run, ok = strings.CutPrefix(first.Name(), origin("")); !ok {
		return s, faultOf(dir, keyFile, -1, "%q is not the name of a ledger", first.Name())
	}
	if b, err = readFile(d, filepath.Join(dir, headFile)); err != nil {
		return s, readFault(dir, headFile, err)
	}
	head, v, err := parseHead(b, s.keys...)
	if err != nil {
		// The signer may be the key of a handover.
		entries, openErr := openEntries(d, dir)
		if openErr != nil {
			return s, openErr
		}
		s.keys = allKeys(first, entries)
		if closeErr := entries.Close(); closeErr != nil {
			return s, fmt.Errorf("read ledger: %w", closeErr)
		}
		head, v, err = parseHead(b, s.keys...)
	}
	if err != nil {
		return s, faultOf(dir, headFile, -1, "%v", err)
	}
	s.head, s.signer = head, v.text
	return s, nil
}

func openEntries(d vfs.FS, dir string) (vfs.File, error) {
	f, err := vfs.Open(d, filepath.Join(dir, entriesFile))
	if err != nil {
		return nil, readFault(dir, entriesFile, err)
	}
	return f, nil
}

// checkSigner checks that the head is signed by the key that the entries name.
func (s *smallFiles) checkSigner(dir string, r *replay) error {
	if s.signer != r.keyAt(s.head.Size) {
		return faultOf(dir, headFile, -1, "not signed by the key that the entries name")
	}
	return nil
}

// fastReplay replays the entries of the own log.
func (s *smallFiles) fastReplay(dir string, entries io.ReaderAt) (replay, error) {
	state := newReplay(s.run, s.public)
	if err := fastReplay(dir, entries, s.head, &state); err != nil {
		return state, err
	}
	return state, s.checkSigner(dir, &state)
}

func verify(d vfs.FS, dir string, heads []NamedHead) (_ *Account, err error) {
	files, err := readSmallFiles(d, dir)
	if err != nil {
		return nil, err
	}
	head := files.head
	prefixes, err := parseHeads(heads, files.keys, head.Size)
	if err != nil {
		return nil, err
	}
	entries, err := openEntries(d, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, entries.Close()) }()

	state, sum := newReplay(files.run, files.public), newTally()
	if prefixes, err = matchHeads(prefixes, &state); err != nil {
		return nil, err
	}
	err = walk(dir, entries, head, &state, func(e Entry) error {
		sum.add(e)
		prefixes, err = matchHeads(prefixes, &state)
		return err
	})
	if err == nil {
		err = files.checkSigner(dir, &state)
	}
	if err != nil {
		return nil, err
	}
	account, err := sum.finish()
	if err != nil {
		return nil, faultOf(dir, entriesFile, -1, "%v", err)
	}
	account.Root, account.counted = head.Root.String(), state.counted
	if account.Lost, err = missingRecords(dir, state.counted.meters); err != nil {
		return nil, err
	}
	account.Behind, err = entriesBehind(d, dir, entries, head.Note, &state)
	return account, err
}

// Checkpoints returns the checkpoints in the log in dir, in its order, also while a process
// writes the log. It only checks that the entries are those of the head; Verify does the
// rest.
func Checkpoints(dir string) ([]Saved, error) { return checkpoints(vfs.OS{}, dir) }

func checkpoints(d vfs.FS, dir string) (_ []Saved, err error) {
	files, err := readSmallFiles(d, dir)
	if err != nil {
		return nil, err
	}
	entries, err := openEntries(d, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, entries.Close()) }()
	state, err := files.fastReplay(dir, entries)
	return state.saved, err
}

// CurrentKey returns the public key that now signs the log in dir; empty if there is no
// log.
func CurrentKey(dir string) (string, error) {
	if _, err := readFile(vfs.OS{}, filepath.Join(dir, headFile)); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	files, err := readSmallFiles(vfs.OS{}, dir)
	return files.signer, err
}

// Signed reports whether a key of the log in dir has signed a head.
func Signed(dir string, head []byte) bool {
	files, err := readSmallFiles(vfs.OS{}, dir)
	if err != nil {
		return false
	}
	_, _, err = parseHead(head, files.keys...)
	return err == nil
}

// missingRecords counts the sequence numbers that no record has. The record after a hole
// must be a gap: a meter that lost records says so.
func missingRecords(dir string, meters map[meterKey]sequence) (lost uint64, err error) {
	var worst *Fault
	for m, q := range meters {
		next := uint64(1)
		for _, r := range q {
			if r.first != next && !r.gap && (worst == nil || r.entry < worst.Entry) {
				worst = faultOf(dir, entriesFile, r.entry, "records %d to %d of meter %s of worker %s are missing, and no gap says so",
					next, r.first-1, m.meter, m.worker)
			}
			lost += r.first - next
			next = r.last + 1
		}
	}
	if worst != nil {
		return 0, worst
	}
	return lost, nil
}

// entriesBehind counts the entries after those that the head covers. They are being
// appended now, or the writer died before it could acknowledge them; then they follow the
// log, and the last one may be cut short. Anything else was tampered with.
func entriesBehind(d vfs.FS, dir string, entries vfs.File, note []byte, state *replay) (int64, error) {
	rest, n := state.fork(), int64(0)
	in := newLineReader(entries, state.bytes, math.MaxInt64)
	for {
		line, err := in.next()
		if err == nil {
			if _, err = rest.add(line); err == nil {
				n++
				continue
			}
			err = faultOf(dir, entriesFile, rest.tree.size, "it comes after the head and does not follow: %v", err)
		}
		// A newer head may cover these entries by now.
		now, readErr := readFile(d, filepath.Join(dir, headFile))
		switch {
		case readErr != nil:
			return 0, readFault(dir, headFile, readErr)
		case !bytes.Equal(now, note):
			return 0, nil
		case errors.Is(err, io.EOF) || errors.Is(err, errCutShort):
			return n, nil
		case errors.Is(err, errTooLong):
			err = faultOf(dir, entriesFile, rest.tree.size, "it comes after the head and is no entry: %v", err)
		}
		return 0, err
	}
}

// share returns of·part/whole, rounded down.
func share(of, part, whole uint64) uint64 {
	if part == whole {
		return of
	}
	return uint64(energy.Split(nil, int64(of), []uint64{part, whole - part})[0])
}
