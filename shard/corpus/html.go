package corpus

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// silent elements hold no prose.
var silent = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Noscript: true, atom.Template: true, atom.Svg: true, atom.Math: true,
	atom.Pre: true, atom.Nav: true, atom.Select: true, atom.Textarea: true, atom.Iframe: true, atom.Button: true,
}

// inline elements do not end a paragraph; all others do.
var inline = map[atom.Atom]bool{
	atom.A: true, atom.Abbr: true, atom.B: true, atom.Bdi: true, atom.Bdo: true, atom.Cite: true, atom.Code: true,
	atom.Data: true, atom.Del: true, atom.Dfn: true, atom.Em: true, atom.Font: true, atom.I: true, atom.Img: true,
	atom.Ins: true, atom.Kbd: true, atom.Label: true, atom.Mark: true, atom.Q: true, atom.S: true, atom.Samp: true,
	atom.Small: true, atom.Span: true, atom.Strong: true, atom.Sub: true, atom.Sup: true, atom.Time: true,
	atom.Tt: true, atom.U: true, atom.Var: true, atom.Wbr: true,
}

// readHTML reads the text of a page as one document.
func (s *source) readHTML(ctx context.Context) error {
	z := html.NewTokenizer(s.r)
	z.SetMaxBuf(4 << 20)
	out := s.assembler()
	var text strings.Builder
	var mute atom.Atom // the silent element that we are in, and how deep
	depth := 0
	flush := func() error {
		clean, bad := Clean(text.String())
		size := text.Len()
		text.Reset()
		if garbage(bad, size) {
			s.reject(0, "binary content")
			return nil
		}
		return out.paragraph(clean)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			return errors.Join(flush(), out.end(), ignoreEOF(z.Err()))
		case html.TextToken:
			if mute == 0 {
				text.Write(z.Text())
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			switch {
			case mute != 0:
				if a == mute && kind == html.StartTagToken {
					depth++
				} else if a == mute && kind == html.EndTagToken {
					if depth--; depth == 0 {
						mute = 0
					}
				}
				continue
			case silent[a] && kind == html.StartTagToken:
				mute, depth = a, 1
			}
			if !inline[a] {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if text.Len() > 2*MaxParagraph {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}
