package corpus

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// raw counts and hashes the bytes of a source as they lie on the disk.
type raw struct {
	r     io.Reader
	sum   hash.Hash
	bytes int64
	tell  func(n int64)
}

func newRaw(r io.Reader, tell func(int64)) *raw {
	return &raw{r: r, sum: sha256.New(), tell: tell}
}

func (r *raw) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.sum.Write(p[:n])
	r.bytes += int64(n)
	if n > 0 && r.tell != nil {
		r.tell(int64(n))
	}
	return n, err
}

// finish reads the rest that the format's reader left, so that the hash is of the whole.
func (r *raw) finish() (int64, string, error) {
	_, err := io.Copy(io.Discard, r)
	return r.bytes, hex.EncodeToString(r.sum.Sum(nil)), err
}

// decode undoes compression, told by its first bytes, and decodes text that is not
// UTF-8. It returns a reader whose beginning can be peeked at.
func decode(r io.Reader) (*bufio.Reader, func(), error) {
	b := bufio.NewReaderSize(r, sniffSize)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	var in io.Reader = b
	done := func() {}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if errors.Is(err, gzip.ErrHeader) {
			return nil, nil, err // it says "gzip"
		}
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		in = z
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		in, done = z, z.Close
	case bytes.HasPrefix(head, []byte("BZh")):
		in = bzip2.NewReader(b)
	}
	if in != io.Reader(b) {
		b = bufio.NewReaderSize(in, sniffSize)
	}
	// An error here comes again with the first read.
	head, _ = b.Peek(sniffSize)
	if e := encodingOf(head); e != nil {
		b = bufio.NewReaderSize(transform.NewReader(b, unicode.BOMOverride(e.NewDecoder())), sniffSize)
	}
	return b, done, nil
}

// encodingOf tells the encoding of a text by its beginning; nil is UTF-8. A byte order
// mark decides, which is not part of the text. Where more characters are no UTF-8 than
// are, it is what an HTML page declares, else Windows-1252, of which ISO-8859-1 is a part.
func encodingOf(head []byte) encoding.Encoding {
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) || bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return encoding.Nop
	}
	valid, invalid := 0, 0
	for rest := head; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case n > 1:
			valid++
		case r == utf8.RuneError && utf8.FullRune(rest):
			invalid++
		}
		rest = rest[n:]
	}
	if invalid <= valid {
		return nil // stray bytes are dropped
	}
	e, name, _ := charset.DetermineEncoding(head, "")
	if name == "windows-1252" && binaryReason(head) != "" { // nothing was declared
		return nil
	}
	return e
}

// maxLine bounds a line in memory; a longer one comes in pieces.
const maxLine = 1 << 20

// lines reads lines of bounded length.
type lines struct {
	r     *bufio.Reader
	max   int
	buf   []byte
	carry []byte
	// number is that of the line last returned, from 1.
	number int
	// open is true inside a line of which a piece has been returned.
	open bool
}

// next returns a line without its end; whole is false for a piece of a line
// that is longer than max. The bytes are valid until the next call.
func (l *lines) next() (line []byte, whole bool, err error) {
	l.buf = append(l.buf[:0], l.carry...)
	l.carry = l.carry[:0]
	if !l.open {
		l.number++
	}
	for {
		part, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(l.buf) < l.max:
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			l.open = true
			n := pieceEnd(l.buf)
			l.carry = append(l.carry, l.buf[n:]...)
			return l.buf[:n], false, nil
		case err == nil || err == io.EOF && len(l.buf) > 0:
			whole = !l.open
			l.open = false
			return bytes.TrimRight(l.buf, "\r\n"), whole, nil
		default:
			return nil, false, err
		}
	}
}

// pieceEnd is where a piece of a long line ends: at a space if there is one in
// its second half, in any case where no rune is torn.
func pieceEnd(b []byte) int {
	if i := bytes.LastIndexByte(b, ' '); i > len(b)/2 {
		return i
	}
	for n := len(b) - 1; n > len(b)-4 && n > 0; n-- {
		if b[n]&0xc0 != 0x80 {
			return n
		}
	}
	return len(b)
}
