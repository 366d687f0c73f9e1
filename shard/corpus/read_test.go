package corpus

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"
)

// readAll reads inputs and checks the invariants of every document.
func readAll(t testing.TB, opts Options, inputs ...string) ([]Document, Report, error) {
	t.Helper()
	var out []Document
	report, err := Read(t.Context(), inputs, opts, func(d Document) error {
		size := 0
		if len(d.Paragraphs) == 0 {
			t.Errorf("%s: a document without paragraphs", d.Source)
		}
		for _, p := range d.Paragraphs {
			size += len(p)
			if p == "" || !utf8.ValidString(p) || strings.TrimSpace(p) != p || strings.Contains(p, "  ") || strings.ContainsAny(p, "\n\r\t\x00") {
				t.Errorf("%s: %.200q is no clean paragraph", d.Source, p)
			}
			if len(p) > MaxParagraph {
				t.Errorf("%s: a paragraph of %d bytes", d.Source, len(p))
			}
		}
		if size > MaxDocument {
			t.Errorf("%s: a document of %d bytes", d.Source, size)
		}
		out = append(out, d)
		return nil
	})
	if err == nil && report.Documents != int64(len(out)) {
		t.Errorf("%d documents in the report, %d emitted", report.Documents, len(out))
	}
	return out, report, err
}

// writeFile puts a file in a new folder and returns its path.
func writeFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func paragraphs(docs []Document) [][]string {
	var out [][]string
	for _, d := range docs {
		out = append(out, d.Paragraphs)
	}
	return out
}

// TestFormats reads one file of each format. A nil want is one that differs.
func TestFormats(t *testing.T) {
	for _, c := range []struct {
		name, file, text, format string
		want                     [][]string
	}{
		{"wrapped prose", "a.txt", "The quick brown\nfox jumps.\n\nThe lazy\ndog sleeps.\n", "text",
			[][]string{{"The quick brown fox jumps.", "The lazy dog sleeps."}}},
		{"a sentence a line", "a.txt", "One is here.\nTwo is here.\nThree is here.\n", "text",
			[][]string{{"One is here.", "Two is here.", "Three is here."}}},
		{"BERT's format", "a.txt", "One is here.\nTwo is here.\n\nThree is here.\nFour is here.\n", "text",
			[][]string{{"One is here.", "Two is here."}, {"Three is here.", "Four is here."}}},
		{"no line end", "a.txt", "A single line without an end", "text", [][]string{{"A single line without an end"}}},
		{"CRLF and spaces", "a.txt", "  A line\r\n\twith \v spaces.\r\n\r\nAnother.\r\n", "text",
			[][]string{{"A line with spaces.", "Another."}}},
		{"byte order mark", "a.txt", "\xef\xbb\xbfMarked text.", "text", [][]string{{"Marked text."}}},
		{"invalid UTF-8", "a.txt", "Caf\xe9 and a long line of good text after it.", "text",
			[][]string{{"Café and a long line of good text after it."}}},
		{"stray NUL", "a.txt", "A stray \x00 byte in a text" + strings.Repeat(" that goes on", 10) + ".", "text",
			[][]string{{"A stray byte in a text" + strings.Repeat(" that goes on", 10) + "."}}},
		{"no extension", "README", "Some text in it.", "text", [][]string{{"Some text in it."}}},
		{"Markdown", "a.md", `---
title: front matter
---
# The *Title*

A [link](http://x.y) and ` + "`code`" + `
over two lines.

- first **item**
- second &amp; last

1. numbered

> quoted text

` + "```go\nfunc f() {}\n```" + `

    indented code

| a | table |
|---|-------|

<!-- a comment
over lines -->
![image](x.png)
Setext
======
Last <b>words</b>.
[ref]: http://example.com
`, "markdown", [][]string{{"The Title", "A link and code over two lines.", "first item", "second & last", "numbered", "quoted text", "Setext", "Last words."}}},
		{"HTML", "a.html", `<!DOCTYPE html><html><head><title>The title</title><style>p{}</style><script>var x = "<p>no</p>";</script></head>
<body><nav>menu <nav>inner</nav> more</nav><p>A <b>bold</b> word &amp; a&nbsp;space.</p><div>Block<br>after a break</div><pre>code</pre><ul><li>one<li>two</ul></body></html>`,
			"html", [][]string{{"The title", "A bold word & a space.", "Block", "after a break", "one", "two"}}},
		{"HTML by content", "page", "<html><p>Found by its content.</p></html>", "html", [][]string{{"Found by its content."}}},
		{"JSONL", "a.jsonl", "{\"text\":\"One.\\nTwo wrapped\\nline\",\"id\":1}\n\n{\"id\":2,\"text\":\"Zürich \\u00fc\"}\n", "jsonl",
			[][]string{{"One. Two wrapped line"}, {"Zürich ü"}}},
		{"JSONL by content", "data", "{\"text\":\"By content.\"}\n", "jsonl", [][]string{{"By content."}}},
		{"WikiExtractor", "wiki_00", "<doc id=\"1\" url=\"u\" title=\"A\">\nA\n\nFirst article.\n\nMore of it.\n\n</doc>\n<doc id=\"2\" url=\"u\" title=\"B\">\nB\n\nSecond article.\n</doc>\n", "wikiextractor",
			[][]string{{"A", "First article.", "More of it."}, {"B", "Second article."}}},
		{"WikiExtractor called text", "wiki.txt", "<doc id=\"1\" url=\"u\" title=\"A\">\nFirst article.\n</doc>\n", "wikiextractor",
			[][]string{{"First article."}}},
	} {
		path := writeFile(t, c.file, []byte(c.text))
		docs, report, err := readAll(t, Options{}, path)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := paragraphs(docs); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		if report.Sources[0].Format != c.format || report.Quarantined != 0 {
			t.Errorf("%s: format %s, quarantine %v", c.name, report.Sources[0].Format, report.Quarantine)
		}
	}
}

