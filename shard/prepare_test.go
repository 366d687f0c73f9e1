package shard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/shard/corpus"
)

// fakeTokenizer cuts words to pieces of three bytes, whose ids are hashes.
type fakeTokenizer struct{ lower bool }

const fakeVocab = 500

func (f fakeTokenizer) Encode(dst []int32, text string) []int32 {
	for word := range strings.FieldsSeq(text) {
		for at := 0; at < len(word); at += 3 {
			h := int32(0)
			for _, c := range []byte(word[at:min(at+3, len(word))]) {
				h = (h*31 + int32(c)) % 200
			}
			if at > 0 {
				h += 200
			}
			dst = append(dst, 5+h)
		}
	}
	return dst
}

func (f fakeTokenizer) Vocab() []string {
	vocab := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
	for i := range fakeVocab - 5 {
		if i < 200 {
			vocab = append(vocab, fmt.Sprintf("w%d", i))
		} else {
			vocab = append(vocab, fmt.Sprintf("##p%d", i))
		}
	}
	return vocab
}

func (f fakeTokenizer) Lowercase() bool { return f.lower }

func (f fakeTokenizer) Files(maxLength int) (map[string][]byte, error) {
	return map[string][]byte{
		"vocab.txt":      []byte(strings.Join(f.Vocab(), "\n") + "\n"),
		"tokenizer.json": fmt.Appendf(nil, `{"max_length":%d}`, maxLength),
	}, nil
}

// fakePreparation is Prepare with a tokenizer that is trained on nothing.
func fakePreparation(opts PrepareOptions) *preparation {
	return &preparation{opts: opts, fsys: quickDisk{}, makeTokenizer: func(_ context.Context, _ PrepareOptions, text iter.Seq2[string, error]) (textTokenizer, error) {
		for _, err := range text {
			if err != nil {
				return nil, err
			}
		}
		return fakeTokenizer{}, nil
	}}
}

// story writes n documents of distinct text to a file, in BERT's format.
func story(n int) []byte {
	var b strings.Builder
	for d := range n {
		for s := range 3 + d%9 {
			fmt.Fprintf(&b, "Document %d has a sentence number %d about the %s of things", d, s, []string{"nature", "origin", "weight", "colour"}[(d+s)%4])
			for w := range (d*7 + s*5) % 30 {
				fmt.Fprintf(&b, " word%d", (d*31+s*17+w)%997)
			}
			b.WriteString(".\n")
		}
		b.WriteString("\n")
	}
	return []byte(b.String())
}

func storyOptions(t *testing.T, documents int) PrepareOptions {
	dir := t.TempDir()
	input := filepath.Join(dir, "story.txt")
	write(t, input, story(documents))
	return PrepareOptions{Inputs: []string{input}, OutDir: filepath.Join(dir, "out"), VocabSize: DefaultVocabSize, MaxSeq: 64, ShardTokens: 4000, Seed: 1}
}

// usual options, as the command line has them.
func usual(inputs []string, out string) PrepareOptions {
	return PrepareOptions{Inputs: inputs, OutDir: out, VocabSize: DefaultVocabSize, MaxSeq: DefaultMaxSeq, ShardTokens: DefaultShardTokens}
}

