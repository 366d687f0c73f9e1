package shard

import (
	"os"
	"path/filepath"
	"testing"
)

// A folder that is left out of an input is left out under each of its names.
func TestInputsDigestWithout(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	for _, name := range []string{"text", "run"} {
		if err := os.MkdirAll(filepath.Join(real, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(real, "text", "a.txt"), []byte("a"))
	link := filepath.Join(dir, "link")
	for name, target := range map[string]string{link: real, filepath.Join(real, "text", "newest"): filepath.Join(real, "run")} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	digest := func(input, except string) string {
		t.Helper()
		d, err := InputsDigest([]string{input}, except)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := digest(real, filepath.Join(real, "run"))
	write(t, filepath.Join(real, "run", "log.txt"), []byte("of the run"))
	for _, input := range []string{real, link} {
		for _, except := range []string{filepath.Join(real, "run"), filepath.Join(link, "run")} {
			if digest(input, except) != before {
				t.Errorf("%s without %s: the file in it counts", input, except)
			}
		}
	}
	if digest(real, filepath.Join(real, "absent")) == before {
		t.Error("nothing is left out, and the new file does not count")
	}
	write(t, filepath.Join(real, "text", "b.txt"), []byte("b"))
	if digest(real, filepath.Join(real, "run")) == before {
		t.Error("a new text does not count")
	}
}