func gzipped(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCompressionAndEncoding(t *testing.T) {
	const text = "Some compressed text.\n"
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bz, err := os.ReadFile(filepath.Join("testdata", "text.bz2"))
	if err != nil {
		t.Fatal(err)
	}
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	mark := "\xef\xbb\xbf"
	for name, content := range map[string][]byte{
		"mark.txt": []byte(mark + text), "marked": []byte(mark + "<html><p>" + text), "marked.txt": []byte(mark + "<doc id=1>\n" + text + "</doc>\n"),
		"a.txt.gz": gzipped(t, text), "a.txt.zst": z.EncodeAll([]byte(text), nil), "a.txt.bz2": bz,
		"a.txt": gzipped(t, text), // told by content, not by name
		"b.txt": utf16, "c.txt.gz": gzipped(t, string(utf16)),
		"two.txt.gz": append(gzipped(t, "Some compressed "), gzipped(t, "text.\n")...),
	} {
		docs, report, err := readAll(t, Options{}, writeFile(t, name, content))
		if err != nil || !reflect.DeepEqual(paragraphs(docs), [][]string{{"Some compressed text."}}) {
			t.Errorf("%s: %q, %v", name, paragraphs(docs), err)
		}
		if report.InputBytes != int64(len(content)) {
			t.Errorf("%s: %d bytes read of %d", name, report.InputBytes, len(content))
		}
	}
}

// TestOtherEncodings reads text of one byte a character, as it is or as a page says.
func TestOtherEncodings(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"latin.txt":    {"Die Pr\xfcfung war f\xfcr Andr\xe9 schwer.\n", "Die Prüfung war für André schwer."},
		"quotes.txt":   {"He said \x93no\x94 \x96 twice.\n", "He said “no” – twice."},
		"russian.html": {"<html><meta charset=windows-1251><p>\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0!</p>", "Привет, мир!"},
		"long.html":    {"<html><meta charset=windows-1251><p>" + strings.Repeat("\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0! ", 400) + "</p>", strings.TrimSpace(strings.Repeat("Привет, мир! ", 400))},
		"lies.html":    {"<html><meta charset=iso-8859-1><p>Die Prüfung.</p>", "Die Prüfung."}, // it is UTF-8
		"stray.txt":    {"Die Prüfung war für\xff André schwer.\n", "Die Prüfung war für André schwer."},
		"stray.html":   {"<html><meta charset=utf-8><p>A\xffn end.</p>", "An end."},
	} {
		docs, _, err := readAll(t, Options{}, writeFile(t, name, []byte(c.content)))
		if err != nil || !reflect.DeepEqual(paragraphs(docs), [][]string{{c.want}}) {
			t.Errorf("%s: %q, %v", name, paragraphs(docs), err)
		}
	}
	noise := make([]byte, 4000)
	for i := range noise {
		noise[i] = byte(0x80 + i*37%0x80)
	}
	if docs, _, err := readAll(t, Options{}, writeFile(t, "noise.txt", noise)); err == nil {
		t.Errorf("noise is %d documents", len(docs))
	}
}

