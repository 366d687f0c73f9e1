package corpus

import "strings"

// Bounds of documents, in bytes of clean text.
const (
	// JoinedDocument is the size up to which paragraphs are joined where nothing
	// says which belong together.
	JoinedDocument = 16 << 10
	// MaxDocument is the size at which a document is cut in any case.
	MaxDocument = 64 << 10
	// MaxParagraph is the size at which a paragraph is cut.
	MaxParagraph = 16 << 10
)

// assembler gathers paragraphs to documents of bounded size.
type assembler struct {
	source     string
	emit       func(Document) error
	limit      int
	paragraphs []string
	size       int
}

// paragraph adds clean text.
func (a *assembler) paragraph(s string) error {
	for len(s) > MaxParagraph {
		head := cutText(s, MaxParagraph)
		if err := a.add(strings.TrimSpace(s[:head])); err != nil {
			return err
		}
		s = strings.TrimSpace(s[head:])
	}
	return a.add(s)
}

func (a *assembler) add(s string) error {
	if s == "" {
		return nil
	}
	if a.size > 0 && a.size+len(s) > a.limit {
		if err := a.end(); err != nil {
			return err
		}
	}
	a.paragraphs = append(a.paragraphs, s)
	a.size += len(s)
	return nil
}

// end emits the document gathered so far, if there is one.
func (a *assembler) end() error {
	if a.size == 0 {
		return nil
	}
	d := Document{Source: a.source, Paragraphs: a.paragraphs}
	a.paragraphs, a.size = nil, 0
	return a.emit(d)
}

// cutText finds where to cut a text of more than limit bytes: after the last
// sentence in the second half, else at the last space, else before a rune.
func cutText(s string, limit int) int {
	for i := limit - 1; i > limit/2; i-- {
		if s[i] == ' ' && endsSentence(s[max(0, i-8):i]) {
			return i
		}
	}
	if i := strings.LastIndexByte(s[:limit], ' '); i > 0 {
		return i
	}
	for limit > 1 && s[limit]&0xc0 == 0x80 {
		limit--
	}
	return limit
}
