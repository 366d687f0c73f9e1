package shard

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestShare gives a corpus to a second folder, by names for the same shards or by
// copies, and removes the first.
func TestShare(t *testing.T) {
	for name, link := range map[string]func(from, to string) error{
		"linked": os.Link,
		"copied": func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EXDEV} },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			prepareSmall(t, from, 1)
			want, err := OpenManifest(from)
			if err != nil {
				t.Fatal(err)
			}
			shardFile := want.Splits.Train.Shards[0].Name
			// A folder that other runs link to, as earlier versions did.
			if err := os.Symlink(from, filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			var told []string
			if _, err := share(filepath.Join(dir, "link"), to, func(s string) { told = append(told, s) }, link); err != nil {
				t.Fatal(err)
			}
			a, _ := os.Stat(filepath.Join(from, shardFile))
			b, err := os.Lstat(filepath.Join(to, shardFile))
			if err != nil || os.SameFile(a, b) != (name == "linked") || !b.Mode().IsRegular() || (len(told) == 1) != (name == "copied") {
				t.Errorf("%v, the same file: %v, told %q", err, os.SameFile(a, b), told)
			}

			// Another preparation in the first folder leaves the second as it is.
			prepareSmall(t, from, 2)
			sameCorpus(t, to, want)
			if err := os.RemoveAll(from); err != nil {
				t.Fatal(err)
			}
			sameCorpus(t, to, want)

			// Onto itself nothing happens.
			if _, err := share(to, to, func(string) {}, link); err != nil {
				t.Fatal(err)
			}
			sameCorpus(t, to, want)
		})
	}
}

func TestShareRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(path string) error
		why    string
	}{
		"a shard is missing": {os.Remove, "no such file"},
		"a shard is cut":     {func(path string) error { return os.Truncate(path, 10) }, "bytes that the manifest says"},
		"a shard is changed": {func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(path, b, 0o600)
		}, "SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m := prepareSmall(t, dir, 1)
			if err := c.change(filepath.Join(dir, m.Splits.Train.Shards[0].Name)); err != nil {
				t.Fatal(err)
			}
			_, err := share(dir, filepath.Join(t.TempDir(), "to"), func(string) {}, func(string, string) error { return syscall.EPERM })
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v", err)
			}
		})
	}
}

func prepareSmall(t *testing.T, dir string, seed uint64) Manifest {
	t.Helper()
	text := filepath.Join(t.TempDir(), "text.txt")
	var b strings.Builder
	for i := range 200 {
		b.WriteString(strings.Repeat("word"+string(rune('a'+i%26)), 1+i%3) + " goes on. It ends here again.\n\n")
	}
	if err := os.WriteFile(text, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Prepare(t.Context(), PrepareOptions{Inputs: []string{text}, OutDir: dir, VocabSize: 200, Lowercase: true, MaxSeq: 16, ShardTokens: DefaultShardTokens, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sameCorpus(t *testing.T, dir string, want Manifest) {
	t.Helper()
	got, err := OpenManifest(dir)
	if err != nil || got.Digest() != want.Digest() {
		t.Fatalf("another corpus, or none: %v", err)
	}
	for _, i := range got.Splits.Train.Shards {
		if _, err := OpenShard(filepath.Join(dir, i.Name), i.SHA256); err != nil {
			t.Error(err)
		}
	}
}
