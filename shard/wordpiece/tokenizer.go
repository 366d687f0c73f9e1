package wordpiece

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// The special tokens, by the names that BERT gives them.
const (
	padToken  = "[PAD]"
	unkToken  = "[UNK]"
	clsToken  = "[CLS]"
	sepToken  = "[SEP]"
	maskToken = "[MASK]"
)

// specialTokens lists them in the order in which a trained vocabulary begins.
func specialTokens() []string {
	return []string{padToken, unkToken, clsToken, sepToken, maskToken}
}

// continuation marks a piece that continues a word.
const continuation = "##"

// maxWordChars is the number of characters beyond which a word is [UNK] as a
// whole, counted after normalization.
const maxWordChars = 100

// Tokenizer cuts text into pieces. It is immutable and safe for concurrent use.
type Tokenizer struct {
	vocab []string
	ids   map[string]int32
	norm  *normalizer
	begin pieces // of a word
	next  pieces
	// single is the id of each ASCII character as a word by itself.
	single [utf8.RuneSelf]int32

	unk int32

	// writers holds *wordWriter to use again; it is all that ever changes.
	writers sync.Pool
}

// New makes a tokenizer of a vocabulary in the order of its ids. With lowercase
// it lowers the case of text and strips accents, as "uncased" models do.
//
// Tokens are distinct and not empty, valid UTF-8 of one line, and [PAD], [UNK],
// [CLS], [SEP] and [MASK] are among them.
func New(vocab []string, lowercase bool) (*Tokenizer, error) {
	return newTokenizer(vocab, normalization{lowercase: lowercase, stripAccents: lowercase, spaceCJK: true})
}

func newTokenizer(vocab []string, how normalization) (*Tokenizer, error) {
	t := &Tokenizer{vocab: slices.Clone(vocab), ids: make(map[string]int32, len(vocab)), norm: newNormalizer(how)}
	for i, token := range t.vocab {
		if err := checkToken(token); err != nil {
			return nil, fmt.Errorf("vocabulary: token %d: %w", i, err)
		}
		if first, ok := t.ids[token]; ok {
			return nil, fmt.Errorf("vocabulary: token %d: %q is token %d already", i, token, first)
		}
		t.ids[token] = int32(i)
	}
	for _, token := range specialTokens() {
		if _, ok := t.ids[token]; !ok {
			return nil, fmt.Errorf("vocabulary: no %s among its %d tokens", token, len(vocab))
		}
	}
	t.unk = t.ids[unkToken]
	t.begin, t.next = newPieces(t.vocab)
	for c := range t.single {
		t.single[c] = t.unk
		if id, ok := t.ids[string(rune(c))]; ok {
			t.single[c] = id
		}
	}
	return t, nil
}

// checkToken holds what a line of vocab.txt can hold.
func checkToken(token string) error {
	switch {
	case token == "":
		return errors.New("it is empty")
	case !utf8.ValidString(token):
		return fmt.Errorf("%q is not UTF-8", token)
	case strings.ContainsAny(token, "\r\n"):
		return fmt.Errorf("%q is of more than one line", token)
	}
	return nil
}

// Vocab returns a copy of the vocabulary, by id.
func (t *Tokenizer) Vocab() []string { return slices.Clone(t.vocab) }

// Lowercase reports whether text is put in lower case.
func (t *Tokenizer) Lowercase() bool { return t.norm.how.lowercase }

// CLS returns the id of [CLS], with which a sequence begins.
func (t *Tokenizer) CLS() int32 { return t.ids[clsToken] }

// SEP returns the id of [SEP], with which a segment ends.
func (t *Tokenizer) SEP() int32 { return t.ids[sepToken] }

// MASK returns the id of [MASK], which hides a piece.
func (t *Tokenizer) MASK() int32 { return t.ids[maskToken] }
