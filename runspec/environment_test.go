package runspec

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestCheckEnvironment(t *testing.T) {
	for pair, want := range map[string]string{
		"GRAMME_STPES=20":     "GRAMME_STEPS",
		"GRAMME_STEP=20":      "GRAMME_STEPS",
		"GRAMME_BATCH_ROW=2":  "GRAMME_BATCH_ROWS",
		"GRAMME_WORKER=2":     "GRAMME_WORKERS",
		"GRAMME_MODL=mini":    "GRAMME_MODEL",
		"GRAMME_PROXI=x":      "GRAMME_PROXY",
		"GRAMME_ETDC=x":       "GRAMME_ETCD",
		"GRAMME_STEPS=20":     "",
		"GRAMME_STPES=":       "", // an empty one counts as none
		"GRAMME_TOKEN=secret": "", // of others
		"GRAMME_HOME=/opt":    "",
		"GRAMME_VERSION=1":    "",
		"GRAMME_TEST_STEPS=1": "",
		"STPES=1":             "",
	} {
		err := CheckEnvironment([]string{pair, "PATH=/bin"})
		name, _, _ := strings.Cut(pair, "=")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), name+" in the environment: did you mean "+want+"?")) {
			t.Errorf("%s: %v", pair, err)
		}
	}
}

// TestEveryVariableIsKnown finds the names in the source.
func TestEveryVariableIsKnown(t *testing.T) {
	known := map[string]bool{}
	for name := range others {
		known[name] = true
	}
	for _, k := range Keys() {
		known[k.Env()] = true
	}
	name := regexp.MustCompile(`"(GRAMME_[A-Z0-9_]+)"`)
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range name.FindAllSubmatch(b, -1) {
			seen[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 5 {
		t.Errorf("only %d names are found", len(seen))
	}
	for n := range seen {
		if !known[n] {
			t.Errorf("%s is used and not in the list", n)
		}
	}
}
