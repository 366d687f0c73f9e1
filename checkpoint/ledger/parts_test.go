package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// TestTree compares the tree with that of tlog, which stores all hashes, at
// every size.
func TestTree(t *testing.T) {
	var got tree
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) (hashes []tlog.Hash, _ error) {
		for _, i := range indexes {
			hashes = append(hashes, stored[i])
		}
		return hashes, nil
	})
	if got.root() != sha256.Sum256(nil) {
		t.Error("the root of nothing is not the hash of nothing")
	}
	for n := range int64(130) {
		leaf := fmt.Appendf(nil, "entry %d", n)
		hashes, err := tlog.StoredHashes(n, leaf, read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		visited := 0
		got.push(tlog.RecordHash(leaf), func(level int, n int64, root tlog.Hash) {
			visited++
			if want := stored[tlog.StoredHashIndex(level, n)]; root != want {
				t.Errorf("subtree %d of level %d differs", n, level)
			}
		})
		if visited != len(hashes) {
			t.Errorf("entry %d completes %d subtrees, want %d", n, visited, len(hashes))
		}
		if want, err := tlog.TreeHash(n+1, read); err != nil || got.root() != want {
			t.Fatalf("root of %d entries: %v, want %v (%v)", n+1, got.root(), want, err)
		}
	}
}

// TestSequence adds numbers in random order; the oracle is a set.
func TestSequence(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		var q sequence
		isGap := map[uint64]bool{}
		for range 40 {
			n := 1 + r.Uint64N(50)
			if r.IntN(20) == 0 {
				n = ^uint64(0) - r.Uint64N(3)
			}
			if _, had := isGap[n]; had != q.has(n) {
				t.Fatalf("seed %d: has %d is %v", seed, n, !had)
			} else if had {
				continue
			}
			isGap[n] = r.IntN(2) == 0
			q = q.add(n, isGap[n], int64(n%1000))
		}
		count := uint64(0)
		for i, run := range q {
			if i > 0 && q[i-1].last+1 >= run.first {
				t.Fatalf("seed %d: runs %v touch", seed, q)
			}
			if run.gap != isGap[run.first] || run.entry != int64(run.first%1000) {
				t.Fatalf("seed %d: run %v begins with another record", seed, run)
			}
			for n := run.first; ; n++ {
				if _, had := isGap[n]; !had {
					t.Fatalf("seed %d: %d was never added", seed, n)
				}
				count++
				if n == run.last {
					break
				}
			}
		}
		if count != uint64(len(isGap)) {
			t.Fatalf("seed %d: %d numbers, want %d", seed, count, len(isGap))
		}
	}
}

func TestHead(t *testing.T) {
	d := newMemDisk()
	s, public, err := makeKey(d, "/k", testRun)
	if err != nil {
		t.Fatal(err)
	}
	v, err := parseVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	want, err := signHead(s, 17, tlog.RecordHash(nil))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := parseHead(want.Note, v)
	if err != nil || got.Size != 17 || got.Root != want.Root || string(got.Note) != string(want.Note) {
		t.Errorf("read %+v (%v), wrote %+v", got, err, want)
	}
}

// TestSpellings has what decodes to the same but is not what was written.
func TestSpellings(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize)
	public, ok := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("not an Ed25519 key")
	}
	good, err := note.NewEd25519VerifierKey(origin(testRun), public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseVerifier(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{good + "\n", good[:len(good)-5] + "\r" + good[len(good)-5:], " " + good, ""} {
		if _, err := parseVerifier(bad); err == nil {
			t.Errorf("key %q is accepted", bad)
		}
	}

	hash := emptyRoot.String()
	if h, err := parseHash(hash); err != nil || h != emptyRoot {
		t.Fatal(h, err)
	}
	// The last digit has two bits that the hash does not: V may be W, X or, the
	// one that is written, U.
	for _, bad := range []string{"", hash[:43], hash[:42] + "V=", hash[:20] + "\n" + hash[20:], hash + "\n"} {
		if _, err := parseHash(bad); err == nil {
			t.Errorf("hash %q is accepted", bad)
		}
	}
}
