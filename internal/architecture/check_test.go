package architecture

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
)

// check returns every breach of a rule, exceptions not counted.
func (tr tree) check() []violation {
	var vs []violation
	for _, f := range tr.files {
		vs = append(vs, tr.checkDirection(f)...)
		vs = append(vs, tr.checkForeign(f)...)
		vs = append(vs, tr.checkPure(f)...)
		vs = append(vs, tr.checkLibrary(f)...)
	}
	return append(vs, tr.checkDocuments()...)
}

// checkDirection compares the layers of both ends of each import, and whose
// inside it reaches into.
func (tr tree) checkDirection(f file) []violation {
	var vs []violation
	from := layerOf(f.pkg)
	if from < 0 {
		return []violation{tr.violation(ruleLayer, f, f.syntax.Package, "", "package %s is in no layer of rules_test.go", f.pkg)}
	}
	for _, i := range f.imports() {
		pkg, ok := tr.own(i.path)
		if !ok {
			continue
		}
		if to := layerOf(pkg); to > from {
			vs = append(vs, tr.violation(ruleLayer, f, i.at, pkg, "%s is a %s and imports the %s %s", f.pkg, layers[from].name, layers[max(to, 0)].name, pkg))
		}
		if _, ok := open[pkg]; ok || layers[from].name == "shell" || layers[from].name == "command" {
			continue
		}
		for _, r := range roles {
			if matches(r, pkg) && !matches(r, f.pkg) {
				vs = append(vs, tr.violation(ruleRole, f, i.at, pkg, "%s imports %s, which belongs to the %s", f.pkg, pkg, strings.TrimSuffix(r, "/...")))
			}
		}
	}
	return vs
}

func (tr tree) checkForeign(f file) []violation {
	var vs []violation
	for _, i := range f.imports() {
		for _, m := range foreign {
			if below(m.path, i.path) && !matchesAny(m.in, f.pkg) {
				vs = append(vs, tr.violation(ruleForeign, f, i.at, i.path, "%s imports %q: %s", f.pkg, i.path, m.why))
			}
		}
	}
	return vs
}

// checkPure looks at cores only.
func (tr tree) checkPure(f file) []violation {
	if !isCore(f.pkg) {
		return nil
	}
	var vs []violation
	for _, i := range f.imports() {
		for folder, what := range impure {
			if below(folder, i.path) {
				vs = append(vs, tr.violation(rulePure, f, i.at, i.path, "%s imports %q (%s)", f.pkg, i.path, what))
			}
		}
	}
	clockName := f.nameOf("time")
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			vs = append(vs, tr.violation(ruleGoroutine, f, n.Pos(), "go", "%s has a go statement", f.pkg))
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Go" {
				vs = append(vs, tr.violation(ruleGoroutine, f, n.Pos(), "Go", "%s calls a method Go", f.pkg))
			}
		case *ast.SelectorExpr:
			// A mention is enough: a function value reads the clock as well.
			if x, ok := n.X.(*ast.Ident); ok && clockName != "" && x.Name == clockName && slices.Contains(clock, n.Sel.Name) {
				vs = append(vs, tr.violation(ruleClock, f, n.Pos(), "time."+n.Sel.Name, "%s names time.%s", f.pkg, n.Sel.Name))
			}
		}
		return true
	})
	return vs
}

// checkLibrary looks for what ends a process or writes to its standard output.
// Must… at package level is free: it runs whenever the package does, so that no
// test would pass with a wrong literal.
func (tr tree) checkLibrary(f file) []violation {
	if f.support {
		return nil
	}
	var vs []violation
	command := matchesAny(commands, f.pkg)
	osName, fmtName := f.nameOf("os"), f.nameOf("fmt")
	for _, d := range f.syntax.Decls {
		_, function := d.(*ast.FuncDecl)
		ast.Inspect(d, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			of, name := called(call)
			switch {
			case name == "panic" && of == "", isMust(name) && function,
				name == "Fatal", name == "Fatalf", name == "Fatalln", name == "Panic", name == "Panicf", name == "Panicln",
				name == "Exit" && of == osName && osName != "" && !command:
				vs = append(vs, tr.violation(rulePanic, f, n.Pos(), name, "%s calls %s", f.pkg, written(of, name)))
			case !command && of == fmtName && fmtName != "" && strings.HasPrefix(name, "Print"), of == "" && (name == "print" || name == "println"):
				vs = append(vs, tr.violation(rulePrint, f, n.Pos(), name, "%s calls %s", f.pkg, written(of, name)))
			}
			return true
		})
	}
	return vs
}

// called returns the name of what is called, and the identifier before its dot.
func called(call *ast.CallExpr) (of, name string) {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return "", fun.Name
	case *ast.SelectorExpr:
		if x, ok := fun.X.(*ast.Ident); ok {
			return x.Name, fun.Sel.Name
		}
		return "…", fun.Sel.Name
	}
	return "…", ""
}

func written(of, name string) string {
	if of == "" {
		return name
	}
	return of + "." + name
}

func isMust(name string) bool {
	rest, ok := strings.CutPrefix(name, "Must")
	return ok && (rest == "" || token.IsExported(rest))
}

// checkDocuments wants one comment a package that begins with its name.
func (tr tree) checkDocuments() []violation {
	first, documented := map[string]file{}, map[string]bool{}
	for _, f := range tr.files {
		if _, ok := first[f.pkg]; !ok {
			first[f.pkg] = f
		}
		begins := "Package " + f.syntax.Name.Name + " "
		if f.syntax.Name.Name == "main" {
			begins = "Command " + f.pkg[strings.LastIndex(f.pkg, "/")+1:] + " "
		}
		if f.syntax.Doc != nil && strings.HasPrefix(f.syntax.Doc.Text(), begins) {
			documented[f.pkg] = true
		}
	}
	var vs []violation
	for _, pkg := range slices.Sorted(maps.Keys(first)) {
		if f := first[pkg]; !documented[pkg] {
			vs = append(vs, tr.violation(ruleDocument, f, f.syntax.Package, "", "no comment of package %s begins with its name", pkg))
		}
	}
	return vs
}

// excused returns the breaches that no exception names, and the exceptions that
// name none although their file or folder is there.
func (tr tree) excused(vs []violation) (left []violation, unused []string) {
	used := make([]bool, len(exceptions))
	for _, v := range vs {
		i := slices.IndexFunc(exceptions, func(e struct{ rule, where, what, why string }) bool {
			return e.rule == v.rule && e.what == v.what && (e.where == v.file || e.where == folderOf(v.file))
		})
		if i < 0 {
			left = append(left, v)
			continue
		}
		used[i] = true
	}
	for i, e := range exceptions {
		there := slices.ContainsFunc(tr.files, func(f file) bool { return f.name == e.where || f.pkg == e.where })
		if there && !used[i] {
			unused = append(unused, e.where+" no longer needs to be excused for "+e.what+": take the exception out of rules_test.go")
		}
	}
	return left, unused
}

func folderOf(name string) string { return name[:max(strings.LastIndex(name, "/"), 0)] }
