package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// lineReader reads a log line by line in bounded memory.
type lineReader struct {
	r    *bufio.Reader
	long []byte // a line that does not fit into the buffer of r
}

func newLineReader(r io.ReaderAt, from, to int64) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(io.NewSectionReader(r, from, to-from), 16<<10)}
}

var (
	errCutShort = errors.New("it is cut short")
	errTooLong  = fmt.Errorf("it is longer than %d bytes", maxLine)
)

// next returns the next line without its newline, valid until the next call; io.EOF at
// the end, errCutShort if the newline is missing.
func (l *lineReader) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		switch {
		case err == nil && len(l.long) == 0:
			return part[:len(part)-1], nil
		case len(l.long)+len(part) > maxLine:
			return nil, errTooLong
		}
		l.long = append(l.long, part...)
		switch {
		case err == nil:
			return l.long[:len(l.long)-1], nil
		case errors.Is(err, io.EOF) && len(l.long) > 0:
			return nil, errCutShort
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