// TestPrepare checks the folder against a naive reading of the same text.
func TestPrepare(t *testing.T) {
	opts := storyOptions(t, 600)
	stages := map[string]int64{}
	opts.Progress = func(stage string, done, total int64) {
		if done < stages[stage] || total > 0 && done > total {
			t.Errorf("%s: %d after %d of %d", stage, done, stages[stage], total)
		}
		stages[stage] = done
	}
	m, err := fakePreparation(opts).prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenManifest(opts.OutDir)
	if err != nil || !reflect.DeepEqual(opened, m) {
		t.Errorf("the manifest on the disk is another one: %v", err)
	}
	if stages[StageRead] != int64(len(story(600))) || stages[StageTokenize] != m.Provenance.Bytes {
		t.Errorf("progress ended with %v", stages)
	}

	// The oracle: all tokens of all documents, in order.
	want := map[uint64][]int32{}
	sentences := int64(0)
	for n, text := range strings.Split(strings.TrimSpace(string(story(600))), "\n\n") {
		want[uint64(n)] = fakeTokenizer{}.Encode(nil, text)
		sentences += int64(strings.Count(text, "\n") + 1)
	}
	got := map[uint64][]int32{}
	seen := map[string]bool{ManifestName: true, "vocab.txt": true, "tokenizer.json": true}
	for _, name := range partNames {
		split, _ := m.Split(name)
		load := Loader(t.Context(), Dir(opts.OutDir), split)
		own := map[uint64]bool{}
		for i, info := range split.Shards {
			seen[info.Name] = true
			s, err := load(i)
			if err != nil {
				t.Fatal(err)
			}
			if s.Chunks() != info.Chunks || int64(s.Tokens()) != info.Tokens || s.Tokens() > opts.ShardTokens {
				t.Errorf("%s: %d chunks of %d tokens, the manifest says %d of %d", info.Name, s.Chunks(), s.Tokens(), info.Chunks, info.Tokens)
			}
			for c := range s.Chunks() {
				d := s.Document(c)
				if !own[d] && got[d] != nil {
					t.Errorf("document %d is in two splits", d)
				}
				own[d] = true
				got[d] = s.AppendTokens(got[d], c, 0, s.Len(c))
			}
		}
		if split.Documents != int64(len(own)) {
			t.Errorf("%s: %d documents, counted %d", name, split.Documents, len(own))
		}
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Error("the shards do not hold the tokens of the text")
	}
	if p := m.Provenance; p.Documents != 600 || p.Sentences != sentences || p.Corpus.Documents != 600 || p.DuplicatesDropped != 0 {
		t.Errorf("provenance %+v", p)
	}
	if !(m.UnigramEntropyNats > 1 && m.UnigramEntropyNats < 7 && m.TrainEntropyNats > 1) {
		t.Errorf("entropies %v and %v", m.UnigramEntropyNats, m.TrainEntropyNats)
	}
	for name := range contents(t, opts.OutDir) {
		if !seen[name] {
			t.Errorf("%s was left behind", name)
		}
	}
	if m.TokenizerSHA256 != sha256Hex([]byte(contents(t, opts.OutDir)["vocab.txt"])) {
		t.Error("the tokenizer's hash is not that of vocab.txt")
	}
}

// TestPrepareDeterministic: every file is the same on one core and on two, and
// for a second preparation over the first.
func TestPrepareDeterministic(t *testing.T) {
	opts := storyOptions(t, 3000) // several jobs
	var want map[string]string
	for _, cores := range []int{1, 2, 5} {
		before := runtime.GOMAXPROCS(cores)
		_, err := fakePreparation(opts).prepare(t.Context())
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
}

func TestPrepareReplaces(t *testing.T) {
	opts := storyOptions(t, 900)
	if _, err := fakePreparation(opts).prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"notes.txt", "other-00000.shard", "train-x.shard"} {
		write(t, filepath.Join(opts.OutDir, name), []byte("mine"))
	}
	write(t, filepath.Join(opts.OutDir, "test-123456.shard"), []byte("of an old preparation"))
	write(t, filepath.Join(opts.OutDir, stagingName, "train-00000.shard"), []byte("of an interrupted preparation"))
	write(t, opts.Inputs[0], story(40))
	m, err := fakePreparation(opts).prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := contents(t, opts.OutDir)
	shards := len(m.Splits.Train.Shards) + len(m.Splits.Validation.Shards) + len(m.Splits.Test.Shards)
	if got["notes.txt"] != "mine" || got["other-00000.shard"] != "mine" || got["train-x.shard"] != "mine" || len(got) != shards+6 {
		t.Errorf("the folder holds %v", slices.Sorted(maps.Keys(got)))
	}
}

