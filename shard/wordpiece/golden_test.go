package wordpiece

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The golden files are made by scripts/golden/wordpiece.py with Hugging Face's
// libraries.
var goldenNames = []string{"cased", "uncased", "stripped", "accented"}

type golden struct {
	Lowercase    bool   `json:"lowercase"`
	StripAccents *bool  `json:"strip_accents"`
	CJK          bool   `json:"cjk"`
	Vocab        string `json:"vocab"`
	Lines        []struct {
		IDs     []int32 `json:"ids"`
		Special []int32 `json:"special"`
	} `json:"lines"`
}

func (g *golden) how() normalization {
	strip := firstOf(g.StripAccents, nil, g.Lowercase)
	return normalization{lowercase: g.Lowercase, stripAccents: strip, spaceCJK: g.CJK}
}

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readJSON(t testing.TB, name string, to any) {
	t.Helper()
	if err := json.Unmarshal(readTestdata(t, name), to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func testLines(t testing.TB) []string {
	return strings.Split(strings.TrimSuffix(string(readTestdata(t, "lines.txt")), "\n"), "\n")
}

// loadGolden returns the vectors and the tokenizer that they are of.
func loadGolden(t testing.TB, name string) (*golden, *Tokenizer) {
	t.Helper()
	g := &golden{}
	readJSON(t, "golden-"+name+".json", g)
	tok, err := newTokenizer(parseVocab(readTestdata(t, "vocab-"+g.Vocab+".txt")), g.how())
	if err != nil {
		t.Fatal(err)
	}
	return g, tok
}

func tokens(t *Tokenizer, ids []int32) string {
	var out []string
	for _, id := range ids {
		out = append(out, t.vocab[id])
	}
	return strings.Join(out, " ")
}

func TestGolden(t *testing.T) {
	lines := testLines(t)
	for _, name := range goldenNames {
		t.Run(name, func(t *testing.T) {
			g, tok := loadGolden(t, name)
			if len(g.Lines) != len(lines) {
				t.Fatalf("%d vectors for %d lines", len(g.Lines), len(lines))
			}
			for i, want := range g.Lines {
				if got := tok.Encode(nil, lines[i]); !slices.Equal(got, want.IDs) {
					t.Errorf("Encode(%q)\n got %s\nwant %s", lines[i], tokens(tok, got), tokens(tok, want.IDs))
				}
				special := tok.EncodeWithSpecial(nil, lines[i])
				if !slices.Equal(special, want.Special) {
					t.Errorf("EncodeWithSpecial(%q)\n got %s\nwant %s", lines[i], tokens(tok, special), tokens(tok, want.Special))
				}
			}
		})
	}
}

// TestEveryCharacter compares the treatment of every character,
// between marks that it may move or stop.
func TestEveryCharacter(t *testing.T) {
	const block = 4096
	want := map[string]json.RawMessage{}
	readJSON(t, "characters.json", &want)
	for _, name := range goldenNames {
		var hashes []string
		if err := json.Unmarshal(want[name], &hashes); err != nil {
			t.Fatal(err)
		}
		g, _ := loadGolden(t, name)
		n := newNormalizer(g.how())
		for i, want := range hashes {
			first := rune(i * block)
			if first >= 0x40000 { // nothing is assigned of planes 4 to 13
				first += 0xE0000 - 0x40000
			}
			h := sha256.New()
			var words []byte
			for c := first; c < first+block; c++ {
				if c >= 0xD800 && c < 0xE000 {
					continue
				}
				s := "a\u302e" + string(c) + "\U0001d165x" + string(c)
				words = bytes.TrimSuffix(n.appendWords(words[:0], s), []byte(" "))
				h.Write(append(words, '\n'))
			}
			if got := hex.EncodeToString(h.Sum(nil))[:16]; got != want {
				t.Errorf("%s: some character of U+%04X to U+%04X is normalized otherwise", name, first, first+block-1)
			}
		}
	}
}

func TestGoldenTrain(t *testing.T) {
	var g struct {
		Size  int            `json:"size"`
		Words map[string]int `json:"words"`
		Vocab []string       `json:"vocab"`
	}
	readJSON(t, "golden-train.json", &g)
	vocab, err := Train(t.Context(), func(yield func(string, error) bool) {
		for _, w := range slices.Sorted(maps.Keys(g.Words)) {
			if !yield(strings.Repeat(w+" ", g.Words[w]), nil) {
				return
			}
		}
	}, TrainOptions{VocabSize: g.Size})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(vocab)
	slices.Sort(g.Vocab)
	if !slices.Equal(vocab, g.Vocab) {
		for i := range min(len(vocab), len(g.Vocab)) {
			if vocab[i] != g.Vocab[i] {
				t.Fatalf("%d tokens, want %d; sorted, token %d is %q, want %q", len(vocab), len(g.Vocab), i, vocab[i], g.Vocab[i])
			}
		}
		t.Fatalf("%d tokens, want %d", len(vocab), len(g.Vocab))
	}
}
