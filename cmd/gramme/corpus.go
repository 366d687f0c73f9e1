package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/vfs"
	"github.com/gramme-project/gramme/shard/corpus"
)

func corpusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "corpus",
		Short: "make a corpus from available text",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(goDocsCommand())
	return c
}

func goDocsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "go",
		Short: "write the documentation comments of the Go toolchain as plain text",
		Long: `Reads the comments of the Go toolchain's own source (about 18 MB of English) and
writes one sentence per line, with a blank line between documents.`,
		Args: cobra.NoArgs,
	}
	out := c.Flags().String("out", "-", "`file` to write; - is standard output")
	root := c.Flags().String("goroot", "", "`folder` of the toolchain; default: the output of `go env GOROOT`")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, stop := interruptible(c.Context())
		defer stop()
		if *root == "" {
			var err error
			if *root, err = goroot(ctx); err != nil {
				return err
			}
		}
		bar := newProgressBar(c.ErrOrStderr(), "reading Go's documentation", "files")
		defer bar.end()
		err := writeFile(c.OutOrStdout(), *out, func(w io.Writer) error {
			return corpus.GoDocs(ctx, *root, bar.set, func(d corpus.Document) error { return writeDocument(w, d) })
		})
		if bad := (*corpus.InputError)(nil); errors.As(err, &bad) {
			return exit.Wrap(exit.Data, "give --goroot the output of `go env GOROOT`", err)
		}
		return err
	}
	return c
}

func goroot(ctx context.Context) (string, error) {
	b, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", exit.Wrap(exit.Resource, "install Go, or name its folder with --goroot", fmt.Errorf("find the Go toolchain: %w", err))
	}
	return strings.TrimSpace(string(b)), nil
}

// writeDocument writes sentences as lines and a blank line after the document.
func writeDocument(w io.Writer, d corpus.Document) error {
	var sentences []string
	for _, p := range d.Paragraphs {
		sentences = corpus.AppendSentences(sentences[:0], p)
		for _, s := range sentences {
			if _, err := io.WriteString(w, s+"\n"); err != nil {
				return err
			}
		}
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// writeFile lets f write a file, which appears whole or not at all; - is stdout.
func writeFile(stdout io.Writer, path string, f func(io.Writer) error) error {
	if path == "-" {
		w := bufio.NewWriter(stdout)
		return errors.Join(f(w), w.Flush())
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return vfs.Write(vfs.OS{}, path, 0o644, func(file io.Writer) error {
		w := bufio.NewWriterSize(file, 1<<20)
		return errors.Join(f(w), w.Flush())
	})
}
