package shard

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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

func share(from, to string, tell func(string), link func(from, to string) error) (Manifest, error) {
	b, err := readBundle(from)
	if err != nil {
		return Manifest{}, err
	}
	a, err := os.Stat(from)
	if err == nil {
		if z, err := os.Stat(to); err == nil && os.SameFile(a, z) {
			return b.Manifest, nil
		}
		err = shareShards(b.Manifest, from, to, tell, link)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("share corpus: %w", err)
	}
	return b.Manifest, b.Write(to) // the manifest last
}

// shareShards makes a folder that holds the shards of another and nothing else.
func shareShards(m Manifest, from, to string, tell func(string), link func(from, to string) error) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	told := false
	for _, i := range m.shards() {
		at, err := whole(filepath.Join(from, i.Name), i)
		if err != nil {
			return err
		}
		if err = link(at, filepath.Join(to, i.Name)); cannotLink(err) {
			if !told {
				told = true
				tell(fmt.Sprintf("copying the corpus of %s: its shards cannot be linked into %s", from, to))
			}
			err = copyShard(at, filepath.Join(to, i.Name), i.SHA256)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whole returns where a shard lies, which has its size; a link to a link would depend on
// its folder.
func whole(path string, i ShardInfo) (string, error) {
	at, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(at); err != nil || info.Size() != i.Bytes {
		return "", fmt.Errorf("shard %s does not have the %d bytes that the manifest says", i.Name, i.Bytes)
	}
	return at, nil
}

// cannotLink tells whether a file system, or the one that the file lies on, cannot
// give it a second name.
func cannotLink(err error) bool {
	reasons := []error{syscall.EXDEV, syscall.EPERM, syscall.EACCES, syscall.EMLINK, syscall.ENOTSUP, syscall.ENOSYS}
	return slices.ContainsFunc(reasons, func(reason error) bool { return errors.Is(err, reason) })
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
