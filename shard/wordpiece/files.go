package wordpiece

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Files returns the files, by name, with which transformers loads this tokenizer;
// vocab.txt alone is enough for most other tools. maxLength is the longest
// sequence in tokens, special ones included, that the model takes.
func (t *Tokenizer) Files(maxLength int) (map[string][]byte, error) {
	if maxLength < 3 {
		return nil, fmt.Errorf("tokenizer files: a length of %d leaves no room between [CLS] and [SEP]", maxLength)
	}
	var vocab bytes.Buffer
	for _, token := range t.vocab {
		vocab.WriteString(token)
		vocab.WriteByte('\n')
	}
	files := map[string][]byte{vocabName: vocab.Bytes()}
	for name, content := range map[string]any{
		tokenizerName:             t.tokenizerJSON(),
		configName:                t.configJSON(maxLength),
		"special_tokens_map.json": specialMap(),
	} {
		b, err := encodeJSON(content)
		if err != nil {
			return nil, fmt.Errorf("tokenizer files: %s: %w", name, err)
		}
		files[name] = b
	}
	return files, nil
}

// encodeJSON indents as the files on Hugging Face's hub are, and leaves <, > and &.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// The names of the files that Load reads.
const (
	vocabName     = "vocab.txt"
	tokenizerName = "tokenizer.json"
	configName    = "tokenizer_config.json"
)

type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// added lists the special tokens by id, as the library does.
func (t *Tokenizer) added() []addedToken {
	out := make([]addedToken, 0, len(specialTokens()))
	for _, token := range specialTokens() {
		out = append(out, addedToken{ID: t.ids[token], Content: token, Special: true})
	}
	slices.SortFunc(out, func(a, b addedToken) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// object spares a type for each object of a foreign format.
type object = map[string]any

func (t *Tokenizer) tokenizerJSON() object {
	part := func(special string, typeID int) object {
		return object{"SpecialToken": object{"id": special, "type_id": typeID}}
	}
	sequence := func(name string, typeID int) object {
		return object{"Sequence": object{"id": name, "type_id": typeID}}
	}
	template := func(token string) object {
		return object{"id": token, "ids": []int32{t.ids[token]}, "tokens": []string{token}}
	}
	return object{
		"version":       "1.0",
		"truncation":    nil,
		"padding":       nil,
		"added_tokens":  t.added(),
		"normalizer":    t.normalizerJSON(),
		"pre_tokenizer": object{"type": "BertPreTokenizer"},
		"post_processor": object{
			"type":   "TemplateProcessing",
			"single": []object{part(clsToken, 0), sequence("A", 0), part(sepToken, 0)},
			"pair": []object{
				part(clsToken, 0), sequence("A", 0), part(sepToken, 0),
				sequence("B", 1), part(sepToken, 1),
			},
			"special_tokens": object{clsToken: template(clsToken), sepToken: template(sepToken)},
		},
		"decoder": object{"type": "WordPiece", "prefix": continuation, "cleanup": true},
		"model": object{
			"type": "WordPiece", "unk_token": unkToken, "continuing_subword_prefix": continuation,
			"max_input_chars_per_word": maxWordChars, "vocab": t.ids,
		},
	}
}

func (t *Tokenizer) normalizerJSON() object {
	return object{
		"type":                 "BertNormalizer",
		"clean_text":           true,
		"handle_chinese_chars": t.norm.how.spaceCJK,
		"strip_accents":        t.stripAccentsJSON(),
		"lowercase":            t.norm.how.lowercase,
	}
}

// stripAccentsJSON is null where accents follow case, as published models have it.
func (t *Tokenizer) stripAccentsJSON() any {
	if t.norm.how.stripAccents == t.norm.how.lowercase {
		return nil
	}
	return t.norm.how.stripAccents
}

func (t *Tokenizer) configJSON(maxLength int) object {
	decoder := object{}
	for _, a := range t.added() {
		decoder[fmt.Sprint(a.ID)] = object{
			"content": a.Content, "lstrip": false, "normalized": false,
			"rstrip": false, "single_word": false, "special": true,
		}
	}
	config := object{
		"added_tokens_decoder":         decoder,
		"clean_up_tokenization_spaces": true,
		"do_lower_case":                t.norm.how.lowercase,
		"model_max_length":             maxLength,
		"strip_accents":                t.stripAccentsJSON(),
		"tokenize_chinese_chars":       t.norm.how.spaceCJK,
		"tokenizer_class":              "BertTokenizer",
	}
	for key, token := range specialMap() {
		config[key] = token
	}
	return config
}

func specialMap() map[string]string {
	return map[string]string{
		"cls_token": clsToken, "mask_token": maskToken, "pad_token": padToken,
		"sep_token": sepToken, "unk_token": unkToken,
	}
}
