package wordpiece

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// benchText is English prose: the documentation comments of Go's standard library.
var benchText = sync.OnceValues(func() ([]string, error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	var paragraphs []string
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(goroot)), "src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var p []string
		for line := range strings.SplitSeq(string(b), "\n") {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "// "); ok {
				p = append(p, text)
			} else if len(p) > 0 {
				paragraphs = append(paragraphs, strings.Join(p, " "))
				p = nil
			}
		}
		return nil
	})
	return paragraphs, err
})

func benchVocab(b *testing.B, size int) ([]string, []string, int64) {
	b.Helper()
	text, err := benchText()
	if err != nil {
		b.Fatal(err)
	}
	var bytes int64
	for _, t := range text {
		bytes += int64(len(t))
	}
	vocab, err := Train(b.Context(), texts(text...), TrainOptions{VocabSize: size, Lowercase: true})
	if err != nil {
		b.Fatal(err)
	}
	return text, vocab, bytes
}

// simpleEncode is the baseline: words by strings.Fields, pieces by a map, and a
// map of the words seen. It knows letters and spaces only.
func simpleEncode(t *Tokenizer, cache map[string][]int32, dst []int32, text string) []int32 {
	for _, w := range strings.Fields(strings.ToLower(text)) {
		ids, ok := cache[w]
		if !ok {
			prefix := ""
			for rest := w; rest != ""; {
				end := len(rest)
				for end > 0 {
					if id, ok := t.ids[prefix+rest[:end]]; ok {
						ids = append(ids, id)
						break
					}
					end--
				}
				if end == 0 {
					ids = []int32{t.unk}
					break
				}
				rest, prefix = rest[end:], continuation
			}
			cache[w] = ids
		}
		dst = append(dst, ids...)
	}
	return dst
}

func BenchmarkEncode(b *testing.B) {
	text, vocab, bytes := benchVocab(b, 8192)
	tok, err := New(vocab, true)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		encode func(dst []int32, text string) []int32
	}{
		{"english", tok.Encode},
		{"simple", func() func([]int32, string) []int32 {
			cache := map[string][]int32{}
			return func(dst []int32, text string) []int32 { return simpleEncode(tok, cache, dst, text) }
		}()},
	} {
		b.Run(c.name, func(b *testing.B) {
			var ids []int32
			b.SetBytes(bytes)
			b.ReportAllocs()
			for b.Loop() {
				for _, t := range text {
					ids = c.encode(ids[:0], t)
				}
			}
		})
	}
}

// BenchmarkEncodeScripts is text beyond ASCII, a line of each script.
func BenchmarkEncodeScripts(b *testing.B) {
	_, tok := loadGolden(b, "uncased")
	for name, line := range map[string]int{"latin": 5, "russian": 11, "chinese": 12, "korean": 15, "thai": 16, "hindi": 17, "arabic": 18} {
		text := strings.Repeat(testLines(b)[line]+" ", 20)
		b.Run(name, func(b *testing.B) {
			var ids []int32
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				ids = tok.Encode(ids[:0], text)
			}
		})
	}
}

func BenchmarkTrain(b *testing.B) {
	text, _, bytes := benchVocab(b, 100)
	b.SetBytes(bytes)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Train(b.Context(), texts(text...), TrainOptions{VocabSize: 8192, Lowercase: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	_, vocab, _ := benchVocab(b, 30000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(vocab, true); err != nil {
			b.Fatal(err)
		}
	}
}
