package shard

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gramme-project/gramme/internal/vfs"
)

// Share makes the folder `to` a prepared corpus of its own with the content of the
// prepared folder `from`. Each of the two may be moved, changed by another
// preparation or removed without affecting the other. If the file system can, the
// shards are hard links: no preparation writes into an existing shard, and every reader
// of one compares its hash. Otherwise they are copied, which is reported to tell. A
// corpus at `to` is replaced, unless it is `from` itself.
func Share(from, to string, tell func(text string)) (Manifest, error) {
	return share(from, to, tell, os.Link)
}

func share(from, to string, tell func(string), link func(from, to string) error) (m Manifest, err error) {
	packed, err := EncodeBundle(from)
	if err != nil {
		return m, err
	}
	b, err := DecodeBundle(packed)
	if err != nil {
		return m, err
	}
	m = b.Manifest
	if a, err := os.Stat(from); err != nil {
		return m, fmt.Errorf("share corpus: %w", err)
	} else if z, err := os.Stat(to); err == nil && os.SameFile(a, z) {
		return m, nil
	}
	if err := os.RemoveAll(to); err != nil {
		return m, fmt.Errorf("share corpus: %w", err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return m, fmt.Errorf("share corpus: %w", err)
	}
	told := false
	for _, s := range []Split{m.Splits.Train, m.Splits.Validation, m.Splits.Test} {
		for _, i := range s.Shards {
			at, err := filepath.EvalSymlinks(filepath.Join(from, i.Name)) // a link to a link would depend on its folder
			if err != nil {
				return m, fmt.Errorf("share corpus: %w", err)
			}
			if info, err := os.Stat(at); err != nil || info.Size() != i.Bytes {
				return m, fmt.Errorf("share corpus: shard %s does not have the %d bytes that the manifest says", i.Name, i.Bytes)
			}
			err = link(at, filepath.Join(to, i.Name))
			if cannotLink(err) {
				if !told {
					told = true
					tell(fmt.Sprintf("copying the corpus of %s: its shards cannot be linked into %s", from, to))
				}
				err = copyShard(at, filepath.Join(to, i.Name), i.SHA256)
			}
			if err != nil {
				return m, fmt.Errorf("share corpus: %w", err)
			}
		}
	}
	return m, b.Write(to) // the manifest last
}

// cannotLink tells whether a file system, or the one that the file lies on, cannot
// give it a second name.
func cannotLink(err error) bool {
	for _, e := range []error{syscall.EXDEV, syscall.EPERM, syscall.EACCES, syscall.EMLINK, syscall.ENOTSUP, syscall.ENOSYS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// copyShard copies a shard durably, and verifies its hash while reading.
func copyShard(from, to, sha string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	h := sha256.New()
	err = vfs.Stage(vfs.OS{}, to, 0o644, func(out io.Writer) error {
		_, err := io.Copy(io.MultiWriter(out, h), in)
		return err
	})
	if err == nil && hex.EncodeToString(h.Sum(nil)) != sha {
		err = fmt.Errorf("shard %s: its SHA-256 is not that of the manifest", filepath.Base(from))
	}
	return err
}
