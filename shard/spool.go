package shard

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"

	"github.com/gramme-project/gramme/internal/vfs"
)

// spool holds the documents that were kept, in their order, in a temporary file.
// A record is the content's hash, the number of paragraphs and the paragraphs,
// each with its length.
type spool struct {
	path string
	fsys vfs.FS
	file vfs.File
	w    *bufio.Writer
	buf  []byte
}

// document is a record of the spool.
type document struct {
	number     int64
	content    uint64
	paragraphs []string
	bytes      int64
}

func createSpool(fsys vfs.FS, path string) (*spool, error) {
	f, err := vfs.Create(fsys, path)
	if err != nil {
		return nil, err
	}
	return &spool{path: path, fsys: fsys, file: f, w: bufio.NewWriterSize(f, 1<<20)}, nil
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
	s.buf = binary.LittleEndian.AppendUint64(s.buf[:0], content)
	s.buf = binary.AppendUvarint(s.buf, uint64(len(paragraphs)))
	for _, p := range paragraphs {
		s.buf = binary.AppendUvarint(s.buf, uint64(len(p)))
		s.buf = append(s.buf, p...)
	}
	if _, err := s.w.Write(s.buf); err != nil {
		return fmt.Errorf("write spool: %w", vfs.WithoutPath(err))
	}
	return nil
}

// close ends the writing; after it the spool can be read, as often as needed.
func (s *spool) close() error {
	err := s.w.Flush()
	if e := s.file.Close(); err == nil {
		err = e
	}
	if err != nil {
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
		r := bufio.NewReaderSize(f, 1<<20)
		for n := int64(0); ; n++ {
			d, err := readDocument(r)
			if err == io.EOF {
				return
			}
			d.number = n
			if err != nil {
				yield(document{}, fmt.Errorf("read spool %s: %w", filepath.Base(s.path), err))
				return
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

func readDocument(r *bufio.Reader) (document, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return document{}, err
	}
	d := document{content: binary.LittleEndian.Uint64(head[:])}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return document{}, inside(err)
	}
	for range n {
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return document{}, inside(err)
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return document{}, inside(err)
		}
		d.paragraphs = append(d.paragraphs, string(b))
		d.bytes += int64(size)
	}
	return d, nil
}

// inside turns the end of a file within a record into an error.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
