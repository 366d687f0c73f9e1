package shard

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/gramme-project/gramme/internal/vfs"
)

// BundleName is the name of the bundle in a source of ranges, which names a shard by its
// SHA-256.
const BundleName = "bundle"

// maxBundle bounds the files of a bundle in memory.
const maxBundle = 64 << 20

// Bundle holds the files of a prepared folder that a worker needs besides the shards:
// the manifest and the tokenizer's files, each verified against the manifest.
type Bundle struct {
	Manifest Manifest
	// Files are the tokenizer's files by name.
	Files map[string][]byte
	// manifest is manifest.json as it was read, so that a copy is exact.
	manifest []byte
}

// EncodeBundle reads the small files of a prepared folder and packs them (tar,
// gzip) for DecodeBundle. A file that is not the one of the manifest is an error.
func EncodeBundle(dir string) ([]byte, error) {
	b, err := readBundle(dir)
	if err != nil {
		return nil, err
	}
	return b.encode()
}

func readBundle(dir string) (Bundle, error) {
	m, raw, err := openManifest(dir)
	if err != nil {
		return Bundle{}, err
	}
	files := map[string][]byte{}
	for name := range m.Files {
		if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return Bundle{}, fmt.Errorf("bundle corpus %s: read %s: %w", dir, name, vfs.WithoutPath(err))
		}
	}
	// The folder may have been prepared again since its manifest was read.
	b, err := newBundle(raw, files)
	if err != nil {
		return Bundle{}, fmt.Errorf("bundle corpus %s: %w", dir, err)
	}
	return b, nil
}

// newBundle verifies the files against the manifest.
func newBundle(raw []byte, files map[string][]byte) (Bundle, error) {
	m, err := DecodeManifest(raw)
	if err != nil {
		return Bundle{}, err
	}
	for name, want := range m.Files {
		content, ok := files[name]
		if !ok {
			return Bundle{}, fmt.Errorf("%s is missing", name)
		}
		if sha256Hex(content) != want {
			return Bundle{}, fmt.Errorf("%s: %w", name, corrupt("checksum mismatch"))
		}
	}
	for name := range files {
		if _, ok := m.Files[name]; !ok {
			return Bundle{}, fmt.Errorf("%q is not in the manifest", name)
		}
	}
	return Bundle{Manifest: m, Files: files, manifest: raw}, nil
}

func (b Bundle) encode() ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	add := func(name string, content []byte) error {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err := t.Write(content)
		return err
	}
	err := add(ManifestName, b.manifest)
	for _, name := range slices.Sorted(maps.Keys(b.Files)) {
		if err == nil {
			err = add(name, b.Files[name])
		}
	}
	if err == nil {
		err = t.Close()
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return out.Bytes(), nil
}

// DecodeBundle unpacks and verifies the bytes of EncodeBundle. Manifest.Digest tells
// whether it is the corpus of the run.
func DecodeBundle(packed []byte) (Bundle, error) {
	fail := func(err error) (Bundle, error) { return Bundle{}, fmt.Errorf("decode bundle: %w", err) }
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fail(err)
	}
	limited := &io.LimitedReader{R: z, N: maxBundle}
	t := tar.NewReader(limited)
	files := map[string][]byte{}
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err == nil && h.Typeflag != tar.TypeReg {
			err = fmt.Errorf("%q is not a file", h.Name)
		}
		if err == nil && files[h.Name] != nil {
			err = fmt.Errorf("%q comes twice", h.Name)
		}
		if err == nil {
			files[h.Name], err = io.ReadAll(t)
		}
		if err != nil {
			if limited.N == 0 {
				err = fmt.Errorf("more than %d MB", maxBundle>>20)
			}
			return fail(err)
		}
	}
	// The rest holds the checksum of gzip.
	if _, err := io.Copy(io.Discard, limited); err != nil {
		return fail(err)
	}
	raw, ok := files[ManifestName]
	if !ok {
		return fail(errors.New("no manifest in it"))
	}
	delete(files, ManifestName)
	b, err := newBundle(raw, files)
	if err != nil {
		return fail(err)
	}
	return b, nil
}

// Write makes dir a prepared folder that lacks nothing but the shards. The
// manifest comes last. A folder of the same corpus stays as good as it was; one
// of another corpus is refused.
func (b Bundle) Write(dir string) error {
	fail := func(err error) error { return fmt.Errorf("write bundle %s: %w", dir, err) }
	switch old, err := OpenManifest(dir); {
	case err == nil && old.Digest() != b.Manifest.Digest():
		return fail(errors.New("the folder holds another corpus"))
	case err != nil && !errors.Is(err, ErrNotPrepared):
		return fail(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail(vfs.WithoutPath(err))
	}
	// Each file is seen whole or not at all, also where several processes write the same.
	write := func(name string, content []byte) error {
		if err := vfs.WriteFile(vfs.OS{}, filepath.Join(dir, name), content, 0o644); err != nil {
			return fail(fmt.Errorf("write %s: %w", name, vfs.WithoutPath(err)))
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(b.Files)) {
		if err := write(name, b.Files[name]); err != nil {
			return err
		}
	}
	return write(ManifestName, b.manifest)
}
