package shard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/shard/corpus"
)

// ManifestName is the file of a prepared folder that makes it one.
const ManifestName = "manifest.json"

// ManifestVersion is the version that this package writes and reads.
const ManifestVersion = 1

// ErrNotPrepared is wrapped by OpenManifest when the folder has no manifest:
// it was never prepared, or a preparation was interrupted.
var ErrNotPrepared = errors.New("no prepared corpus")

// Manifest describes a prepared corpus.
type Manifest struct {
	Version int `json:"version"`
	// TokenizerSHA256 is the hash of vocab.txt, in hexadecimal.
	TokenizerSHA256 string `json:"tokenizer_sha256"`
	VocabSize       int    `json:"vocab_size"`
	Lowercase       bool   `json:"lowercase"`
	// MaxSeq is the sequence length that chunks were packed for: a chunk holds
	// at most MaxSeq-3 tokens, the rest is [CLS], [SEP] and [SEP].
	MaxSeq int `json:"max_seq"`
	// UnigramEntropyNats is the cross entropy, in nats a token, of the
	// validation split under the unigram distribution of the train split with
	// add-one smoothing: the loss of a model that knows only frequencies.
	UnigramEntropyNats number.Float `json:"unigram_entropy_nats"`
	// TrainEntropyNats is the entropy of the train split's own unigrams.
	TrainEntropyNats number.Float `json:"train_entropy_nats"`
	Splits           Splits       `json:"splits"`
	// Files maps the tokenizer's files beside the manifest to their SHA-256.
	Files      map[string]string `json:"files"`
	Provenance Provenance        `json:"provenance"`
}

// Splits are the three parts of a corpus; a document is in exactly one.
type Splits struct {
	Train      Split `json:"train"`
	Validation Split `json:"validation"`
	Test       Split `json:"test"`
}

// Split lists the shards of one part, in the order of the corpus.
type Split struct {
	Shards    []ShardInfo `json:"shards"`
	Documents int64       `json:"documents"`
	Chunks    int64       `json:"chunks"`
	Tokens    int64       `json:"tokens"`
}

// ShardInfo names one shard file and what it must be.
type ShardInfo struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	Chunks int    `json:"chunks"`
	Tokens int64  `json:"tokens"`
}

// Provenance says where a corpus came from and what was left out.
type Provenance struct {
	Options Options       `json:"options"`
	Corpus  corpus.Report `json:"corpus"`
	// Documents and Sentences count what was kept.
	Documents int64 `json:"documents"`
	Sentences int64 `json:"sentences"`
	// DuplicatesDropped counts paragraphs that had been seen before, and
	// DuplicateBytes their text.
	DuplicatesDropped int64 `json:"duplicates_dropped"`
	DuplicateBytes    int64 `json:"duplicate_bytes"`
	// TooShort counts documents of fewer than two tokens, which cannot be cut
	// into two segments.
	TooShort int64 `json:"too_short"`
	// Bytes is the size of the text that was kept.
	Bytes int64 `json:"bytes"`
}

// Options are those of PrepareOptions that shape the result.
type Options struct {
	VocabSize      int    `json:"vocab_size"`
	Lowercase      bool   `json:"lowercase"`
	MaxSeq         int    `json:"max_seq"`
	ShardTokens    int    `json:"shard_tokens"`
	Seed           uint64 `json:"seed"`
	KeepDuplicates bool   `json:"keep_duplicates"`
	// Tokenizer is the hash of the vocabulary that was given, empty if it was
	// trained.
	Tokenizer string `json:"tokenizer,omitempty"`
}

// Split returns the split of a name: train, validation or test.
func (m Manifest) Split(name string) (Split, error) {
	if i := slices.Index(partNames[:], name); i >= 0 {
		return m.splits()[i], nil
	}
	return Split{}, fmt.Errorf("split %q: want train, validation or test", name)
}

