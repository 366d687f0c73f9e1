package memfs

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Mkdir makes a folder.
func (m *FS) Mkdir(path string, perm fs.FileMode) error {
	return m.add(Op{Kind: "mkdir", Path: path}, func() *node { return newFolder(perm) })
}

// Symlink makes a link.
func (m *FS) Symlink(target, path string) error {
	return m.add(Op{Kind: "symlink", Path: path}, func() *node {
		return &node{mode: fs.ModeSymlink | 0o777, content: []byte(target), modified: time.Now()}
	})
}

// add makes something where nothing is.
func (m *FS) add(op Op, make func() *node) error {
	if err := m.before(op); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.find(op.Path, false)
	if err == nil && n != nil {
		err = syscall.EEXIST
	}
	if err != nil {
		return &fs.PathError{Op: op.Kind, Path: op.Path, Err: err}
	}
	dir.change(change{name: name, node: make()})
	return nil
}

// Remove removes a file, a link or an empty folder.
func (m *FS) Remove(path string) error {
	if _, err := m.stat("remove", path, false); err != nil {
		return err // no change
	}
	if err := m.before(Op{Kind: "remove", Path: path}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, name, n, err := m.existing(path, false)
	switch {
	case err != nil:
	case dir == nil:
		err = syscall.EBUSY
	case len(n.names) > 0:
		err = syscall.ENOTEMPTY
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	dir.change(change{name: name})
	return nil
}

// Rename gives a file another name, and replaces what had it.
func (m *FS) Rename(from, to string) error {
	if err := m.before(Op{Kind: "rename", Path: to}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	oldDir, oldName, n, err := m.existing(from, false)
	var newDir, there *node
	var newName string
	if err == nil {
		newDir, newName, there, err = m.find(to, false)
	}
	switch {
	case err != nil:
	case there == n:
		return nil
	case oldDir == nil || newDir == nil:
		err = syscall.EBUSY
	case there == nil:
	case there.names != nil:
		err = syscall.EEXIST // package os says so even where it is empty
	case n.names != nil:
		err = syscall.ENOTDIR
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	if n.names != nil && oldDir == newDir {
		oldDir.change(change{from: oldName, name: newName, node: n})
		return nil
	}
	newDir.change(change{name: newName, node: n})
	oldDir.change(change{name: oldName})
	return nil
}
