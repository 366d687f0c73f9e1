package corpus

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// sniffSize is the number of bytes at the beginning of a file that decide its format.
const sniffSize = 64 << 10

// containers are formats that begin with printable bytes or that deserve their
// name in the error.
var containers = []struct{ magic, name string }{
	{"%PDF-", "a PDF document"}, {"PK\x03\x04", "a zip archive or office document"}, {"\x7fELF", "a program"},
	{"\x89PNG", "a PNG image"}, {"\xff\xd8\xff", "a JPEG image"}, {"GIF8", "a GIF image"}, {"PAR1", "a Parquet file"},
	{"7z\xbc\xaf", "a 7z archive"}, {"\xfd7zXZ", "an xz file"}, {"SQLite format 3", "a database"}, {"\x80\x02", "a pickle"},
	{"!<arch>", "an archive"}, {"{\\rtf", "an RTF document"},
}

// binaryReason says why the beginning of a file is no text, or "".
func binaryReason(head []byte) string {
	for _, c := range containers {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return c.name
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return "a tar archive"
	}
	// A stray NUL in a text is dropped by Clean; binary files are full of them.
	if bytes.Count(head, []byte{0})*100 > len(head) {
		return "binary content (NUL bytes)"
	}
	bad := 0
	for i := 0; i < len(head); {
		r, n := utf8.DecodeRune(head[i:])
		if r == utf8.RuneError && n == 1 && utf8.FullRune(head[i:]) || r < ' ' && !strings.ContainsRune("\t\n\r\f\v\b\x1b", r) {
			bad++
		}
		i += n
	}
	if bad*10 > len(head)*3 || bad > 16 && bad*20 > len(head)*3 {
		return "binary content (not UTF-8)"
	}
	return ""
}

// Formats that a source can have.
const (
	formatText     = "text"
	formatMarkdown = "markdown"
	formatHTML     = "html"
	formatJSONL    = "jsonl"
	formatWiki     = "wikiextractor"
)

// formatOf derives the format from a name without its compression suffix; known
// is false when the name says nothing.
func formatOf(name string) (format string, known bool) {
	switch strings.ToLower(extension(name)) {
	case "":
		return "", true // by content
	case ".txt", ".text", ".rst", ".adoc", ".org":
		return formatText, true
	case ".md", ".markdown", ".mdown", ".mkd":
		return formatMarkdown, true
	case ".html", ".htm", ".xhtml":
		return formatHTML, true
	case ".jsonl", ".ndjson", ".jsonlines":
		return formatJSONL, true
	}
	return "", false
}

// extension is the last suffix of a name after .gz, .zst and .bz2 were taken off.
func extension(name string) string {
	name = name[strings.LastIndexByte(name, '/')+1:]
	for {
		i := strings.LastIndexByte(name, '.')
		if i <= 0 {
			return ""
		}
		switch strings.ToLower(name[i:]) {
		case ".gz", ".zst", ".zstd", ".bz2":
			name = name[:i]
			continue
		}
		return name[i:]
	}
}

// guess derives the format from the beginning of the text.
func guess(head []byte) string {
	s := strings.TrimSpace(string(head[:min(len(head), 512)]))
	low := strings.ToLower(s)
	switch {
	case strings.HasPrefix(low, "<!doctype html"), strings.HasPrefix(low, "<html"):
		return formatHTML
	case strings.HasPrefix(s, "<doc id="):
		return formatWiki
	case strings.HasPrefix(s, "{\""):
		return formatJSONL
	}
	return formatText
}
