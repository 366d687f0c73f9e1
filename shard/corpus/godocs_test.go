package corpus

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func TestGoDocs(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "goroot.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	want := ""
	for _, f := range archive.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		path := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	last := int64(0)
	err = GoDocs(t.Context(), root, func(done, total int64) {
		if done != last+1 || total != 6 {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	}, func(d Document) error {
		got.WriteString(d.Source + "\n\t" + strings.Join(d.Paragraphs, "\n\t") + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", &got, want)
	}
	if last != 6 {
		t.Errorf("%d files", last)
	}
}

func TestGoDocsErrors(t *testing.T) {
	var input *InputError
	silent := func(_, _ int64) {}
	if err := GoDocs(t.Context(), filepath.Join(t.TempDir(), "none"), silent, nil); !errors.As(err, &input) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("absent: %v", err)
	}
	empty := t.TempDir()
	if err := os.Mkdir(filepath.Join(empty, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := GoDocs(t.Context(), empty, silent, nil); !errors.As(err, &input) || !strings.Contains(err.Error(), "holds no Go files") {
		t.Errorf("empty: %v", err)
	}
}

// TestGoDocsOfToolchain reads the documentation of the toolchain that runs the
// test, up to a first 300 KB.
func TestGoDocsOfToolchain(t *testing.T) {
	enough := errors.New("enough")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	size, documents := 0, 0
	err = GoDocs(ctx, strings.TrimSpace(string(goroot)), func(_, _ int64) {}, func(d Document) error {
		documents++
		for _, p := range d.Paragraphs {
			size += len(p)
			if strings.Contains(p, "Copyright 20") || strings.HasPrefix(p, "//go:") {
				t.Errorf("%s: %.100q", d.Source, p)
			}
		}
		if size > 300<<10 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || documents < 50 {
		t.Errorf("%d documents, %d bytes: %v", documents, size, err)
	}
}
