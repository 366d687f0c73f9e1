package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// tree is the source of a module, apart from the tests of its packages.
type tree struct {
	set   *token.FileSet
	files []file
}

func newTree() tree { return tree{set: token.NewFileSet()} }

// file is one parsed file of a package.
type file struct {
	name   string // from the module's root, with slashes
	pkg    string // its folder; "." is the root
	syntax *ast.File
}

// readTree parses every package below a folder.
func readTree(t *testing.T, root string) tree {
	t.Helper()
	tr := newTree()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			// The go command leaves these out as well.
			if name != root && (base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
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
	tr.files = append(tr.files, file{name: name, pkg: path.Dir(name), syntax: syntax})
	return nil
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
