package architecture

import (
	"slices"
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	tr := readTree(t, "../..")
	left, unused := tr.excused(tr.check())
	for _, v := range left {
		t.Error(v)
	}
	for _, says := range unused {
		t.Error(says)
	}
}

// TestTableNamesPackages finds what a rename leaves behind in the tables.
func TestTableNamesPackages(t *testing.T) {
	tr := readTree(t, "../..")
	there := func(pattern string) bool {
		return slices.ContainsFunc(tr.files, func(f file) bool { return matches(pattern, f.pkg) })
	}
	for _, l := range layers {
		for _, p := range l.packages {
			if !strings.HasSuffix(p, "/...") && !there(p) {
				t.Errorf("layer %s names %s, which is no package", l.name, p)
			}
		}
	}
	for _, e := range exceptions {
		if e.why == "" {
			t.Errorf("the exception of %s for %s gives no reason", e.where, e.what)
		}
		if folder := folderOf(e.where); !there(e.where) && !there(folder) {
			t.Errorf("an exception names %s, which is not there", e.where)
		}
	}
}

// TestCheckFinds feeds sources that break one rule each: a check that finds
// nothing in them would find nothing in the tree.
func TestCheckFinds(t *testing.T) {
	const module = "example.org/m"
	for _, c := range []struct {
		name, file, source string
		rule, what         string // of the one violation; none where empty
	}{
		{"core to adapter", "worker/step/a.go", `import _ "example.org/m/internal/meter"`, ruleLayer, "internal/meter"},
		{"core that is the top of a tree", "allreduce/a.go", `import _ "example.org/m/allreduce/natslink"`, ruleLayer, "allreduce/natslink"},
		{"core to core", "worker/step/a.go", `import _ "example.org/m/internal/replica"`, "", ""},
		{"adapter to core", "internal/meter/a.go", `import _ "example.org/m/internal/energy"`, "", ""},
		{"adapter to shell", "internal/meter/a.go", `import _ "example.org/m/internal/local"`, ruleLayer, "internal/local"},
		{"role to shell", "worker/a.go", `import _ "example.org/m/internal/role"`, ruleLayer, "internal/role"},
		{"role to command", "worker/a.go", `import _ "example.org/m/cmd/gramme"`, ruleLayer, "cmd/gramme"},
		{"role to own inside", "worker/a.go", `import _ "example.org/m/worker/step"`, "", ""},
		{"role to another's inside", "worker/a.go", `import _ "example.org/m/checkpoint/ledger"`, ruleRole, "checkpoint/ledger"},
		{"role to another", "coordinator/a.go", `import _ "example.org/m/worker"`, ruleRole, "worker"},
		{"role to an open package", "worker/bert/a.go", `import _ "example.org/m/checkpoint/safetensors"`, "", ""},
		{"library to a role's core", "internal/meter/a.go", `import _ "example.org/m/worker/step"`, ruleRole, "worker/step"},
		{"simulation to a role's core", "internal/simulation/a.go", `import _ "example.org/m/worker/step"`, "", ""},
		{"command to a role", "cmd/gramme/a.go", `import _ "example.org/m/coordinator"`, "", ""},
		{"no layer", "elsewhere/a.go", ``, ruleLayer, ""},
		{"cgo", "shard/a.go", `import "C"`, ruleForeign, "C"},
		{"cgo in the worker", "worker/torch/a.go", `import "C"`, "", ""},
		{"gotch", "worker/a.go", `import _ "github.com/sugarme/gotch/ts"`, ruleForeign, "github.com/sugarme/gotch/ts"},
		{"etcd", "coordinator/a.go", `import _ "go.etcd.io/etcd/client/v3"`, ruleForeign, "go.etcd.io/etcd/client/v3"},
		{"NATS", "shard/a.go", `import _ "github.com/nats-io/nats.go"`, ruleForeign, "github.com/nats-io/nats.go"},
		{"zap in a core", "coordinator/roster/a.go", `import _ "go.uber.org/zap/zapcore"`, rulePure, "go.uber.org/zap/zapcore"},
		{"zap in a role", "coordinator/a.go", `import _ "go.uber.org/zap"`, "", ""},
		{"network in a core", "worker/step/a.go", `import _ "net/http"`, rulePure, "net/http"},
		{"disk in a core", "worker/step/a.go", `import _ "os"`, rulePure, "os"},
		{"a name that only begins alike", "worker/step/a.go", `import _ "netip/x"`, "", ""},
		{"clock in a core", "worker/step/a.go", "import \"time\"\nvar t = time.Now()", ruleClock, "time.Now"},
		{"clock by another name", "worker/step/a.go", "import x \"time\"\nvar t = x.Since", ruleClock, "time.Since"},
		{"durations in a core", "worker/step/a.go", "import \"time\"\nvar t = time.Second", "", ""},
		{"goroutine in a core", "worker/step/a.go", "func f() { go f() }", ruleGoroutine, "go"},
		{"group in a core", "worker/step/a.go", "func f() { g.Go(f) }", ruleGoroutine, "Go"},
		{"goroutine in an adapter", "internal/meter/a.go", "func f() { go f() }", "", ""},
		{"panic", "shard/a.go", "func f() { panic(1) }", rulePanic, "panic"},
		{"fatal", "cmd/gramme/a.go", "func f() { log.Fatal(1) }", rulePanic, "Fatal"},
		{"fatal logger", "worker/a.go", "func f() { x.log.Fatal(1) }", rulePanic, "Fatal"},
		{"must in a function", "shard/a.go", "func f() { regexp.MustCompile(x) }", rulePanic, "MustCompile"},
		{"must at package level", "shard/a.go", "var r = regexp.MustCompile(x)", "", ""},
		{"not must", "shard/a.go", "func f() { Mustard() }", "", ""},
		{"exit in a library", "shard/a.go", "import \"os\"\nfunc f() { os.Exit(1) }", rulePanic, "Exit"},
		{"exit in a command", "cmd/gramme/a.go", "import \"os\"\nfunc f() { os.Exit(1) }", "", ""},
		{"print in a library", "shard/a.go", "import \"fmt\"\nfunc f() { fmt.Println(1) }", rulePrint, "Println"},
		{"print in a command", "cmd/gramme/a.go", "import \"fmt\"\nfunc f() { fmt.Println(1) }", "", ""},
		{"support of tests", "allreduce/ringtest/a.go", "import \"testing\"\nfunc f(t testing.TB) { t.Fatal(1) }", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTree(module)
			pkg := folderOf(c.file)
			doc := "// Package p is there.\npackage p\n"
			if strings.HasPrefix(pkg, "cmd/") {
				doc = "// Command " + strings.TrimPrefix(pkg, "cmd/") + " is there.\npackage main\n"
			}
			if err := tr.add(c.file, []byte(doc+c.source)); err != nil {
				t.Fatal(err)
			}
			vs := tr.check()
			if c.rule == "" {
				if len(vs) > 0 {
					t.Errorf("found %v", vs)
				}
				return
			}
			if len(vs) != 1 || vs[0].rule != c.rule || vs[0].what != c.what {
				t.Errorf("found %v, not one of %q for %s", vs, c.rule, c.what)
			}
		})
	}
}

// TestDocuments asks for the comment in the form that go doc shows.
func TestDocuments(t *testing.T) {
	for _, c := range []struct {
		file, source string
		fine         bool
	}{
		{"shard/a.go", "// Package p is there.\npackage p", true},
		{"shard/a.go", "package p", false},
		{"shard/a.go", "// Package p is there.\n\npackage p", false},
		{"shard/a.go", "// Package other is there.\npackage p", false},
		{"cmd/gramme/a.go", "// Command gramme is there.\npackage main", true},
		{"cmd/gramme/a.go", "// Package main is there.\npackage main", false},
	} {
		tr := newTree("example.org/m")
		if err := tr.add(c.file, []byte(c.source)); err != nil {
			t.Fatal(err)
		}
		if vs := tr.checkDocuments(); (len(vs) == 0) != c.fine {
			t.Errorf("%q: found %v", c.source, vs)
		}
	}
}
