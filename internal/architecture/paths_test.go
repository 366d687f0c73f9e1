package architecture

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named is a path of the documentation or the scripts, as texts and hints give it.
var named = regexp.MustCompile(`\b(?:docs/[\w./-]*\w\.md|scripts/[\w./-]*\w)`)

// TestNamedPathsAreThere looks for every page and every script that Go, scripts and
// Markdown name.
func TestNamedPathsAreThere(t *testing.T) {
	const root = "../.."
	found := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		from := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(name, root), string(filepath.Separator)))
		if d.IsDir() {
			if from != "" && from != ".ci" && strings.HasPrefix(d.Name(), ".") || d.Name() == "__pycache__" || from == "bin" || from == "runs" || from == "shared" {
				return fs.SkipDir
			}
			return nil
		}
		if kind := path.Ext(from); !d.Type().IsRegular() || kind != ".go" && kind != ".md" && !strings.HasPrefix(from, "scripts/") && !strings.HasPrefix(from, ".ci/") {
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, p := range missing(string(b), func(p string) bool { _, err := os.Stat(filepath.Join(root, p)); return err == nil }, &found) {
			t.Errorf("%s names %s, which is not there", from, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 50 {
		t.Errorf("%d paths are named in the whole tree: the search finds nothing", found)
	}
}

// missing returns the paths that a text names and that are not there.
func missing(text string, there func(string) bool, found *int) (list []string) {
	for _, p := range named.FindAllString(text, -1) {
		*found++
		if !there(p) {
			list = append(list, p)
		}
	}
	return list
}

func TestMissingPathsAreFound(t *testing.T) {
	in := strings.NewReplacer("D", "docs", "S", "scripts").Replace // this file names none of them itself
	found := 0
	got := missing(in("see D/there.md, (D/gone.md) and `S/gone`; run S/there, ../S/lib/gone.sh."),
		func(p string) bool { return strings.HasSuffix(strings.TrimSuffix(p, ".md"), "there") }, &found)
	if want := in("D/gone.md S/gone S/lib/gone.sh"); strings.Join(got, " ") != want || found != 5 {
		t.Errorf("of %d paths %q are missing, not %q", found, got, want)
	}
}
