package architecture

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// contractFields are the names of fields and variables that hold a constant of
// package wire.
var contractFields = []string{"State", "Verb", "Kind", "Role", "Evidence"}

// TestContractsAreConstants looks for states, verbs, kinds, roles and evidence that are
// written out instead of named: the compiler takes a literal for a constant of any type,
// and a misspelt one is a state that nobody has.
func TestContractsAreConstants(t *testing.T) {
	tr := readTree(t, "../..")
	all := contracts(tr)
	if len(all) < 40 {
		t.Fatalf("package wire has only %d constants", len(all))
	}
	for _, f := range tr.files {
		if f.nameOf("github.com/gramme-project/gramme/internal/wire") == "" {
			continue // its words are its own
		}
		for _, found := range literals(f.syntax, all) {
			t.Errorf("%s: %q is wire.%s", f.name, found, all[found].name)
		}
	}
}

// contract is a typed constant of package wire.
type contract struct {
	name   string
	anyway bool // a state of a process: a literal is wrong wherever it stands
}

// contracts are the typed string constants of package wire, by value.
func contracts(tr tree) map[string]contract {
	all := map[string]contract{}
	for _, f := range tr.files {
		if f.pkg != "internal/wire" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			s, ok := n.(*ast.ValueSpec)
			if !ok || len(s.Values) != 1 {
				return true
			}
			of, typed := s.Type.(*ast.Ident)
			value, literal := s.Values[0].(*ast.BasicLit)
			if typed && literal && value.Kind == token.STRING {
				if text, err := strconv.Unquote(value.Value); err == nil {
					all[text] = contract{s.Names[0].Name, all[text].anyway || of.Name == "ProcessState" || of.Name == "Evidence"}
				}
			}
			return true
		})
	}
	return all
}

// literals are the strings of a file that should be constants: states of a process
// anywhere but in messages of a log, all others beside a field that holds them.
func literals(syntax *ast.File, all map[string]contract) (found []string) {
	text := func(e ast.Expr) (string, bool) {
		b, ok := e.(*ast.BasicLit)
		if !ok || b.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(b.Value)
		_, known := all[s]
		return s, err == nil && known
	}
	report := func(of ast.Expr, values ...ast.Expr) {
		for _, v := range values {
			if s, ok := text(v); ok && slices.ContainsFunc(contractFields, func(name string) bool { return strings.EqualFold(lastName(of), name) }) && !all[s].anyway {
				found = append(found, s)
			}
		}
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			report(n.Key, n.Value)
		case *ast.BinaryExpr:
			report(n.X, n.Y)
			report(n.Y, n.X)
		case *ast.AssignStmt:
			for i := range min(len(n.Lhs), len(n.Rhs)) {
				report(n.Lhs[i], n.Rhs[i])
			}
		case *ast.SwitchStmt:
			for _, c := range n.Body.List {
				if n.Tag != nil {
					report(n.Tag, c.(*ast.CaseClause).List...)
				}
			}
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, s.Sel.Name) && len(n.Args) > 0 {
				if _, ok := text(n.Args[0]); ok {
					for _, a := range n.Args[1:] {
						ast.Inspect(a, func(n ast.Node) bool { return inspectState(n, text, all, &found) })
					}
					return false
				}
			}
		}
		return inspectState(n, text, all, &found)
	})
	return found
}

func inspectState(n ast.Node, text func(ast.Expr) (string, bool), all map[string]contract, found *[]string) bool {
	if b, ok := n.(*ast.BasicLit); ok {
		if s, ok := text(b); ok && all[s].anyway {
			*found = append(*found, s)
		}
	}
	return true
}

// lastName is the name that ends an expression, without an underscore or call.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// TestLiteralsAreFound feeds sources that break the rule, and some that do not.
func TestLiteralsAreFound(t *testing.T) {
	all := map[string]contract{"stop": {"VerbStop", false}, "worker": {"RoleWorker", false}, "holding": {"WorkerHolding", true}}
	for source, want := range map[string]string{
		`var ok = c.Verb == "stop"`:                                  "stop",
		`var b = beat{State: "holding", Role: "worker"}`:             "holding worker",
		`func f() { switch c.Verb { case "stop": g() } }`:            "stop",
		`func f() { p.Role = "worker" }`:                             "worker",
		`func f(w worker) bool { return is(w, "holding") }`:          "holding",
		`var name = "worker"`:                                        "",
		`func f() { log.Info("stop"); log.Warn("holding", z("x")) }`: "",
		`func f() { log.Info("holding", z("state", "holding")) }`:    "holding",
	} {
		tr := newTree()
		if err := tr.add("a/a.go", []byte("package a\n"+source)); err != nil {
			t.Fatal(err)
		}
		got := literals(tr.files[0].syntax, all)
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: found %q", source, got)
		}
	}
}
