//go:build cgo

package clustertest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestForgedLedger changes a run's ledger in every way that a forger would try
// first. The audit finds each and names the place.
func TestForgedLedger(t *testing.T) {
	t.Parallel()
	s := copyOf(t, calm(t))
	s.audit()
	refused := func(what, path string, changed []byte, places ...string) {
		t.Helper()
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
		r := s.gramme("audit", "run")
		s.want(r, 4, "hint: ")
		if !slices.ContainsFunc(places, func(place string) bool { return strings.Contains(r.err, place) }) {
			t.Errorf("%s: none of %q is named in:\n%s", what, places, r.err)
		}
		if err := os.WriteFile(path, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	for _, path := range ledgerFiles(t, s) {
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, len(good) / 3, len(good) / 2, len(good) - 2, len(good) - 1} {
			bad := bytes.Clone(good)
			bad[at] ^= 1 << (at % 8)
			refused("a bit of "+path, path, bad, filepath.Base(path), "entry ", "ledger/")
		}
	}

	entries := filepath.Join(s.run.Ledger(), "entries")
	good, err := os.ReadFile(entries)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(good, []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	middle := len(lines) / 2
	swapped := slices.Clone(lines)
	swapped[middle], swapped[middle+1] = swapped[middle+1], swapped[middle]
	refused("two entries swapped", entries, bytes.Join(swapped, nil), "entry ")
	refused("an entry dropped", entries, bytes.Join(slices.Delete(slices.Clone(lines), middle, middle+1), nil), "entry ")
	refused("the last entry dropped", entries, bytes.Join(lines[:len(lines)-1], nil), "entries")
	refused("an entry twice", entries, bytes.Join(slices.Insert(slices.Clone(lines), middle, lines[middle]), nil), "entry ")
	refused("all entries dropped", entries, nil, "entries")
	s.audit()

	// What was taken out with everything that would show it is shown by a head that was
	// kept elsewhere.
	head := filepath.Join(s.run.Ledger(), "head")
	if good, err = os.ReadFile(head); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "kept"), good, 0o644); err != nil {
		t.Fatal(err)
	}
	s.must("audit", "--head", "kept", "run")
	if err := os.WriteFile(filepath.Join(s.dir, "other"), bytes.Replace(good, []byte("gramme/"), []byte("gramme/another-"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	s.want(s.gramme("audit", "--head", "kept", "--head", "other", "run"), 4, "other: ")
	s.want(s.gramme("audit", "--head", "none", "run"), 2, "copy of DIR/ledger/head")
}

// ledgerFiles are all files of the run with "ledger" in their path.
func ledgerFiles(t *testing.T, s *site) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(string(s.run), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if rel, err := filepath.Rel(string(s.run), path); err == nil && strings.Contains(rel, "ledger") {
			all = append(all, path)
		}
		return nil
	})
	if err != nil || len(all) < 4 {
		t.Fatalf("files of the ledger: %v, %v", all, err)
	}
	return all
}
