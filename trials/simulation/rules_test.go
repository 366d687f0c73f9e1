package simulation

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sameShape is how many tokens in a row make a copy: some five lines.
const sameShape = 35

// TestTheSimulationCopiesNoRole looks for functions here that have the shape of one in
// a package of a role.
func TestTheSimulationCopiesNoRole(t *testing.T) {
	shipped := map[string]string{} // by shape, the function
	for _, role := range []string{"worker", "coordinator", "checkpoint", "allreduce"} {
		for _, path := range sources(t, "../../"+role) {
			for name, shape := range shapes(t, path, nil) {
				for _, run := range runs(shape) {
					shipped[run] = path + " " + name
				}
			}
		}
	}
	copied := func(shape []string) string {
		for _, run := range runs(shape) {
			if from := shipped[run]; from != "" {
				return from
			}
		}
		return ""
	}
	for _, path := range sources(t, ".") {
		for name, shape := range shapes(t, path, nil) {
			if from := copied(shape); from != "" {
				t.Errorf("%s %s has the shape of %s: what both decide belongs into a core", path, name, from)
			}
		}
	}

	// A copy under other names is found.
	b, err := os.ReadFile("../../checkpoint/assembly/assembly.go")
	if err != nil {
		t.Fatal(err)
	}
	again := strings.NewReplacer("assembly", "gathering", "step", "number", "generation", "age", "Offset", "At", "a.", "g.", "h.", "header.").Replace(string(b))
	found := false
	for _, shape := range shapes(t, "copy.go", again) {
		found = found || copied(shape) != ""
	}
	if !found {
		t.Error("a copy of the assembly is not found")
	}
}

// modelled are the files that may judge errors of packages that ship: they model what returns
// them, or a mistake.
var modelled = map[string]bool{"lease.go": true, "links_end.go": true}

// TestErrorsAreJudgedByCores looks for shells here that decide by an error of a package that
// ships: what follows from one is a core's to say.
func TestErrorsAreJudgedByCores(t *testing.T) {
	found := map[string]bool{}
	for _, path := range sources(t, ".") {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			is, ok := call.Fun.(*ast.SelectorExpr)
			kind, foreign := call.Args[1].(*ast.SelectorExpr)
			if ok && foreign && is.Sel.Name == "Is" {
				if found[path] = true; !modelled[path] {
					t.Errorf("%s: it decides by %s", set.Position(call.Pos()), kind.Sel.Name)
				}
			}
			return true
		})
	}
	for path := range modelled {
		if !found[path] {
			t.Errorf("%s judges no error of a package that ships", path)
		}
	}
}

// sources are the files of a folder and below that ship.
func sources(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", root, len(paths), err)
	}
	return paths
}

// shapes are the tokens of each function of a file, without names and values.
func shapes(t *testing.T, path string, source any) map[string][]string {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := source.(string)
	if !ok {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	all := map[string][]string{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		body := []byte(text[set.Position(fn.Body.Pos()).Offset:set.Position(fn.Body.End()).Offset])
		var s scanner.Scanner
		s.Init(token.NewFileSet().AddFile("", -1, len(body)), body, nil, 0)
		for {
			_, tok, _ := s.Scan()
			if tok == token.EOF {
				break
			}
			if tok.IsLiteral() {
				tok = token.IDENT
			}
			all[fn.Name.Name] = append(all[fn.Name.Name], tok.String())
		}
	}
	return all
}

// runs are all rows of so many tokens of a shape.
func runs(shape []string) (all []string) {
	for i := 0; i+sameShape <= len(shape); i++ {
		all = append(all, strings.Join(shape[i:i+sameShape], " "))
	}
	return all
}