// splits lists the parts in the order of their constants.
func (m Manifest) splits() [parts]Split {
	return [parts]Split{m.Splits.Train, m.Splits.Validation, m.Splits.Test}
}

// shards lists the shards of all splits.
func (m Manifest) shards() []ShardInfo {
	return slices.Concat(m.Splits.Train.Shards, m.Splits.Validation.Shards, m.Splits.Test.Shards)
}

// Digest identifies the content, whatever the inputs were called: it covers the
// vocabulary and every shard. Two corpora of one digest train the same model.
func (m Manifest) Digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "gramme corpus %d\n%s %d %t %d\n", m.Version, m.TokenizerSHA256, m.VocabSize, m.Lowercase, m.MaxSeq)
	for _, s := range m.splits() {
		fmt.Fprintf(h, "split %d\n", len(s.Shards))
		for _, i := range s.Shards {
			fmt.Fprintf(h, "%s\n", i.SHA256)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Validate checks that the manifest is whole and that its sums agree.
func (m Manifest) Validate() error {
	if m.Version != ManifestVersion {
		return fmt.Errorf("version %d, this program reads version %d", m.Version, ManifestVersion)
	}
	if m.MaxSeq < 8 || m.MaxSeq > 1<<15 {
		return fmt.Errorf("max_seq %d out of range", m.MaxSeq)
	}
	if m.VocabSize < 1 {
		return fmt.Errorf("vocab_size %d out of range", m.VocabSize)
	}
	for name, sum := range m.Files {
		if !plainName(name) || name == ManifestName {
			return fmt.Errorf("bad file name %q", name)
		}
		if !isSHA256(sum) {
			return fmt.Errorf("file %s: bad sha256 %q", name, sum)
		}
	}
	for p, s := range m.splits() {
		name := partNames[p]
		var chunks, tokens int64
		for _, i := range s.Shards {
			if !plainName(i.Name) {
				return fmt.Errorf("split %s: bad shard name %q", name, i.Name)
			}
			if !isSHA256(i.SHA256) {
				return fmt.Errorf("shard %s: bad sha256 %q", i.Name, i.SHA256)
			}
			if i.Chunks < 1 || i.Tokens < int64(i.Chunks) || i.Bytes < headerSize {
				return fmt.Errorf("shard %s: impossible counts", i.Name)
			}
			chunks += int64(i.Chunks)
			tokens += i.Tokens
		}
		if chunks != s.Chunks || tokens != s.Tokens {
			return fmt.Errorf("split %s: its shards hold %d chunks and %d tokens, not %d and %d", name, chunks, tokens, s.Chunks, s.Tokens)
		}
	}
	return nil
}

// plainName says whether a name is that of a visible file within a folder.
func plainName(name string) bool {
	return name != "" && name == filepath.Base(name) && !strings.HasPrefix(name, ".") && name != string(filepath.Separator)
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && s == strings.ToLower(s)
}

// Encode returns the bytes of manifest.json.
func (m Manifest) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return b.Bytes(), nil
}

// DecodeManifest is the inverse of Encode; it returns the errors of Validate.
func DecodeManifest(b []byte) (Manifest, error) {
	var m Manifest
	err := json.Unmarshal(b, &m)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// OpenManifest reads the manifest of a prepared folder. It does not read the
// shards: OpenShard verifies each when it is needed.
func OpenManifest(dir string) (Manifest, error) {
	m, _, err := openManifest(dir)
	return m, err
}

// openManifest also returns the bytes of the manifest.
func openManifest(dir string) (m Manifest, raw []byte, err error) {
	raw, err = os.ReadFile(filepath.Join(dir, ManifestName))
	switch {
	case err == nil:
		m, err = DecodeManifest(raw)
	case errors.Is(err, fs.ErrNotExist):
		err = ErrNotPrepared
	}
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("open corpus %s: %w", dir, err)
	}
	return m, raw, nil
}