func TestPrepareDropsDuplicates(t *testing.T) {
	opts := storyOptions(t, 50)
	write(t, opts.Inputs[0], slices.Concat(story(50), story(50)))
	m, err := fakePreparation(opts).prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Provenance; p.Documents != 50 || p.DuplicatesDropped == 0 || p.Bytes+p.DuplicateBytes != p.Corpus.Bytes {
		t.Errorf("provenance %+v", p)
	}
	opts.KeepDuplicates = true
	if m, err = fakePreparation(opts).prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := m.Provenance; p.Documents != 100 || p.DuplicatesDropped != 0 {
		t.Errorf("kept: provenance %+v", p)
	}
}

// TestPrepareSmall: one to five documents give three splits, each with a chunk.
func TestPrepareSmall(t *testing.T) {
	for n := 1; n <= 5; n++ {
		for seed := range uint64(10) {
			opts := storyOptions(t, n)
			opts.Seed = seed
			m, err := fakePreparation(opts).prepare(t.Context())
			if err != nil {
				t.Fatalf("%d documents: %v", n, err)
			}
			for _, name := range partNames {
				if s, _ := m.Split(name); s.Chunks == 0 || s.Documents == 0 {
					t.Errorf("%d documents: %s is empty", n, name)
				}
			}
		}
	}
}

// quickDisk does not wait for the disk.
type quickDisk struct{ vfs.OS }

type quickFile struct{ vfs.File }

func (d quickDisk) OpenFile(path string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := d.OS.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return quickFile{f}, nil
}

func (quickFile) Sync() error { return nil }

// fullDisk fails once so many bytes are written.
type fullDisk struct {
	quickDisk
	room *int
}

type fullFile struct {
	vfs.File
	room *int
}

func (d fullDisk) OpenFile(path string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := d.quickDisk.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return fullFile{f, d.room}, nil
}

func (f fullFile) Write(b []byte) (int, error) {
	if *f.room < len(b) {
		n, _ := f.File.Write(b[:*f.room])
		*f.room = 0
		return n, &fs.PathError{Op: "write", Path: "/somewhere", Err: syscall.ENOSPC}
	}
	*f.room -= len(b)
	return f.File.Write(b)
}

func TestPrepareFullDisk(t *testing.T) {
	opts := storyOptions(t, 300)
	if _, err := fakePreparation(opts).prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := contents(t, opts.OutDir)
	write(t, opts.Inputs[0], story(200))
	need := 0
	for room := 0; ; room += 9001 {
		left := room
		p := fakePreparation(opts)
		p.fsys = fullDisk{room: &left}
		_, err := p.prepare(t.Context())
		if err == nil {
			need = room
			break
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "prepare "+opts.OutDir+": write ") || strings.Contains(err.Error(), "somewhere") {
			t.Fatalf("%d bytes: %v", room, err)
		}
		if !maps.Equal(contents(t, opts.OutDir), old) {
			t.Fatalf("%d bytes: the old corpus has changed", room)
		}
	}
	if need < 100000 {
		t.Errorf("succeeded with %d bytes", need)
	}

	// A folder that was not there is not left behind.
	opts.OutDir += "-new"
	left := 5000
	p := fakePreparation(opts)
	p.fsys = fullDisk{room: &left}
	if _, err := p.prepare(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("new folder: %v", err)
	}
	if _, err := os.Stat(opts.OutDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("new folder: %v", err)
	}
}

