package shard

import (
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/shard/wordpiece"
)

// TestPrepareWordPiece prepares with the tokenizer that Prepare trains: the
// folder's own tokenizer gives its tokens, the bytes do not depend on the cores,
// and the vocabulary given to a second preparation makes the same corpus.
func TestPrepareWordPiece(t *testing.T) {
	opts := storyOptions(t, 1500)
	opts.VocabSize = 400
	opts.Lowercase = true
	var want map[string]string
	var m Manifest
	for _, cores := range []int{1, 2} {
		before := runtime.GOMAXPROCS(cores)
		var err error
		m, err = Prepare(t.Context(), opts)
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		got := contents(t, opts.OutDir)
		if want != nil && !maps.Equal(got, want) {
			t.Errorf("%d cores: other bytes", cores)
		}
		want = got
	}
	tok, err := wordpiece.Load(opts.OutDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(tok.Vocab()) != m.VocabSize || !tok.Lowercase() || m.VocabSize > 400 {
		t.Errorf("%d tokens, the manifest says %d", len(tok.Vocab()), m.VocabSize)
	}
	texts := strings.Split(strings.TrimSpace(string(story(1500))), "\n\n")
	load := Loader(t.Context(), Dir(opts.OutDir), m.Splits.Validation)
	got := map[uint64][]int32{}
	for i := range m.Splits.Validation.Shards {
		s, err := load(i)
		if err != nil {
			t.Fatal(err)
		}
		for c := range s.Chunks() {
			got[s.Document(c)] = s.AppendTokens(got[s.Document(c)], c, 0, s.Len(c))
		}
	}
	for d, tokens := range got {
		if want := tok.Encode(nil, texts[d]); !slices.Equal(tokens, want) {
			t.Errorf("document %d: other tokens than those of its text", d)
		}
	}

	given := opts
	given.Tokenizer, given.OutDir, given.Lowercase = opts.OutDir, filepath.Join(t.TempDir(), "given"), false
	second, err := Prepare(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	if second.Digest() != m.Digest() || second.Provenance.Options.Tokenizer != m.TokenizerSHA256 {
		t.Error("with the vocabulary given it is another corpus")
	}
}
