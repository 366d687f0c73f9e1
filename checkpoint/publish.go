package checkpoint

// How a checkpoint becomes visible, and becomes the newest one.

import (
	"os"

	"github.com/gramme-project/gramme/internal/vfs"
)

// publish makes a staged folder visible and the newest checkpoint.
func (s *store) publish(staged, name string) error {
	if err := vfs.Commit(s.disk, staged, s.path(name)); err != nil {
		return err
	}
	return s.link(name)
}

// link makes latest point to a checkpoint.
func (s *store) link(name string) error {
	if now, err := os.Readlink(s.path(latestLink)); err == nil && now == name {
		return nil
	}
	// A copy that followed links has a folder there, which a link cannot replace.
	if info, err := os.Lstat(s.path(latestLink)); err == nil && info.IsDir() {
		if err := s.putAside(latestLink, asideName(s.dir, latestLink)); err != nil {
			return err
		}
	}
	next := s.path(stagedPrefix + latestLink)
	if err := vfs.RemoveAll(s.disk, next); err != nil {
		return err
	}
	if err := s.disk.Symlink(name, next); err != nil {
		return err
	}
	return vfs.Commit(s.disk, next, s.path(latestLink))
}
