package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/gramme-project/gramme/energy"
)

// Verify checks the log in dir and returns its account. It needs nothing else,
// and works while the log is written: it reads the head, then the entries that
// the head covers. heads are to be of the same log, earlier or the same. What is
// wrong with the log or with one of heads is a *Fault.
func Verify(dir string, heads ...NamedHead) (*Account, error) {
	return verify(system{}, dir, heads)
}

// standing is what the small files of a log say.
type standing struct {
	run    string
	public string          // the first key, by which the log is known
	keys   []note.Verifier // the first, and those that it was handed over to, unchecked
	head   Head
	signer string // public key that signed the head
}

func readStanding(d disk, dir string) (s standing, err error) {
	b, err := readFile(d, filepath.Join(dir, keyFile))
	if err != nil {
		return s, readFault(dir, keyFile, err)
	}
	first, public, err := parseVerifier(b)
	if err != nil {
		return s, faultOf(dir, keyFile, -1, "%v", err)
	}
	s.public, s.keys = public, []note.Verifier{first}
	var ok bool
	if s.run, ok = strings.CutPrefix(first.Name(), origin("")); !ok {
		return s, faultOf(dir, keyFile, -1, "%q is not the name of a ledger", first.Name())
	}
	if b, err = readFile(d, filepath.Join(dir, headFile)); err != nil {
		return s, readFault(dir, headFile, err)
	}
	head, v, err := parseHead(b, s.keys...)
	if err != nil {
		// Its signer may be a key to which the log was handed over.
		entries, openErr := d.OpenFile(filepath.Join(dir, entriesFile), os.O_RDONLY, 0)
		if openErr != nil {
			return s, readFault(dir, entriesFile, openErr)
		}
		s.keys = keysOf(first, entries)
		if closeErr := entries.Close(); closeErr != nil {
			return s, fmt.Errorf("read ledger: %w", closeErr)
		}
		head, v, err = parseHead(b, s.keys...)
	}
	if err != nil {
		return s, faultOf(dir, headFile, -1, "%v", err)
	}
	s.head = head
	s.signer, err = publicOf(v)
	return s, err
}

// signed checks that the key which signed the head is the one that the entries say.
func (s *standing) signed(dir string, r *replay) error {
	if s.signer != r.keyAt(s.head.Size) {
		return faultOf(dir, headFile, -1, "not signed by the key that the entries name")
	}
	return nil
}

// fastReplay replays the entries as a writer of its own log does.
func (s *standing) fastReplay(dir string, entries io.ReaderAt) (replay, error) {
	state := newReplay(s.run, s.public)
	if err := fastReplay(dir, entries, s.head, &state); err != nil {
		return state, err
	}
	return state, s.signed(dir, &state)
}

func verify(d disk, dir string, heads []NamedHead) (_ *Account, err error) {
	stands, err := readStanding(d, dir)
	if err != nil {
		return nil, err
	}
	head := stands.head
	prefixes, err := prefixesOf(heads, stands.keys, head.Size)
	if err != nil {
		return nil, err
	}
	entries, err := d.OpenFile(filepath.Join(dir, entriesFile), os.O_RDONLY, 0)
	if err != nil {
		return nil, readFault(dir, entriesFile, err)
	}
	defer func() { err = errors.Join(err, entries.Close()) }()

	state, sum := newReplay(stands.run, stands.public), newTally()
	if prefixes, err = match(prefixes, &state); err != nil {
		return nil, err
	}
	err = walk(dir, entries, head, &state, func(e Entry) error {
		sum.add(e)
		prefixes, err = match(prefixes, &state)
		return err
	})
	if err == nil {
		err = stands.signed(dir, &state)
	}
	if err != nil {
		return nil, err
	}
	account, err := sum.finish()
	if err != nil {
		return nil, faultOf(dir, entriesFile, -1, "%v", err)
	}
	account.Root, account.seen = head.Root.String(), state.seen
	if account.Lost, err = holes(dir, state.seen.meters); err != nil {
		return nil, err
	}
	account.Behind, err = behind(d, dir, entries, head.Note, &state)
	return account, err
}

// Checkpoints reads which checkpoints the log in dir names, in its order. A process
// may be writing it. It checks that the entries are those of the head, and no more:
// Verify does the rest.
func Checkpoints(dir string) ([]Saved, error) { return checkpoints(system{}, dir) }

func checkpoints(d disk, dir string) (_ []Saved, err error) {
	stands, err := readStanding(d, dir)
	if err != nil {
		return nil, err
	}
	entries, err := d.OpenFile(filepath.Join(dir, entriesFile), os.O_RDONLY, 0)
	if err != nil {
		return nil, readFault(dir, entriesFile, err)
	}
	defer func() { err = errors.Join(err, entries.Close()) }()
	state, err := stands.fastReplay(dir, entries)
	return state.saved, err
}

// CurrentKey returns the public key that the log in dir is signed with now; empty
// where there is no log.
func CurrentKey(dir string) (string, error) {
	if _, err := readFile(system{}, filepath.Join(dir, headFile)); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	stands, err := readStanding(system{}, dir)
	return stands.signer, err
}

// holes counts the sequence numbers that no record has. One after a hole has to
// be a gap: a meter that lost records says so.
func holes(dir string, meters map[meterKey]sequence) (lost uint64, err error) {
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

// behind counts the entries that stand behind the head. They are being appended
// right now, or the writer died before it could acknowledge them; then they
// follow the log, up to a last one that may be cut short. Anything else was put
// there.
func behind(d disk, dir string, entries file, note []byte, state *replay) (int64, error) {
	rest, n := state.fork(), int64(0)
	in := newLines(entries, state.bytes, math.MaxInt64)
	for {
		line, err := in.next()
		if err == nil {
			if _, err = rest.add(line); err == nil {
				n++
				continue
			}
			err = faultOf(dir, entriesFile, rest.tree.size, "it stands behind the head and does not follow: %v", err)
		}
		// A head that is newer by now makes entries of what was behind it.
		now, readErr := readFile(d, filepath.Join(dir, headFile))
		switch {
		case readErr != nil:
			return 0, readFault(dir, headFile, readErr)
		case !bytes.Equal(now, note):
			return 0, nil
		case errors.Is(err, io.EOF) || errors.Is(err, errTorn):
			return n, nil
		case errors.Is(err, errTooLong):
			err = faultOf(dir, entriesFile, rest.tree.size, "it stands behind the head and is no entry: %v", err)
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
