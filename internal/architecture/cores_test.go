package architecture

import (
	"go/ast"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// clocks are functions that no core names, by the package that has them.
var clocks = map[string][]string{
	"time": {"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"},
	"github.com/gramme-project/gramme/internal/waiting": {"For", "Retry", "Rest", "Pause"},
}

// excused are the names that a core may use, and why. One that nothing uses any more
// fails the test.
var excused = map[string]string{
	"checkpoint/ledger/log.go time.Now": "the default of an option",
	"allreduce/reduce.go go":            "sends while it receives, and joins before it returns",
	"replica/chunks.go Go":              "parallel loops whose result does not depend on the order; joined before they return",
}

func TestCoresHaveNoClockAndNoGoroutine(t *testing.T) {
	tr, cores := readTree(t, "../.."), coresOf(t, "../../.golangci.yml")
	used, folders := map[string]bool{}, map[string]bool{}
	for _, f := range tr.files {
		if !slices.Contains(cores, f.pkg) {
			continue
		}
		folders[f.pkg] = true
		for _, found := range impure(f) {
			if key := f.name + " " + found; excused[key] != "" {
				used[key] = true
			} else {
				t.Errorf("%s: a core names %s", f.name, found)
			}
		}
	}
	for key := range excused {
		if !used[key] {
			t.Errorf("%s need not be excused any more", key)
		}
	}
	for _, c := range cores {
		if !folders[c] {
			t.Errorf(".golangci.yml calls %s a core, and no package is there", c)
		}
	}
}

// coresOf are the folders of the rule "core" of the linter, which keeps the list.
func coresOf(t *testing.T, path string) (folders []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]struct{ Files []string }
				}
			}
		}
	}
	if err := yaml.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	for _, f := range config.Linters.Settings.Depguard.Rules["core"].Files {
		if folder, ok := strings.CutPrefix(f, "${base-path}/"); ok {
			folders = append(folders, strings.TrimSuffix(folder, "/*.go"))
		}
	}
	if len(folders) < 10 {
		t.Fatalf("%s: only %d cores", path, len(folders))
	}
	return folders
}

// TestCgoStaysInTheWorker looks for what the linter does not see where cgo is off.
func TestCgoStaysInTheWorker(t *testing.T) {
	for _, f := range readTree(t, "../..").files {
		if f.nameOf("C") != "" && !slices.Contains([]string{"worker/torch", "worker/bert", "cmd/gramme-worker"}, f.pkg) {
			t.Errorf("%s needs cgo: everything but the worker builds without it", f.name)
		}
	}
}

// impure names the clocks and goroutines of a file.
func impure(f file) (found []string) {
	names := map[string]string{} // of packages with a clock, in this file
	for path := range clocks {
		if name := f.nameOf(path); name != "" {
			names[name] = path
		}
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "go")
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Go" {
				found = append(found, "Go")
			}
		case *ast.SelectorExpr:
			// A mention is enough: a function value reads the clock as well.
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(clocks[names[x.Name]], n.Sel.Name) {
				found = append(found, path.Base(names[x.Name])+"."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// TestImpureIsFound feeds sources that break the rule: a check that finds nothing in
// them would find nothing in the tree.
func TestImpureIsFound(t *testing.T) {
	for source, want := range map[string]string{
		"import \"time\"\nvar t = time.Now()":  "time.Now",
		"import x \"time\"\nvar t = x.Since":   "time.Since",
		"import \"time\"\nvar t = time.Second": "",
		"func f() { go f() }":                  "go",
		"func f() { g.Go(f) }":                 "Go",
		"import \"github.com/gramme-project/gramme/internal/waiting\"\nvar b, r = waiting.Every(1), waiting.Retry": "waiting.Retry",
		"type time struct{}\nfunc f(time T) { time.Now() }":                                                        "",
		"import \"time\"\nfunc f() { <-time.After(1); go f() }":                                                    "time.After go",
	} {
		tr := newTree()
		if err := tr.add("a/a.go", []byte("package a\n"+source)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(impure(tr.files[0]), " "); got != want {
			t.Errorf("%s: found %q", source, got)
		}
	}
}
