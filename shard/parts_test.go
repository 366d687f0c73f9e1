package shard

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/internal/vfs"
)

// TestDedup compares with a map of whole paragraphs.
func TestDedup(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	d := newDedup(1 << 16)
	known := map[string]bool{}
	for range 60000 {
		p := fmt.Sprintf("paragraph number %d, which is long enough to be compared", r.IntN(30000))
		if got := d.seen(p); got != known[p] {
			t.Fatalf("%q: seen is %t", p, got)
		}
		known[p] = true
	}
	if d.used != len(known) {
		t.Errorf("%d slots used for %d paragraphs", d.used, len(known))
	}
}

func TestDedupShort(t *testing.T) {
	d := newDedup(1 << 12)
	short, long := strings.Repeat("a", dedupBytes-1), strings.Repeat("a", dedupBytes)
	for range 2 {
		if d.seen(short) {
			t.Error("a short paragraph counts as a duplicate")
		}
	}
	if d.seen(long) || !d.seen(long) {
		t.Error("a long paragraph does not count as a duplicate")
	}
}

// TestDedupBounded: a full set forgets what is new and knows what is old.
func TestDedupBounded(t *testing.T) {
	const most = 1 << 13
	d := newDedup(most)
	name := func(i int) string { return fmt.Sprintf("paragraph %d %s", i, strings.Repeat("x", dedupBytes)) }
	for i := range 2 * most {
		if d.seen(name(i)) {
			t.Fatalf("%d is new", i)
		}
	}
	if len(d.slots) != most || d.used > most*3/4 {
		t.Errorf("%d slots, %d used", len(d.slots), d.used)
	}
	for i := range most / 2 {
		if !d.seen(name(i)) {
			t.Fatalf("%d is forgotten", i)
		}
	}
	if d.seen(name(2*most - 1)) {
		t.Error("the last was remembered by a full set")
	}
}

func TestSplitShares(t *testing.T) {
	const n = 200000
	var s splitter
	for i := range uint64(n) {
		s.add(draw(1, i*0x9e3779b97f4a7c15))
	}
	s.finish()
	for _, p := range []part{validation, test} {
		// Binomial: the standard deviation of a 1% share is 44 of 2000.
		if got := float64(s.counts[p]); math.Abs(got-0.01*n) > 5*math.Sqrt(0.01*n) {
			t.Errorf("%s: %v documents of %d", partNames[p], got, n)
		}
	}
	if len(s.moved) != 0 {
		t.Error("documents were moved although no split was empty")
	}
}

// TestSplitSmall: of three documents and more, every split gets one, and at
// agrees with the counts.
func TestSplitSmall(t *testing.T) {
	// Draws from a corner of the range, so that splits are often empty.
	for n := range 8 {
		for seed := range uint64(2000) {
			var s splitter
			draws := make([]float64, n)
			for i := range draws {
				draws[i] = draw(seed, uint64(i)) * []float64{1, 0.025, 0.015, 0.005}[seed%4]
				s.add(draws[i])
			}
			s.finish()
			var counts [parts]int64
			for i, u := range draws {
				counts[s.at(int64(i), u)]++
			}
			if counts != s.counts {
				t.Fatalf("%d documents, seed %d: counted %v, placed %v", n, seed, s.counts, counts)
			}
			if n >= minDocuments && (counts[train] == 0 || counts[validation] == 0 || counts[test] == 0) {
				t.Fatalf("%d documents, seed %d: %v", n, seed, counts)
			}
		}
	}
}

// TestSplitStable: a document stays in its split when the corpus grows, as long
// as none was empty.
func TestSplitStable(t *testing.T) {
	place := func(n int) (where []part) {
		var s splitter
		for i := range n {
			s.add(draw(5, uint64(i)))
		}
		s.finish()
		for i := range n {
			where = append(where, s.at(int64(i), draw(5, uint64(i))))
		}
		return where
	}
	small, large := place(2000), place(5000)
	if !reflect.DeepEqual(small, large[:2000]) {
		t.Error("documents moved")
	}
}

func TestSpoolRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s, err := createSpool(vfs.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"one"}, {"two", "", "three " + strings.Repeat("x", 3<<20)}, {"Zürich\x00"}}
	for _, p := range want {
		if err := s.add(contentHash(p), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n := 0
		for d, err := range s.all() {
			if err != nil {
				t.Fatal(err)
			}
			if d.number != int64(n) || d.Content != contentHash(want[n]) || !reflect.DeepEqual(d.Paragraphs, want[n]) {
				t.Errorf("document %d differs", n)
			}
			n++
		}
		if n != len(want) {
			t.Errorf("%d documents, want %d", n, len(want))
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range s.all() {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "unexpected EOF") {
		t.Errorf("cut short: %v", last)
	}
}

func TestContentHashSeparates(t *testing.T) {
	if contentHash([]string{"a", "b"}) == contentHash([]string{"ab"}) {
		t.Error("paragraph ends do not count")
	}
}

func TestEntropies(t *testing.T) {
	cross, own := entropies([]int64{3, 1, 0}, []int64{1, 0, 1})
	// Smoothed base: 4/7, 2/7, 1/7. Held: half token 0, half token 2.
	if want := -0.5*math.Log(4./7) - 0.5*math.Log(1./7); math.Abs(cross-want) > 1e-12 {
		t.Errorf("cross entropy %v, want %v", cross, want)
	}
	if want := -0.75*math.Log(0.75) - 0.25*math.Log(0.25); math.Abs(own-want) > 1e-12 {
		t.Errorf("entropy %v, want %v", own, want)
	}
	if cross, own = entropies(make([]int64, 3), make([]int64, 3)); cross != 0 || own != 0 {
		t.Errorf("of nothing: %v, %v", cross, own)
	}
}

func TestBundle(t *testing.T) {
	dir := t.TempDir()
	m := sampleManifest()
	files := map[string][]byte{"vocab.txt": []byte("[PAD]\n[UNK]\n"), "tokenizer.json": bytes.Repeat([]byte("{}\n"), 5000)}
	m.Files = map[string]string{}
	for name, content := range files {
		m.Files[name] = sha256Hex(content)
		write(t, filepath.Join(dir, name), content)
	}
	raw, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ManifestName), raw)
	write(t, filepath.Join(dir, "train-00000.shard"), []byte("not in a bundle"))

	packed, err := EncodeBundle(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := DecodeBundle(packed)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(b.Manifest, m) || !reflect.DeepEqual(b.Files, files) {
		t.Error("the bundle is not the folder")
	}
	out := filepath.Join(t.TempDir(), "deep", "er")
	for range 2 { // the second time over itself
		if err := b.Write(out); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{ManifestName: string(raw)}
		for name, content := range files {
			want[name] = string(content)
		}
		if got := contents(t, out); !reflect.DeepEqual(got, want) {
			t.Errorf("the folder holds %d files, want %d", len(got), len(want))
		}
	}
	again, err := EncodeBundle(out)
	if err != nil || !bytes.Equal(again, packed) {
		t.Errorf("the bundle of the copy differs: %v", err)
	}

	for i := range packed {
		bad := bytes.Clone(packed)
		bad[i] ^= 0x40
		if got, err := DecodeBundle(bad); err == nil && !reflect.DeepEqual(got.Files, files) {
			t.Fatalf("byte %d: other files without an error", i)
		}
		if _, err := DecodeBundle(packed[:i]); err == nil {
			t.Fatalf("cut to %d bytes: no error", i)
		}
	}

	other := b
	other.Manifest.TokenizerSHA256 = sha256Hex(nil)
	if err := other.Write(out); err == nil || !strings.Contains(err.Error(), "another corpus") {
		t.Errorf("over another corpus: %v", err)
	}
	write(t, filepath.Join(dir, "vocab.txt"), []byte("changed"))
	if _, err := EncodeBundle(dir); err == nil || !strings.Contains(err.Error(), "vocab.txt: checksum mismatch") {
		t.Errorf("changed file: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "vocab.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := EncodeBundle(dir); err == nil || !strings.Contains(err.Error(), "vocab.txt") {
		t.Errorf("absent file: %v", err)
	}
}

func FuzzDecodeBundle(f *testing.F) {
	raw, err := sampleManifest().Encode()
	if err != nil {
		f.Fatal(err)
	}
	packed, err := Bundle{Files: map[string][]byte{"vocab.txt": []byte("vocab")}, manifest: raw}.encode()
	if err != nil {
		f.Fatal(err)
	}
	if _, err := DecodeBundle(packed); err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Fuzz(func(t *testing.T, packed []byte) {
		b, err := DecodeBundle(packed)
		if err != nil {
			return
		}
		for name, content := range b.Files {
			if b.Manifest.Files[name] != sha256Hex(content) {
				t.Fatalf("%s is not verified", name)
			}
		}
	})
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// contents reads all files of a folder.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			out[e.Name()+"/"] = ""
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}
