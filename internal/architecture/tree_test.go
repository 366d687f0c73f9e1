package architecture

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tree is the source of a module, apart from the tests of its packages.
type tree struct {
	module string
	set    *token.FileSet
	files  []file
}

func newTree(module string) tree { return tree{module: module, set: token.NewFileSet()} }

// file is one parsed file of a package.
type file struct {
	name    string // from the module's root, with slashes
	pkg     string // its folder; "." is the root
	support bool   // imports testing: it is there for tests of other packages
	syntax  *ast.File
}

// readTree parses every package below a folder.
func readTree(t *testing.T, root string) tree {
	t.Helper()
	tr := newTree(moduleOf(t, root))
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name == root {
				return nil
			}
			// What the go command leaves out as well.
			if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") {
			return nil
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return tr.add(filepath.ToSlash(relative), source)
	})
	if err != nil {
		t.Fatal("read the source: ", err)
	}
	return tr
}

func (tr *tree) add(name string, source []byte) error {
	syntax, err := parser.ParseFile(tr.set, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := file{name: name, pkg: path.Dir(name), syntax: syntax}
	f.support = slices.ContainsFunc(f.imports(), func(i imported) bool { return i.path == "testing" })
	tr.files = append(tr.files, f)
	return nil
}

func moduleOf(t *testing.T, root string) string {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(name)
		}
	}
	t.Fatalf("%s names no module", f.Name())
	return ""
}

type imported struct {
	path string
	at   token.Pos
}

func (f file) imports() []imported {
	list := make([]imported, 0, len(f.syntax.Imports))
	for _, i := range f.syntax.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			name = i.Path.Value // the parser has refused it before
		}
		list = append(list, imported{name, i.Pos()})
	}
	return list
}

// nameOf returns the name by which a file knows an imported package; "" where
// it does not import it.
func (f file) nameOf(importPath string) string {
	for _, i := range f.syntax.Imports {
		if i.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// own returns the folder of a package of this module.
func (tr tree) own(importPath string) (pkg string, ok bool) {
	if importPath == tr.module {
		return ".", true
	}
	return strings.CutPrefix(importPath, tr.module+"/")
}

// violation is one breach of a rule.
type violation struct {
	rule string
	file string
	line int
	what string // the import or name, as exceptions give it
	says string
}

func (v violation) String() string {
	return fmt.Sprintf("%s:%d: %s\n\trule: %s", v.file, v.line, v.says, v.rule)
}

func (tr tree) violation(rule string, f file, at token.Pos, what, format string, args ...any) violation {
	return violation{rule, f.name, tr.set.Position(at).Line, what, fmt.Sprintf(format, args...)}
}

// matches reports whether a package is what a pattern names.
func matches(pattern, pkg string) bool {
	if folder, all := strings.CutSuffix(pattern, "/..."); all {
		return pkg == folder || strings.HasPrefix(pkg, folder+"/")
	}
	return pkg == pattern
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// below reports whether an import path is another or lies below it.
func below(folder, importPath string) bool {
	return importPath == folder || strings.HasPrefix(importPath, folder+"/")
}

// layerOf returns the index of a package's layer, or -1. A name in full counts
// more than a pattern, and a longer pattern more than a shorter one.
func layerOf(pkg string) int {
	found, longest := -1, -1
	for i, l := range layers {
		for _, p := range l.packages {
			weight := len(p)
			if p == pkg {
				weight = len(p) + len("/...")
			}
			if matches(p, pkg) && weight > longest {
				found, longest = i, weight
			}
		}
	}
	return found
}

func isCore(pkg string) bool { i := layerOf(pkg); return i >= 0 && layers[i].name == "core" }