func TestPrepareLocked(t *testing.T) {
	opts := storyOptions(t, 20)
	if err := os.Mkdir(opts.OutDir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := vfs.Lock(vfs.OS{}, opts.OutDir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fakePreparation(opts).prepare(t.Context()); err == nil || !strings.Contains(err.Error(), "another process is preparing this folder") {
		t.Errorf("locked: %v", err)
	}
	lock.Close()
	if _, err := fakePreparation(opts).prepare(t.Context()); err != nil {
		t.Errorf("unlocked: %v", err)
	}
}

func TestPrepareCancelled(t *testing.T) {
	opts := storyOptions(t, 2000)
	for _, stage := range []string{StageRead, StageTokenize} {
		ctx, cancel := context.WithCancel(t.Context())
		opts.Progress = func(s string, _, _ int64) {
			if s == stage {
				cancel()
			}
		}
		if _, err := fakePreparation(opts).prepare(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", stage, err)
		}
		if _, err := os.Stat(opts.OutDir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the folder is there: %v", stage, err)
		}
	}
}

// TestPrepareBadInputs: each is an InputError that names the input and the reason.
func TestPrepareBadInputs(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("empty.txt"), nil)
	write(t, path("blank.txt"), []byte("  \n\n\t\n "))
	write(t, path("noise.txt"), noise(5000))
	write(t, path("images/a.png"), []byte("\x89PNG\r\n"))
	write(t, path("noises/a.txt"), noise(5000))
	write(t, path("short.txt"), []byte("Two sentences. No more."))
	write(t, path("zeros"), make([]byte, 300))
	if err := os.Mkdir(path("folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path("loop"), path("loop")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ input, want string }{
		{path("absent.txt"), "cannot be read: no such file or directory"},
		{path("loop"), "cannot be read: too many levels of symbolic links"},
		{"/proc/self/mem", "cannot be read: input/output error"},
		{path("folder"), "holds no text (no file of text)"},
		{path("empty.txt"), "holds no text (1 file read, 0 bytes)"},
		{path("blank.txt"), "holds no text (1 file read, 7 bytes)"},
		{path("images"), "holds no text (no file of text; 1 file skipped by name)"},
		{path("noise.txt"), "is not text: it is binary content"},
		{path("zeros"), "is not text: it is binary content (NUL bytes)"},
		{path("images/a.png"), "is not text: it is a PNG image"},
		{path("noises"), "holds no text (1 file read, 5000 bytes; 1 record unusable, the first: " + path("noises/a.txt") + ": binary content"},
		{path("short.txt"), "holds too little text: 2 sentences"},
	} {
		out := filepath.Join(dir, "out")
		_, err := fakePreparation(usual([]string{c.input}, out)).prepare(t.Context())
		var input *corpus.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), "corpus "+c.input+" "+c.want) {
			t.Errorf("got %v, want %q", err, c.input+" "+c.want)
		}
		if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the output folder is there", c.input)
		}
	}
	if _, err := fakePreparation(usual([]string{dir}, dir)).prepare(t.Context()); err == nil || !strings.Contains(err.Error(), "is the folder that the result is written to") {
		t.Errorf("in place: %v", err)
	}
}

// noise is bytes of no text, the same each time.
func noise(n int) []byte {
	out := make([]byte, n)
	h := uint64(1)
	for i := range out {
		h = h*6364136223846793005 + 1442695040888963407
		out[i] = byte(h >> 56)
	}
	return out
}

func TestPrepareOptions(t *testing.T) {
	ok := usual([]string{"x"}, "y")
	for _, c := range []struct {
		want   string
		change func(o *PrepareOptions)
	}{
		{"", func(o *PrepareOptions) {}},
		{"no output folder", func(o *PrepareOptions) { o.OutDir = "" }},
		{"vocabulary of 6 tokens", func(o *PrepareOptions) { o.VocabSize = 6 }},
		{"sequence length 4", func(o *PrepareOptions) { o.MaxSeq = 4 }},
		{"shards of 100 tokens", func(o *PrepareOptions) { o.ShardTokens = 100 }},
	} {
		o := ok
		c.change(&o)
		if err := o.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	opts := storyOptions(t, 10)
	opts.Tokenizer = filepath.Join(t.TempDir(), "none")
	if _, err := Prepare(t.Context(), opts); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "vocab.txt") {
		t.Errorf("a tokenizer that is not there: %v", err)
	}
}
