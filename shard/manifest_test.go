package shard

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/shard/corpus"
)

// sampleManifest is a small manifest with something in every field.
func sampleManifest() Manifest {
	sum := func(s string) string { return sha256Hex([]byte(s)) }
	split := func(name string) Split {
		return Split{
			Shards: []ShardInfo{
				{Name: name + "-00000.shard", SHA256: sum(name + "0"), Bytes: 1000, Chunks: 3, Tokens: 40},
				{Name: name + "-00001.shard", SHA256: sum(name + "1"), Bytes: 500, Chunks: 1, Tokens: 20},
			},
			Documents: 2, Chunks: 4, Tokens: 60,
		}
	}
	return Manifest{
		Version: ManifestVersion, TokenizerSHA256: sum("vocab"), VocabSize: 300, Lowercase: true, MaxSeq: 128,
		UnigramEntropyNats: 6.25, TrainEntropyNats: 6.5,
		Splits: Splits{Train: split("train"), Validation: split("validation"), Test: split("test")},
		Files:  map[string]string{"vocab.txt": sum("vocab")},
		Provenance: Provenance{
			Options:   Options{VocabSize: 300, Lowercase: true, MaxSeq: 128, ShardTokens: 40, Seed: 7},
			Corpus:    corpus.Report{Files: 1, Sources: []corpus.Source{{Name: "a<b>&.txt", Format: "text", Bytes: 3, SHA256: sum("a"), Documents: 6}}},
			Documents: 6, Sentences: 30, Bytes: 900,
		},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	want := sampleManifest()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !strings.Contains(string(b), "a<b>&.txt") {
		t.Error("names are escaped as if for HTML")
	}
}

func TestManifestRefuses(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(m *Manifest)
	}{
		{"version 2, this program reads version 1", func(m *Manifest) { m.Version = 2 }},
		{"max_seq 4 out of range", func(m *Manifest) { m.MaxSeq = 4 }},
		{"vocab_size 0 out of range", func(m *Manifest) { m.VocabSize = 0 }},
		{`bad shard name "../../etc/passwd"`, func(m *Manifest) { m.Splits.Train.Shards[0].Name = "../../etc/passwd" }},
		{`bad shard name ""`, func(m *Manifest) { m.Splits.Test.Shards[1].Name = "" }},
		{`bad shard name ".."`, func(m *Manifest) { m.Splits.Test.Shards[1].Name = ".." }},
		{"bad sha256", func(m *Manifest) { m.Splits.Test.Shards[1].SHA256 = "../x" }},
		{"impossible counts", func(m *Manifest) { m.Splits.Validation.Shards[0].Chunks = 0 }},
		{"impossible counts", func(m *Manifest) { m.Splits.Validation.Shards[0].Tokens = 2 }},
		{"hold 4 chunks and 60 tokens, not 5 and 60", func(m *Manifest) { m.Splits.Train.Chunks++ }},
		{`bad file name "/etc/passwd"`, func(m *Manifest) { m.Files["/etc/passwd"] = m.TokenizerSHA256 }},
		{`bad file name "manifest.json"`, func(m *Manifest) { m.Files[ManifestName] = m.TokenizerSHA256 }},
		{"file vocab.txt: bad sha256", func(m *Manifest) { m.Files["vocab.txt"] = "" }},
	} {
		m := sampleManifest()
		c.change(&m)
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeManifest(b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestManifestDigest(t *testing.T) {
	want := sampleManifest().Digest()
	same := sampleManifest()
	same.Provenance.Corpus.Sources[0].Name = "/elsewhere/a.txt"
	same.Splits.Train.Shards[0].Name = "renamed.shard"
	if same.Digest() != want {
		t.Error("names change the digest")
	}
	for name, change := range map[string]func(m *Manifest){
		"vocabulary": func(m *Manifest) { m.TokenizerSHA256 = sha256Hex(nil) },
		"case":       func(m *Manifest) { m.Lowercase = false },
		"shard":      func(m *Manifest) { m.Splits.Test.Shards[0].SHA256 = sha256Hex(nil) },
		"order":      func(m *Manifest) { s := m.Splits.Train.Shards; s[0], s[1] = s[1], s[0] },
		"moved": func(m *Manifest) {
			m.Splits.Validation.Shards = append([]ShardInfo{m.Splits.Train.Shards[1]}, m.Splits.Validation.Shards...)
			m.Splits.Train.Shards = m.Splits.Train.Shards[:1]
		},
	} {
		m := sampleManifest()
		change(&m)
		if m.Digest() == want {
			t.Errorf("another %s has the same digest", name)
		}
	}
}

func TestManifestSplit(t *testing.T) {
	m := sampleManifest()
	for _, name := range partNames {
		s, err := m.Split(name)
		if err != nil || s.Shards[0].Name != name+"-00000.shard" {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	if _, err := m.Split("dev"); err == nil {
		t.Error("dev is a split")
	}
}

func TestOpenManifestAbsent(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenManifest(dir); !errors.Is(err, ErrNotPrepared) || !strings.Contains(err.Error(), dir) {
		t.Errorf("empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ManifestName), []byte(`{"version":`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenManifest(dir); err == nil || errors.Is(err, ErrNotPrepared) {
		t.Errorf("half a manifest: %v", err)
	}
}

func FuzzDecodeManifest(f *testing.F) {
	b, err := sampleManifest().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeManifest(b)
		if err != nil {
			return
		}
		encoded, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeManifest(encoded)
		if err != nil || again.Digest() != m.Digest() {
			t.Fatalf("encoded again: %v", err)
		}
	})
}

// vanishing is a Fetcher whose file is gone at the first looks.
type vanishing struct {
	Dir
	gone, calls int
}

func (v *vanishing) Fetch(ctx context.Context, info ShardInfo) (string, error) {
	v.calls++
	if v.calls <= v.gone {
		return filepath.Join(string(v.Dir), "gone"), nil
	}
	return v.Dir.Fetch(ctx, info)
}

func TestLoader(t *testing.T) {
	dir := t.TempDir()
	want := randomChunks(rand.New(rand.NewPCG(1, 1)), 5, 16, 99)
	encoded := encodeChunks(t, want, 16, 99)
	if err := os.WriteFile(filepath.Join(dir, "a.shard"), encoded, 0o644); err != nil {
		t.Fatal(err)
	}
	split := Split{Shards: []ShardInfo{
		{Name: "a.shard", SHA256: sha256Hex(encoded)}, {Name: "b.shard"}, {Name: "a.shard", SHA256: sha256Hex(nil)},
	}}
	load := Loader(t.Context(), Dir(dir), split)
	s, err := load(0)
	if err != nil {
		t.Fatal(err)
	}
	checkShard(t, s, want)
	if _, err := load(1); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "b.shard") {
		t.Errorf("absent: %v", err)
	}
	if _, err := load(2); !errors.Is(err, ErrCorrupt) {
		t.Errorf("other content: %v", err)
	}
	for _, i := range []int{-1, 3} {
		if _, err := load(i); err == nil {
			t.Errorf("shard %d is there", i)
		}
	}
	for _, c := range []struct {
		gone, calls int
		fails       bool
	}{{2, 3, false}, {9, 3, true}} {
		f := &vanishing{Dir: Dir(dir), gone: c.gone}
		if _, err := Loader(t.Context(), f, split)(0); (err != nil) != c.fails || f.calls != c.calls {
			t.Errorf("gone %d times: %v after %d calls", c.gone, err, f.calls)
		}
	}
}
