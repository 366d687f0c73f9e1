package corpus

import (
	"cmp"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gramme-project/gramme/internal/vfs"
)

// measure checks that every input is there, and sums their sizes for progress.
func (r *reader) measure(ctx context.Context, inputs []string) error {
	unknown := false
	for _, input := range inputs {
		if input == "-" {
			unknown = true
			continue
		}
		info, err := os.Stat(input)
		if err != nil {
			return &InputError{Input: input, Reason: "cannot be read", Err: vfs.WithoutPath(err)}
		}
		if !info.IsDir() {
			unknown = unknown || !info.Mode().IsRegular()
			r.total += info.Size()
			continue
		}
		if r.exclude != nil && os.SameFile(info, r.exclude) {
			return &InputError{Input: input, Reason: "is the folder that the result is written to"}
		}
		if r.opts.Progress == nil {
			continue
		}
		if err := r.walk(ctx, input, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if i, err := d.Info(); err == nil {
				r.total += i.Size()
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if unknown {
		r.total = 0
	}
	return nil
}

func (r *reader) input(ctx context.Context, input string) error {
	if input == "-" {
		return r.source(ctx, "-", "", cmp.Or[io.Reader](r.opts.Stdin, os.Stdin), true)
	}
	if info, err := os.Stat(input); err != nil || !info.IsDir() {
		format, _ := formatOf(filepath.ToSlash(input))
		return r.file(ctx, input, format, true)
	}
	return r.walk(ctx, input, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return r.unreadable(path, false, err)
		}
		format, known := formatOf(filepath.ToSlash(path))
		if !known {
			r.report.Skipped++
			return nil
		}
		return r.file(ctx, path, format, false)
	})
}

// unreadable sets a source aside; alone says that the user named it, so that it is an
// error.
func (r *reader) unreadable(name string, alone bool, err error) error {
	err = vfs.WithoutPath(err)
	if alone {
		return &InputError{Input: name, Reason: "cannot be read", Err: err}
	}
	r.report.reject(name, "%v", err)
	return nil
}

// walk visits the regular files of a folder in the order of their names, and with an error
// what cannot be read.
func (r *reader) walk(ctx context.Context, root string, visit func(string, fs.DirEntry, error) error) error {
	// A trailing separator follows a link given as the input itself.
	return filepath.WalkDir(root+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		path = filepath.Clean(path)
		if err != nil {
			if err := visit(path, d, err); err != nil || d == nil || !d.IsDir() {
				return err
			}
			return fs.SkipDir
		}
		hidden := path != filepath.Clean(root) && strings.HasPrefix(d.Name(), ".")
		switch {
		case d.IsDir():
			info, err := d.Info()
			if hidden || err == nil && r.exclude != nil && os.SameFile(info, r.exclude) {
				return fs.SkipDir
			}
		case d.Type()&fs.ModeSymlink != 0:
			info, err := os.Stat(path)
			if err != nil {
				return nil
			}
			d = fs.FileInfoToDirEntry(info)
		}
		if hidden || !d.Type().IsRegular() {
			return nil
		}
		return visit(path, d, nil)
	})
}

func (r *reader) file(ctx context.Context, path, format string, alone bool) error {
	f, err := os.Open(path)
	if err != nil {
		return r.unreadable(path, alone, err)
	}
	defer f.Close()
	return r.source(ctx, path, format, f, alone)
}
