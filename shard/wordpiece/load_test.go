package wordpiece

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func writeFiles(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFilesLoad(t *testing.T) {
	for _, name := range goldenNames {
		_, tok := loadGolden(t, name)
		files, err := tok.Files(512)
		if err != nil {
			t.Fatal(err)
		}
		for _, without := range []string{"", vocabName, tokenizerName, configName} {
			present := map[string][]byte{}
			for n, b := range files {
				if n != without {
					present[n] = b
				}
			}
			got, err := Load(writeFiles(t, present))
			if err != nil {
				t.Fatalf("%s without %q: %v", name, without, err)
			}
			if got.norm.how != tok.norm.how || !slices.Equal(got.vocab, tok.vocab) || got.Lowercase() != tok.Lowercase() {
				t.Errorf("%s without %q: %+v and %d tokens, want %+v and %d", name, without,
					got.norm.how, len(got.vocab), tok.norm.how, len(tok.vocab))
			}
		}
	}
}

func TestFilesDeterministic(t *testing.T) {
	_, tok := loadGolden(t, "uncased")
	a, err := tok.Files(128)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := tok.Files(128)
	for name := range a {
		if string(a[name]) != string(b[name]) {
			t.Errorf("%s differs between two calls", name)
		}
	}
	if _, err := tok.Files(2); err == nil {
		t.Error("a length of 2 is accepted")
	}
}

const plainVocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n"

const plainTokenizer = `{"normalizer":{"type":"BertNormalizer","lowercase":false},
	"pre_tokenizer":{"type":"BertPreTokenizer"},
	"model":{"type":"WordPiece","vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"[MASK]":4,"a":5}}}`

func TestLoadSettings(t *testing.T) {
	for _, c := range []struct {
		name              string
		config, tokenizer string
		want              normalization
	}{
		{"neither", "", "", normalization{lowercase: true, stripAccents: true, spaceCJK: true}},
		{"cased", `{"do_lower_case":false}`, "", normalization{spaceCJK: true}},
		{"strip", `{"do_lower_case":false,"strip_accents":true}`, "", normalization{stripAccents: true, spaceCJK: true}},
		{"accents", `{"strip_accents":false,"tokenize_chinese_chars":false}`, "", normalization{lowercase: true}},
		{"null", `{"do_lower_case":true,"strip_accents":null}`, "", normalization{lowercase: true, stripAccents: true, spaceCJK: true}},
		{"tokenizer alone", "", plainTokenizer, normalization{spaceCJK: true}},
		{"config first", `{"do_lower_case":true}`, plainTokenizer, normalization{lowercase: true, stripAccents: true, spaceCJK: true}},
	} {
		files := map[string][]byte{vocabName: []byte(plainVocab)}
		if c.config != "" {
			files[configName] = []byte(c.config)
		}
		if c.tokenizer != "" {
			files[tokenizerName] = []byte(c.tokenizer)
		}
		tok, err := Load(writeFiles(t, files))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if tok.norm.how != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, tok.norm.how, c.want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	with := func(old, new string) string { return strings.Replace(plainTokenizer, old, new, 1) }
	for _, c := range []struct {
		file, content, want string
	}{
		{"", "", "there is no vocab.txt and no tokenizer.json in it"},
		{vocabName, "", "vocab.txt: vocabulary: token 0: it is empty"},
		{vocabName, plainVocab + "\nx\n", "vocab.txt: vocabulary: token 7: it is empty"},
		{vocabName, plainVocab + "a\n", `vocab.txt: vocabulary: token 7: "a" is token 5 already`},
		{vocabName, plainVocab + "\xff\n", `vocab.txt: vocabulary: token 7: "\xff" is not UTF-8`},
		{vocabName, "a\nb\n", "vocab.txt: vocabulary: no [PAD] among its 2 tokens"},
		{vocabName, strings.Replace(plainVocab, "[MASK]", "[mask]", 1), "vocab.txt: vocabulary: no [MASK] among its 7 tokens"},
		{tokenizerName, "{", "tokenizer.json: unexpected end of JSON input"},
		{tokenizerName, "{}", "tokenizer.json: it has no model"},
		{tokenizerName, with(`"WordPiece"`, `"BPE"`), `tokenizer.json: a model of type "BPE": only WordPiece is supported`},
		{tokenizerName, with(`"BertNormalizer"`, `"NFC"`), `tokenizer.json: a normalizer of type "NFC": only BertNormalizer is supported`},
		{tokenizerName, with(`"BertPreTokenizer"`, `"ByteLevel"`), `tokenizer.json: a pre-tokenizer of type "ByteLevel": only BertPreTokenizer is supported`},
		{tokenizerName, with(`"lowercase"`, `"clean_text":false,"lowercase"`), "tokenizer.json: clean_text is false: only true is supported"},
		{tokenizerName, with(`"vocab"`, `"continuing_subword_prefix":"@@","vocab"`), `tokenizer.json: pieces are continued by "@@": only "##" is supported`},
		{tokenizerName, with(`"vocab"`, `"max_input_chars_per_word":50,"vocab"`), "tokenizer.json: words have at most 50 characters: only 100 is supported"},
		{tokenizerName, with(`"vocab"`, `"unk_token":"<unk>","vocab"`), `tokenizer.json: unknown words are "<unk>": only [UNK] is supported`},
		{tokenizerName, with(`"a":5`, `"a":6`), `tokenizer.json: token "a" has id 6: 6 tokens have ids 0 to 5`},
		{tokenizerName, with(`"a":5`, `"a":0`), `tokenizer.json: tokens "[PAD]" and "a" have id 0`},
		{configName, `{"do_lower_case":"yes"}`, "tokenizer_config.json: json: cannot unmarshal"},
		{configName, `{"do_basic_tokenize":false}`, "tokenizer_config.json: do_basic_tokenize is false: only true is supported"},
		{configName, `{"tokenizer_class":"T5Tokenizer"}`, "tokenizer_config.json: a tokenizer of class T5Tokenizer: only BertTokenizer is supported"},
	} {
		files := map[string][]byte{}
		if c.file == configName {
			files[vocabName] = []byte(plainVocab)
		}
		if c.file != "" {
			files[c.file] = []byte(c.content)
		}
		dir := writeFiles(t, files)
		_, err := Load(dir)
		if want := "load tokenizer " + dir + ": " + c.want; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s %.60q: got error %v, want %s", c.file, c.content, err, want)
		}
	}
}

func TestLoadWindows(t *testing.T) {
	tok, err := Load(writeFiles(t, map[string][]byte{vocabName: []byte(strings.ReplaceAll(strings.TrimSuffix(plainVocab, "\n"), "\n", "\r\n"))}))
	if err != nil {
		t.Fatal(err)
	}
	if got := tokens(tok, tok.Encode(nil, "ABB")); got != "a ##b ##b" {
		t.Errorf("got %s", got)
	}
}

// FuzzParse feeds the parsers; what they accept must encode and survive Files.
func FuzzParse(f *testing.F) {
	f.Add([]byte(plainVocab), []byte(plainTokenizer), []byte(`{"do_lower_case":false}`))
	f.Add([]byte("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\n"), []byte(nil), []byte(`{"strip_accents":null}`))
	f.Add([]byte(nil), []byte(plainTokenizer), []byte(nil))
	f.Fuzz(func(t *testing.T, vocab, tokenizer, config []byte) {
		// As when read: a file that is not there is nil.
		absent := func(b []byte) []byte {
			if len(b) == 0 {
				return nil
			}
			return b
		}
		if len(vocab) == 0 && len(tokenizer) == 0 {
			return
		}
		tok, err := parse(absent(vocab), absent(tokenizer), absent(config))
		if err != nil {
			return
		}
		tok.Encode(nil, "ab é [MASK] 中")
		files, err := tok.Files(512)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(files[vocabName], files[tokenizerName], files[configName])
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if !slices.Equal(again.vocab, tok.vocab) || again.norm.how != tok.norm.how {
			t.Fatalf("written and read, %+v became %+v", tok.norm.how, again.norm.how)
		}
		if !json.Valid(files["special_tokens_map.json"]) {
			t.Fatal("special_tokens_map.json is not JSON")
		}
	})
}
