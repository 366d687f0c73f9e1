package corpus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

// layout is the meaning of line ends and blank lines in a plain text.
type layout struct {
	hardLines  bool // a line end ends a paragraph: sentences or paragraphs line by line
	blankSplit bool // a blank line ends a document
}

// layoutOf reads it off the beginning of a text. Where nearly every line ends as
// sentences do, lines are units; if such lines stand in groups, the groups are
// documents (BERT's own format). Otherwise lines are wrapped prose and blank
// lines part paragraphs.
func layoutOf(head []byte) layout {
	filled, ended, groups := 0, 0, 0
	blank := true
	for line := range bytes.Lines(head) {
		s := string(bytes.TrimSpace(line))
		if s == "" {
			blank = true
			continue
		}
		if blank {
			groups++
			blank = false
		}
		filled++
		if endsSentence(s) {
			ended++
		}
	}
	hard := filled >= 2 && ended*5 >= filled*4
	return layout{hardLines: hard, blankSplit: hard && groups >= 2 && filled >= 2*groups}
}

// prose gathers lines to paragraphs and paragraphs to documents.
type prose struct {
	layout layout
	out    *assembler
	line   strings.Builder
}

func newProse(l layout, out *assembler) *prose {
	out.limit = JoinedDocument
	if l.blankSplit {
		out.limit = MaxDocument
	}
	return &prose{layout: l, out: out}
}

// add takes a clean line; an empty one is a blank line. ends is false for a
// piece of a line that goes on.
func (p *prose) add(s string, ends bool) error {
	if s == "" {
		if !ends {
			return nil
		}
		if err := p.flush(); err != nil {
			return err
		}
		if p.layout.blankSplit {
			return p.out.end()
		}
		return nil
	}
	if p.line.Len() > 0 {
		p.line.WriteByte(' ')
	}
	p.line.WriteString(s)
	if p.layout.hardLines && ends || p.line.Len() > MaxParagraph/2 && endsSentence(s) || p.line.Len() > MaxParagraph {
		return p.flush()
	}
	return nil
}

func (p *prose) flush() error {
	s := p.line.String()
	p.line.Reset()
	return p.out.paragraph(s)
}

func (p *prose) end() error {
	if err := p.flush(); err != nil {
		return err
	}
	return p.out.end()
}

// readText reads plain text; with wiki, WikiExtractor's <doc …> lines part the
// documents.
func (s *source) readText(ctx context.Context, wiki bool) error {
	head, err := s.r.Peek(sniffSize)
	if err != nil && len(head) == 0 {
		return ignoreEOF(err)
	}
	if i := bytes.LastIndexByte(head, '\n'); i > 0 && len(head) == sniffSize {
		head = head[:i]
	}
	p := newProse(layoutOf(head), s.assembler())
	if wiki {
		p.layout = layout{hardLines: true}
		p.out.limit = MaxDocument
	}
	return s.eachLine(ctx, p, func(in *lines, _, clean string) error {
		if wiki && (strings.HasPrefix(clean, "<doc id=") || clean == "</doc>") {
			return p.end()
		}
		return p.add(clean, !in.open)
	})
}

// eachLine hands each line of a text to use, as it is and cleaned, but for binary
// content, and ends p. Text before an error is kept.
func (s *source) eachLine(ctx context.Context, p *prose, use func(in *lines, line, clean string) error) error {
	in := &lines{r: s.r, max: maxLine}
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		b, _, err := in.next()
		if err != nil {
			return errors.Join(p.end(), ignoreEOF(err))
		}
		line := string(b)
		clean, bad := Clean(line)
		if garbage(bad, len(line)) {
			s.reject(in.number, "binary content")
			continue
		}
		if err := use(in, line, clean); err != nil {
			return err
		}
	}
}

// paragraphsOf cuts a text in memory, such as a record, to paragraphs.
func paragraphsOf(text string, out *assembler) error {
	head := []byte(text[:min(len(text), sniffSize)])
	p := newProse(layout{hardLines: layoutOf(head).hardLines}, out)
	out.limit = MaxDocument
	for line := range strings.Lines(text) {
		clean, _ := Clean(line)
		if err := p.add(clean, true); err != nil {
			return err
		}
	}
	return p.end()
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
