package shard

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"

	"github.com/gramme-project/gramme/internal/vfs"
)

// spool holds the documents that were kept, in their order, in a temporary file.
type spool struct {
	path string
	fsys vfs.FS
	file vfs.File
	w    *bufio.Writer
	enc  *gob.Encoder
}

// document is a record of the spool: what is exported is in the file.
type document struct {
	Content    uint64 // hash
	Paragraphs []string
	number     int64
	bytes      int64
}

func createSpool(fsys vfs.FS, path string) (*spool, error) {
	f, err := vfs.Create(fsys, path)
	if err != nil {
		return nil, fmt.Errorf("write spool: %w", vfs.WithoutPath(err))
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return &spool{path: path, fsys: fsys, file: f, w: w, enc: gob.NewEncoder(w)}, nil
}

// contentHash identifies a document by its text.
func contentHash(paragraphs []string) uint64 {
	h := sha256.New()
	for _, p := range paragraphs {
		io.WriteString(h, p)
		h.Write([]byte{'\n'})
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

func (s *spool) add(content uint64, paragraphs []string) error {
	if err := s.enc.Encode(document{Content: content, Paragraphs: paragraphs}); err != nil {
		return fmt.Errorf("write spool: %w", vfs.WithoutPath(err))
	}
	return nil
}

// close ends the writing; after it the spool can be read, as often as needed.
func (s *spool) close() error {
	if err := errors.Join(s.w.Flush(), s.file.Close()); err != nil {
		return fmt.Errorf("write spool: %w", vfs.WithoutPath(err))
	}
	return nil
}

// all reads the documents back.
func (s *spool) all() iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		f, err := vfs.Open(s.fsys, s.path)
		if err != nil {
			yield(document{}, fmt.Errorf("read spool: %w", err))
			return
		}
		defer f.Close()
		dec := gob.NewDecoder(bufio.NewReaderSize(f, 1<<20))
		for n := int64(0); ; n++ {
			d := document{number: n}
			if err := dec.Decode(&d); err == io.EOF {
				return
			} else if err != nil {
				yield(document{}, fmt.Errorf("read spool %s: %w", filepath.Base(s.path), err))
				return
			}
			for _, p := range d.Paragraphs {
				d.bytes += int64(len(p))
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}
