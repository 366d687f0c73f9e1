package wordpiece

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gramme-project/gramme/internal/vfs"
)

// maxFileBytes bounds the size of a tokenizer's file: the largest published ones are a
// few megabytes.
const maxFileBytes = 256 << 20

// Load reads the tokenizer of a model's folder: vocab.txt, and where they are,
// tokenizer_config.json and tokenizer.json for how text is normalized (the former
// goes first; without either, lower case, as BERT's default is). Without a
// vocab.txt it takes the vocabulary from tokenizer.json.
func Load(dir string) (*Tokenizer, error) {
	fail := func(err error) (*Tokenizer, error) {
		return nil, fmt.Errorf("load tokenizer %s: %w", dir, err)
	}
	files := map[string][]byte{}
	for _, name := range []string{vocabName, tokenizerName, configName} {
		b, err := readFile(dir, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(err)
		}
		files[name] = b
	}
	if files[vocabName] == nil && files[tokenizerName] == nil {
		return fail(fmt.Errorf("there is no %s and no %s in it", vocabName, tokenizerName))
	}
	t, err := parse(files[vocabName], files[tokenizerName], files[configName])
	if err != nil {
		return fail(err)
	}
	return t, nil
}

func readFile(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFileBytes {
		err = fmt.Errorf("%d bytes are more than a tokenizer has", info.Size())
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, vfs.WithoutPath(err))
	}
	return b, nil
}

// parse makes a tokenizer of the files' content; nil is a file that is not there.
func parse(vocabTxt, tokenizerJSON, configJSON []byte) (*Tokenizer, error) {
	var f tokenizerFile
	var c configFile
	if err := parseJSON(tokenizerName, tokenizerJSON, &f); err != nil {
		return nil, err
	}
	if err := parseJSON(configName, configJSON, &c); err != nil {
		return nil, err
	}
	how := normalization{
		lowercase: firstOf(c.DoLowerCase, f.Normalizer.Lowercase, true),
		spaceCJK:  firstOf(c.TokenizeChineseChars, f.Normalizer.HandleChineseChars, true),
	}
	how.stripAccents = firstOf(c.StripAccents, f.Normalizer.StripAccents, how.lowercase)
	if vocabTxt == nil {
		vocab, err := f.vocab()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tokenizerName, err)
		}
		return newTokenizer(vocab, how)
	}
	t, err := newTokenizer(parseVocab(vocabTxt), how)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vocabName, err)
	}
	return t, nil
}

// parseJSON reads a file into v and checks it.
func parseJSON(name string, b []byte, v interface{ check() error }) error {
	if b == nil {
		return nil
	}
	err := json.Unmarshal(b, v)
	if err == nil {
		err = v.check()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// firstOf returns the first setting that is given, else what holds otherwise.
func firstOf(first, second *bool, otherwise bool) bool { return *cmp.Or(first, second, &otherwise) }

// parseVocab splits vocab.txt: a token a line, its number its id. Lines may end
// as on Windows; the last need not end.
func parseVocab(b []byte) []string {
	b = bytes.TrimSuffix(b, []byte("\n"))
	b = bytes.TrimSuffix(b, []byte("\r"))
	var vocab []string
	for line := range strings.SplitSeq(string(b), "\n") {
		vocab = append(vocab, strings.TrimSuffix(line, "\r"))
	}
	return vocab
}

// tokenizerFile holds the parts of tokenizer.json that matter here.
type tokenizerFile struct {
	Normalizer struct {
		Type               string `json:"type"`
		Lowercase          *bool  `json:"lowercase"`
		StripAccents       *bool  `json:"strip_accents"`
		HandleChineseChars *bool  `json:"handle_chinese_chars"`
		CleanText          *bool  `json:"clean_text"`
	} `json:"normalizer"`
	PreTokenizer struct {
		Type string `json:"type"`
	} `json:"pre_tokenizer"`
	Model struct {
		Type     string           `json:"type"`
		Prefix   *string          `json:"continuing_subword_prefix"`
		MaxChars *int             `json:"max_input_chars_per_word"`
		Unknown  *string          `json:"unk_token"`
		Vocab    map[string]int64 `json:"vocab"`
	} `json:"model"`
}

// check refuses a file whose rules differ from those of this package.
func (f *tokenizerFile) check() error {
	m := &f.Model
	switch {
	case m.Type != "WordPiece" && m.Type != "":
		return fmt.Errorf("a model of type %q: only WordPiece is supported", m.Type)
	case m.Type == "" && len(m.Vocab) == 0:
		return errors.New("it has no model")
	case f.Normalizer.Type != "BertNormalizer":
		return fmt.Errorf("a normalizer of type %q: only BertNormalizer is supported", f.Normalizer.Type)
	case f.Normalizer.CleanText != nil && !*f.Normalizer.CleanText:
		return errors.New("clean_text is false: only true is supported")
	case f.PreTokenizer.Type != "BertPreTokenizer":
		return fmt.Errorf("a pre-tokenizer of type %q: only BertPreTokenizer is supported", f.PreTokenizer.Type)
	case m.Prefix != nil && *m.Prefix != continuation:
		return fmt.Errorf("pieces are continued by %q: only %q is supported", *m.Prefix, continuation)
	case m.MaxChars != nil && *m.MaxChars != maxWordChars:
		return fmt.Errorf("words have at most %d characters: only %d is supported", *m.MaxChars, maxWordChars)
	case m.Unknown != nil && *m.Unknown != unkToken:
		return fmt.Errorf("unknown words are %q: only %s is supported", *m.Unknown, unkToken)
	}
	return nil
}

// vocab returns the tokens by id; ids are 0 to n-1.
func (f *tokenizerFile) vocab() ([]string, error) {
	vocab := make([]string, len(f.Model.Vocab))
	for token, id := range f.Model.Vocab {
		if id < 0 || id >= int64(len(vocab)) {
			return nil, fmt.Errorf("token %q has id %d: %d tokens have ids 0 to %d", token, id, len(vocab), len(vocab)-1)
		}
		if vocab[id] != "" {
			return nil, fmt.Errorf("tokens %q and %q have id %d", min(vocab[id], token), max(vocab[id], token), id)
		}
		vocab[id] = token
	}
	return vocab, nil
}

// configFile holds the parts of tokenizer_config.json that matter here.
type configFile struct {
	DoLowerCase          *bool   `json:"do_lower_case"`
	StripAccents         *bool   `json:"strip_accents"`
	TokenizeChineseChars *bool   `json:"tokenize_chinese_chars"`
	DoBasicTokenize      *bool   `json:"do_basic_tokenize"`
	TokenizerClass       *string `json:"tokenizer_class"`
}

func (c *configFile) check() error {
	if c.DoBasicTokenize != nil && !*c.DoBasicTokenize {
		return errors.New("do_basic_tokenize is false: only true is supported")
	}
	if c.TokenizerClass != nil {
		switch *c.TokenizerClass {
		case "BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend":
		default:
			return fmt.Errorf("a tokenizer of class %s: only BertTokenizer is supported", *c.TokenizerClass)
		}
	}
	return nil
}
