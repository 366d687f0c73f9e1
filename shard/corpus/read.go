package corpus

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/gramme-project/gramme/internal/vfs"
)

// maxSources bounds the list of sources in a report.
const maxSources = 10000

// Options of Read.
type Options struct {
	// Exclude is a folder that is not read although it lies within an input: the
	// one that the result is written to.
	Exclude string
	// Stdin is the reader for the input "-"; nil means the process's own.
	Stdin io.Reader
	// Progress is called with the bytes read so far, as they lie on the disk, and
	// the bytes of all inputs, 0 when they are not known.
	Progress func(done, total int64)
}

// reader is one call of Read.
type reader struct {
	opts    Options
	emit    func(Document) error
	report  Report
	digest  hash.Hash
	done    int64
	total   int64
	exclude fs.FileInfo
	stopped error // by the receiver of documents
}

// Read reads files, folders (recursively, in the order of names, leaving out
// hidden ones) and "-", the standard input, and calls emit with each document in
// turn. An error of emit or of ctx ends it; an *InputError says that an input is
// missing, is not text, or that all of them together hold no text.
func Read(ctx context.Context, inputs []string, opts Options, emit func(Document) error) (Report, error) {
	r := &reader{opts: opts, digest: sha256.New()}
	r.emit = func(d Document) error {
		if r.stopped = emit(d); r.stopped != nil {
			return r.stopped
		}
		r.report.Documents++
		for _, p := range d.Paragraphs {
			r.report.Bytes += int64(len(p))
		}
		return nil
	}
	if len(inputs) == 0 {
		return r.report, &InputError{Input: "(none)", Reason: "is not given: name files, folders, or - for the standard input"}
	}
	if opts.Exclude != "" {
		r.exclude, _ = os.Stat(opts.Exclude)
	}
	if err := r.measure(ctx, inputs); err != nil {
		return r.report, err
	}
	for _, input := range inputs {
		if err := r.input(ctx, input); err != nil {
			return r.report, err
		}
	}
	r.report.InputsSHA256 = hex.EncodeToString(r.digest.Sum(nil))
	if r.report.Documents == 0 {
		return r.report, r.report.empty(inputs)
	}
	return r.report, nil
}

// source is one file while it is read.
type source struct {
	name   string
	r      *bufio.Reader
	reader *reader
	count  int64
}

func (s *source) assembler() *assembler {
	return &assembler{source: s.name, limit: MaxDocument, emit: func(d Document) error {
		if err := s.reader.emit(d); err != nil {
			return err
		}
		s.count++
		return nil
	}}
}

// reject sets a record aside; line 0 means that the place is the file.
func (s *source) reject(line int, reason string) {
	place := s.name
	if line > 0 {
		place = fmt.Sprintf("%s:%d", s.name, line)
	}
	s.reader.report.reject(place, "%s", reason)
}

// source reads one stream. alone says that the user named it, so that content
// which is no text is an error rather than a record to set aside.
func (r *reader) source(ctx context.Context, name, format string, in io.Reader, alone bool) error {
	raw := newRaw(in, func(n int64) {
		r.done += n
		if r.opts.Progress != nil {
			r.opts.Progress(r.done, r.total)
		}
	})
	format, documents, err := r.decoded(ctx, name, format, raw, alone)
	if err != nil {
		return err
	}
	bytes, sum, err := raw.finish()
	if err != nil {
		r.report.reject(name, "%v", vfs.WithoutPath(err))
	}
	fmt.Fprintf(r.digest, "%d %s %s\n", len(name), name, sum)
	r.report.Files++
	r.report.InputBytes += bytes
	if len(r.report.Sources) < maxSources {
		r.report.Sources = append(r.report.Sources, Source{Name: name, Format: format, Bytes: bytes, SHA256: sum, Documents: documents})
	}
	return nil
}

// decoded reads the text of a stream. Only errors that end the run are returned.
func (r *reader) decoded(ctx context.Context, name, format string, raw *raw, alone bool) (string, int64, error) {
	b, done, err := decode(raw)
	if err != nil {
		return "unreadable", 0, r.unreadable(name, alone, err)
	}
	defer done()
	head, _ := b.Peek(sniffSize)
	if reason := binaryReason(head); reason != "" {
		if alone {
			return "", 0, &InputError{Input: name, Reason: "is not text: it is " + reason}
		}
		r.report.reject(name, "%s", reason)
		return "binary", 0, nil
	}
	if format == "" {
		format = guess(head)
	} else if format == formatText && guess(head) == formatWiki {
		format = formatWiki
	}
	s := &source{name: name, r: b, reader: r}
	switch format {
	case formatMarkdown:
		err = s.readMarkdown(ctx)
	case formatHTML:
		err = s.readHTML(ctx)
	case formatJSONL:
		err = s.readJSONL(ctx)
	default:
		err = s.readText(ctx, format == formatWiki)
	}
	if r.stopped != nil {
		return format, s.count, r.stopped
	}
	if ctx.Err() != nil {
		return format, s.count, err
	}
	if err != nil {
		r.report.reject(name, "cut short: %v", vfs.WithoutPath(err))
	}
	return format, s.count, nil
}