// TestCutShort: the text before the damage is kept, and the place is reported.
func TestCutShort(t *testing.T) {
	var text strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&text, "This is sentence number %d.\n", i*i)
	}
	whole := gzipped(t, text.String())
	path := writeFile(t, "a.txt.gz", whole[:len(whole)/2])
	docs, report, err := readAll(t, Options{}, path)
	if err != nil || len(docs) < 5 {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	want := []Reject{{path, "cut short: unexpected EOF"}}
	if !reflect.DeepEqual(report.Quarantine, want) {
		t.Errorf("quarantine %v, want %v", report.Quarantine, want)
	}
}

func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	good := strings.Repeat("Good text is here. ", 50)
	noise := strings.Repeat("\x01\x02\x03\xff", 8)
	put("a.jsonl", `{"text":"Fine."}`+"\nnonsense\n"+`{"id":3}`+"\n"+`{"text":7}`+"\n[]\n"+`{"text":"`+strings.Repeat(`\u0001`, 20)+`"}`+"\n"+`{"text":"Fine too."}`+"\n")
	put("b.txt", good+"\n"+noise+"\n"+good+"\n")
	put("c.md", good+"\n\n"+noise+"\n\n"+good+"\n")
	put("d.txt", "\x7fELF\x02\x01")
	put("e.txt.gz", "\x1f\x8b broken beyond repair")
	put("f.html", "<p>"+good+"</p><p>"+noise+"</p>")
	put("g.png", "\x89PNG")
	put(".hidden/x.txt", "Not read.")
	put("sub/h.txt", "Read last.")
	docs, report, err := readAll(t, Options{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range report.Quarantine {
		got = append(got, strings.TrimPrefix(r.Place, dir+"/")+" "+r.Reason)
	}
	want := []string{
		"a.jsonl:2 no JSON: invalid character 'o' in literal null (expecting 'u')",
		`a.jsonl:3 no "text" in the record`,
		`a.jsonl:4 "text" is no string but: number`,
		"a.jsonl:5 no JSON object but: array",
		"a.jsonl:6 binary content",
		"b.txt:2 binary content",
		"c.md:3 binary content",
		"d.txt a program",
		"e.txt.gz gzip: invalid header",
		"f.html binary content",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("quarantine:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if report.Quarantined != int64(len(want)) || report.Skipped != 1 || report.Files != 7 {
		t.Errorf("%d quarantined, %d skipped, %d files", report.Quarantined, report.Skipped, report.Files)
	}
	if last := docs[len(docs)-1]; last.Paragraphs[0] != "Read last." || docs[0].Source != filepath.Join(dir, "a.jsonl")+":1" {
		t.Errorf("first %q, last %q", docs[0], last)
	}
}

// TestLongLines: a line of many megabytes comes in pieces, none of it is lost,
// and no word and no rune is torn.
func TestLongLines(t *testing.T) {
	var line strings.Builder
	for i := 0; line.Len() < 5<<20; i++ {
		fmt.Fprintf(&line, "wörd%d ", i)
	}
	text := strings.TrimSpace(line.String())
	docs, _, err := readAll(t, Options{}, writeFile(t, "a.txt", []byte("First line\n\n"+text+"\n\nlast line")))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, d := range docs {
		all = append(all, d.Paragraphs...)
	}
	if got := strings.Join(all, " "); got != "First line "+text+" last line" {
		t.Errorf("%d bytes came of %d", len(got), len(text))
	}

	// Without a space in it, it is torn between runes.
	docs, _, err = readAll(t, Options{}, writeFile(t, "b.txt", []byte(strings.Repeat("語", 1<<20))))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range docs {
		for _, p := range d.Paragraphs {
			n += strings.Count(p, "語")
		}
	}
	if n != 1<<20 {
		t.Errorf("%d runes came of %d", n, 1<<20)
	}

	// A record that is too long is set aside, and the next one is read.
	docs, report, err := readAll(t, Options{}, writeFile(t, "c.jsonl", []byte(`{"text":"`+strings.Repeat("x ", 9<<20)+"\"}\n{\"text\":\"Short.\"}\n")))
	if err != nil || len(docs) != 1 || docs[0].Paragraphs[0] != "Short." {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	if r := report.Quarantine; len(r) != 1 || !strings.HasSuffix(r[0].Place, ":1") || r[0].Reason != "record of more than 16 MB" || !strings.HasSuffix(docs[0].Source, ":2") {
		t.Errorf("quarantine %v, source %s", r, docs[0].Source)
	}
}

func TestStdin(t *testing.T) {
	var last int64
	docs, report, err := readAll(t, Options{Stdin: strings.NewReader("Text of a pipe."), Progress: func(done, total int64) {
		if total != 0 {
			t.Errorf("total %d is not known", total)
		}
		last = done
	}}, "-")
	if err != nil || docs[0].Paragraphs[0] != "Text of a pipe." || docs[0].Source != "-" || last != 15 || report.Sources[0].Name != "-" {
		t.Errorf("%q, %v after %d bytes", docs, err, last)
	}
}

// TestFolder: order, exclusion, links, progress, and a digest of the inputs.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.txt", "a/z.txt", "a.txt", "out/old.txt"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("Text of "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"c.txt": "b.txt", "loop": ".", "dangling.txt": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	var done, total int64
	opts := Options{Exclude: filepath.Join(dir, "out"), Progress: func(d, n int64) { done, total = d, n }}
	docs, report, err := readAll(t, opts, dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range docs {
		names = append(names, strings.TrimPrefix(d.Source, dir+"/"))
	}
	if want := []string{"a/z.txt", "a.txt", "b.txt", "c.txt"}; !reflect.DeepEqual(names, want) {
		t.Errorf("read %v, want %v", names, want)
	}
	if done != total || total != report.InputBytes {
		t.Errorf("progress ended with %d of %d", done, total)
	}
	again, second, err := readAll(t, opts, dir)
	if err != nil || !reflect.DeepEqual(again, docs) || second.InputsSHA256 != report.InputsSHA256 {
		t.Errorf("a second reading differs: %v", err)
	}
	// A link given as the input itself is followed.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if linked, _, err := readAll(t, opts, link); err != nil || len(linked) != len(docs) {
		t.Errorf("through a link: %d documents, %v", len(linked), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.txt"), []byte("Other text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, changed, err := readAll(t, opts, dir); err != nil || changed.InputsSHA256 == report.InputsSHA256 {
		t.Errorf("a changed file does not change the hash of the inputs: %v", err)
	}
	if _, _, err := readAll(t, opts, filepath.Join(dir, "out")); err == nil || !strings.Contains(err.Error(), "is the folder that the result is written to") {
		t.Errorf("the excluded folder itself: %v", err)
	}
}

func TestReadStops(t *testing.T) {
	path := writeFile(t, "a.txt", []byte(strings.Repeat("A sentence.\nAnother.\n\n", 100000)))
	full := errors.New("full")
	n := 0
	if _, err := Read(t.Context(), []string{path}, Options{}, func(Document) error {
		if n++; n == 3 {
			return full
		}
		return nil
	}); !errors.Is(err, full) || n != 3 {
		t.Errorf("emit failed: %v after %d documents", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Read(ctx, []string{path}, Options{}, func(Document) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Read(t.Context(), nil, Options{}, nil); err == nil || !strings.Contains(err.Error(), "name files, folders, or -") {
		t.Errorf("no input: %v", err)
	}
}

func TestQuarantineIsBounded(t *testing.T) {
	path := writeFile(t, "a.jsonl", []byte(strings.Repeat("x\n", 3*MaxQuarantine)+`{"text":"Fine."}`))
	_, report, err := readAll(t, Options{}, path)
	if err != nil || report.Quarantined != 3*MaxQuarantine || len(report.Quarantine) != MaxQuarantine {
		t.Errorf("%d of %d listed, %v", len(report.Quarantine), report.Quarantined, err)
	}
}

// FuzzRead feeds each reader: no input makes it panic or emit what is not clean.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"Plain text.\nMore.\n\nThird.", "---\na: b\n---\n# T\n\n- x\n```\ncode\n", "<html><p>x<pre>y</pre><nav>",
		`{"text":"a\nb"}` + "\n{", "<doc id=\"1\">\nx\n</doc>\n", "\x1f\x8b\x08\x00", "\x28\xb5\x2f\xfd\x00", "BZh9", "\xff\xfea\x00", "a\x00b\xffc",
	} {
		for i := range uint8(5) {
			f.Add(i, []byte(s))
		}
	}
	names := []string{"a.txt", "a.md", "a.html", "a.jsonl", "a"}
	f.Fuzz(func(t *testing.T, kind uint8, content []byte) {
		path := writeFile(t, names[int(kind)%len(names)], content)
		_, report, err := readAll(t, Options{}, path)
		var input *InputError
		if err != nil && !errors.As(err, &input) {
			t.Fatal(err)
		}
		if err == nil && report.InputBytes != int64(len(content)) {
			t.Fatalf("%d bytes of %d were hashed", report.InputBytes, len(content))
		}
	})
}
