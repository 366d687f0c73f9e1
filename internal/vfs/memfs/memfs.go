// Package memfs is a file system in memory for tests: it loses what was not synced when
// a test cuts the power, and fails when a test wants it to.
//
// It behaves as vfs.OS as far as package vfstest asks. Crash gives what a loss of power
// may leave. It is as unkind as a file system may be: the content of a file is durable
// once the file is synced, and its name once the folder is; of what was not synced any
// part may be lost; to rename a file is to add one name and to remove another, and
// either alone may last. Only a folder that gets another name within its folder does
// that as a whole.
//
// It knows no users and checks no permissions.
package memfs

import (
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Op is a change that is about to be made.
type Op struct {
	Kind  string // "create", "truncate", "write", "sync", "mkdir", "rename", "remove", "symlink", "sync folder"
	Path  string // of a rename the new name
	Bytes int    // of a write
}

// FS is a file system in memory. It is safe for concurrent use.
type FS struct {
	mu   sync.Mutex
	root *node
	hook func(Op) error
}

// New returns an empty file system.
func New() *FS { return &FS{root: newFolder(0o755)} }

// Hook calls f before each change, without a lock. If f returns an error the change
// fails with it and is not made; of a write that fails the first half is.
func (m *FS) Hook(f func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = f
}

func (m *FS) before(op Op) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook == nil {
		return nil
	}
	if err := hook(op); err != nil {
		return &fs.PathError{Op: op.Kind, Path: op.Path, Err: err}
	}
	return nil
}

// node is a file, a folder or a link.
type node struct {
	mode     fs.FileMode
	modified time.Time
	content  []byte // of a file; of a link its target
	synced   []byte // of a file; never written to

	names   map[string]*node // of a folder
	durable map[string]*node
	pending []change // since durable

	locked  bool
	readers int
}

// change is one of the names of a folder: it came (node) or went (nil). A folder that
// was renamed has both names.
type change struct {
	from, name string
	node       *node
}

func newFolder(perm fs.FileMode) *node {
	return &node{mode: fs.ModeDir | perm, modified: time.Now(), names: map[string]*node{}, durable: map[string]*node{}}
}

func (n *node) change(c change) {
	if c.from != "" {
		delete(n.names, c.from)
	}
	if c.node == nil {
		delete(n.names, c.name)
	} else {
		n.names[c.name] = c.node
	}
	n.pending, n.modified = append(n.pending, c), time.Now()
}

const maxLinks = 40

// find returns what stands at a path (nil: nothing), and the folder and the name under
// which it does. A link is followed, at the end of the path only if that is wanted.
func (m *FS) find(path string, follow bool) (dir *node, name string, n *node, err error) {
	for range maxLinks {
		dir, name, n = nil, "", m.root
		names, link, at := split(path), "", "/"
		for i, next := range names {
			switch {
			case n == nil:
				return nil, "", nil, syscall.ENOENT
			case n.names == nil:
				return nil, "", nil, syscall.ENOTDIR
			}
			dir, name, n = n, next, n.names[next]
			if n != nil && n.mode&fs.ModeSymlink != 0 && (follow || i < len(names)-1) {
				if link = string(n.content); !filepath.IsAbs(link) {
					link = filepath.Join(at, link)
				}
				path = filepath.Join(append([]string{link}, names[i+1:]...)...)
				break
			}
			at = filepath.Join(at, next)
		}
		if link == "" {
			return dir, name, n, nil
		}
	}
	return nil, "", nil, syscall.ELOOP
}

// existing is find for a path at which something has to stand.
func (m *FS) existing(path string, follow bool) (dir *node, name string, n *node, err error) {
	if dir, name, n, err = m.find(path, follow); err == nil && n == nil {
		err = syscall.ENOENT
	}
	return dir, name, n, err
}

func split(path string) []string {
	return strings.FieldsFunc(filepath.Clean(path), func(r rune) bool { return r == '/' })
}

// info describes a node.
type info struct {
	name     string
	mode     fs.FileMode
	size     int64
	modified time.Time
}

func (n *node) info(name string) info { return info{name, n.mode, int64(len(n.content)), n.modified} }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

// Stat describes what a path leads to.
func (m *FS) Stat(name string) (fs.FileInfo, error) { return m.stat("stat", name, true) }

// Lstat describes what stands at a path.
func (m *FS) Lstat(name string) (fs.FileInfo, error) { return m.stat("lstat", name, false) }

func (m *FS) stat(op, path string, follow bool) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, n, err := m.existing(path, follow)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: path, Err: err}
	}
	return n.info(filepath.Base(path)), nil
}

// ReadDir lists a folder by name.
func (m *FS) ReadDir(path string) (entries []fs.DirEntry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, n, err := m.existing(path, true)
	if err == nil && n.names == nil {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		entries = append(entries, fs.FileInfoToDirEntry(n.names[name].info(name)))
	}
	return entries, nil
}

// Readlink returns the target of a link.
func (m *FS) Readlink(path string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, n, err := m.existing(path, false)
	if err == nil && n.mode&fs.ModeSymlink == 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(n.content), nil
}

// Chtimes sets when a file was last changed.
func (m *FS) Chtimes(path string, _, modified time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _, n, err := m.existing(path, true)
	if err != nil {
		return &fs.PathError{Op: "chtimes", Path: path, Err: err}
	}
	n.modified = modified
	return nil
}
