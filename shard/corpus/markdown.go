package corpus

import (
	"context"
	"html"
	"regexp"
	"strings"
)

// readMarkdown reads a Markdown file as one document: headings, paragraphs and
// list items become paragraphs; code, tables, images, front matter and HTML tags
// are left out.
func (s *source) readMarkdown(ctx context.Context) error {
	p := newProse(layout{}, s.assembler())
	p.out.limit = MaxDocument
	m := markdown{}
	return s.eachLine(ctx, p, func(in *lines, line, _ string) error {
		text, starts, keep := m.line(line, in.number)
		if starts || !keep {
			if err := p.flush(); err != nil {
				return err
			}
		}
		clean, _ := Clean(markdownInline(text))
		if !keep || clean == "" {
			return nil
		}
		if err := p.add(clean, true); err != nil || !m.heading {
			return err
		}
		return p.flush()
	})
}

// markdown knows which block the reader is in.
type markdown struct {
	fence   string // the fence that ends the code block, or ""
	front   bool   // inside front matter
	comment bool   // inside an HTML comment
	blank   bool   // the line before was blank
	list    bool   // inside a list, where indented lines are no code
	heading bool   // the line just read is a heading
}

var (
	listItem  = regexp.MustCompile(`^\s*(?:[-*+]|\d{1,9}[.)])\s+(?:\[[ xX]\]\s+)?`)
	rule      = regexp.MustCompile(`^\s*(?:[-*_=]\s*){3,}$`)
	reference = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s*\S+`)
	image     = regexp.MustCompile(`!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])`)
	link      = regexp.MustCompile(`\[([^\]\[]+)\](?:\([^)]*\)|\[[^\]]*\])`)
	autolink  = regexp.MustCompile(`<(?:https?|mailto):[^>]*>`)
	tag       = regexp.MustCompile(`</?[A-Za-z][^<>]*>|<!--.*?-->`)
	strong    = regexp.MustCompile(`(\*\*|__|~~)(\S(?:.*?\S)?)(\*\*|__|~~)`)
	emphasis  = regexp.MustCompile(`(^|[\s(])[*_](\S(?:[^*_]*\S)?)[*_]`)
)

// line classifies a line: its text without block marks, whether a paragraph
// starts with it, and whether it holds prose at all.
func (m *markdown) line(s string, number int) (text string, starts, keep bool) {
	trim := strings.TrimSpace(s)
	wasBlank := m.blank || number == 1
	m.blank = trim == ""
	m.heading = false
	switch {
	case m.fence != "":
		if strings.HasPrefix(trim, m.fence) {
			m.fence = ""
		}
		return "", false, false
	case m.front:
		m.front = trim != "---" && trim != "..."
		return "", false, false
	case m.comment:
		m.comment = !strings.Contains(trim, "-->")
		return "", false, false
	case number == 1 && trim == "---":
		m.front = true
		return "", false, false
	case trim == "":
		return "", false, false
	case strings.HasPrefix(trim, "```"), strings.HasPrefix(trim, "~~~"):
		m.fence = trim[:3]
		return "", false, false
	case strings.HasPrefix(trim, "<!--") && !strings.Contains(trim, "-->"):
		m.comment = true
		return "", false, false
	case strings.HasPrefix(trim, "|"), rule.MatchString(s), reference.MatchString(s):
		return "", false, false
	}
	indented := strings.HasPrefix(s, "    ") || strings.HasPrefix(s, "\t")
	if indented && wasBlank && !m.list {
		m.blank = true // the block goes on until a line that is not indented
		return "", false, false
	}
	for strings.HasPrefix(trim, ">") {
		trim = strings.TrimSpace(trim[1:])
	}
	if marks := listItem.FindString(trim); marks != "" {
		m.list = true
		return trim[len(marks):], true, true
	}
	if !indented && wasBlank {
		m.list = false
	}
	if h := strings.TrimLeft(trim, "#"); h != trim && len(trim)-len(h) <= 6 && (h == "" || h[0] == ' ') {
		m.heading = true
		return strings.TrimRight(h, "# "), true, true
	}
	return trim, false, true
}

// markdownInline strips the marks inside a line.
func markdownInline(s string) string {
	s = image.ReplaceAllString(s, "")
	s = link.ReplaceAllString(s, "$1")
	s = autolink.ReplaceAllString(s, "")
	s = tag.ReplaceAllString(s, "")
	s = strong.ReplaceAllString(s, "$2")
	s = emphasis.ReplaceAllString(s, "$1$2")
	s = strings.ReplaceAll(s, "`", "")
	return html.UnescapeString(s)
}
