package corpus

import (
	"context"
	"crypto/sha256"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/shard/internal/pipeline"
)

// smallDocument is the size under which the text of a file is joined with the
// next one of its folder.
const smallDocument = 600

// GoDocs reads the documentation of the Go toolchain at goroot, that is the
// comments of the Go files under its src, and calls emit with a document for
// each file (small ones of a folder are joined). Directives, licences, build
// constraints, generated files, code and whatever does not read as prose are left
// out, and so is a paragraph that came before. The order is that of the paths.
// progress is called with the files done and all files.
func GoDocs(ctx context.Context, goroot string, progress func(done, total int64), emit func(Document) error) error {
	root := filepath.Join(goroot, "src")
	files, err := goFiles(ctx, root)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return &InputError{Input: root, Reason: "holds no Go files"}
	}
	g := &goDocs{emit: emit, seen: map[[16]byte]struct{}{}}
	paths := func(yield func(string, error) bool) {
		for _, f := range files {
			if !yield(f, nil) {
				return
			}
		}
	}
	done := int64(0)
	err = pipeline.Ordered(ctx, paths, parseGoFile, func(f goFile) error {
		name, err := filepath.Rel(root, f.path)
		if err == nil {
			err = g.add(filepath.ToSlash(name), f.paragraphs)
		}
		done++
		progress(done, int64(len(files)))
		return err
	})
	if err == nil {
		err = g.flush()
	}
	if err == nil && !g.emitted {
		err = &InputError{Input: root, Reason: "holds no comments"}
	}
	return err
}

// goFiles lists the Go files under a folder, but for test data and for what the
// go command ignores.
func goFiles(ctx context.Context, root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return &InputError{Input: root, Reason: "cannot be read", Err: vfs.WithoutPath(err)}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		name := d.Name()
		hidden := strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
		if d.IsDir() {
			if filepath.Clean(path) != filepath.Clean(root) && (hidden || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !hidden && d.Type().IsRegular() && strings.HasSuffix(name, ".go") {
			files = append(files, filepath.Clean(path))
		}
		return nil
	})
	return files, err
}

// goFile is the prose of one file.
type goFile struct {
	path       string
	paragraphs []string
}

// parseGoFile never fails: a file that cannot be read as Go has no prose.
func parseGoFile(path string) (goFile, error) {
	out := goFile{path: path}
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(f) {
		return out, nil
	}
	preambles := preamblesOf(f)
	for _, group := range f.Comments {
		if !preambles[group] {
			out.paragraphs = appendComment(out.paragraphs, group, group.End() < f.Package)
		}
	}
	return out, nil
}

// preamblesOf are the comments that cgo takes for C.
func preamblesOf(f *ast.File) map[*ast.CommentGroup]bool {
	out := map[*ast.CommentGroup]bool{}
	for _, d := range f.Decls {
		imports, ok := d.(*ast.GenDecl)
		if !ok || imports.Tok != token.IMPORT {
			continue
		}
		for _, s := range imports.Specs {
			if s := s.(*ast.ImportSpec); s.Path.Value == `"C"` {
				out[imports.Doc], out[s.Doc] = true, true
			}
		}
	}
	return out
}

var (
	licence  = regexp.MustCompile(`(?i)copyright|licen[sc]e|all rights reserved|warranty|redistribution`)
	expected = regexp.MustCompile(`(?i)^\s*(unordered )?output:`)
	notice   = regexp.MustCompile(`^(?:TODO|BUG|NOTE|XXX|FIXME|HACK)(?:\([^)]*\))?:?\s*`)
)

// appendComment adds the prose of a comment, a paragraph for each of its
// paragraphs, headings and list items.
func appendComment(dst []string, group *ast.CommentGroup, header bool) []string {
	text := group.Text() // without marks and directives
	if expected.MatchString(text) || header && licence.MatchString(text[:min(len(text), 400)]) {
		return dst
	}
	// Whatever looks like a link to a symbol is one: only its text counts.
	p := comment.Parser{LookupSym: func(_, _ string) bool { return true }}
	var blocks func([]comment.Block)
	blocks = func(list []comment.Block) {
		for _, b := range list {
			switch b := b.(type) {
			case *comment.Paragraph:
				dst = appendProse(dst, inlineText(b.Text))
			case *comment.Heading:
				dst = appendProse(dst, inlineText(b.Text))
			case *comment.List:
				for _, item := range b.Items {
					blocks(item.Content)
				}
			}
		}
	}
	blocks(p.Parse(text).Content)
	return dst
}

func inlineText(list []comment.Text) string {
	var b strings.Builder
	for _, t := range list {
		switch t := t.(type) {
		case comment.Plain:
			b.WriteString(string(t))
		case comment.Italic:
			b.WriteString(string(t))
		case *comment.Link:
			if !t.Auto {
				b.WriteString(inlineText(t.Text))
			}
		case *comment.DocLink:
			b.WriteString(inlineText(t.Text))
		}
	}
	return b.String()
}

// appendProse keeps a paragraph if it reads as English: a few words, and letters
// for most of it.
func appendProse(dst []string, s string) []string {
	s, _ = Clean(s)
	s = notice.ReplaceAllString(s, "")
	s = strings.TrimRight(s, " :;,-")
	if len(s) > 200 && licence.MatchString(s) && strings.Contains(s, "Copyright") {
		return dst
	}
	words, letters := 0, 0
	for w := range strings.FieldsSeq(s) {
		plain := true
		for _, r := range strings.Trim(w, ".,:;!?\"'()[]`") {
			if unicode.IsLetter(r) {
				letters++
			} else if r != '-' && r != '\'' && r != '’' {
				plain = false
			}
		}
		if plain && len(w) > 1 {
			words++
		}
	}
	if words < 4 || letters*10 < len(s)*7 {
		return dst
	}
	return append(dst, s)
}

// goDocs gathers files to documents.
type goDocs struct {
	emit    func(Document) error
	emitted bool
	seen    map[[16]byte]struct{} // of a toolchain: some hundred thousand paragraphs
	doc     Document
	size    int
}

func (g *goDocs) add(name string, paragraphs []string) error {
	if g.size > 0 && filepath.Dir(g.doc.Source) != filepath.Dir(name) {
		if err := g.flush(); err != nil {
			return err
		}
	}
	for _, p := range paragraphs {
		sum := sha256.Sum256([]byte(p))
		key := [16]byte(sum[:16])
		if _, ok := g.seen[key]; ok {
			continue
		}
		g.seen[key] = struct{}{}
		if g.size == 0 {
			g.doc.Source = name
		}
		g.doc.Paragraphs = append(g.doc.Paragraphs, p)
		g.size += len(p)
	}
	if g.size < smallDocument {
		return nil
	}
	return g.flush()
}

func (g *goDocs) flush() error {
	if g.size == 0 {
		return nil
	}
	d := g.doc
	g.doc, g.size, g.emitted = Document{}, 0, true
	return g.emit(d)
}
