package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// lines reads a log line by line in bounded memory.
type lines struct {
	r    *bufio.Reader
	long []byte // a line that does not fit into the buffer of r
}

func newLines(r io.ReaderAt, from, to int64) *lines {
	return &lines{r: bufio.NewReaderSize(io.NewSectionReader(r, from, to-from), 16<<10)}
}

var (
	errTorn    = errors.New("it is cut short")
	errTooLong = fmt.Errorf("it is longer than %d bytes", maxLine)
)

// next returns the next line without its newline, valid until the next call;
// io.EOF at the end, errTorn where the newline is missing.
func (l *lines) next() ([]byte, error) {
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
			return nil, errTorn
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
