package rundir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Unix sockets need a folder of their own: their paths are short, not every file
// system has them, and a folder for temporary files may be missing or read-only.
// The run's folder is tried first, then those that systems have for such things.

// longestSocket is the most bytes of a unix socket's path (sun_path).
const longestSocket = 107

// longestName is the longest name of a socket in the folder.
const longestName = "peer.sock"

// ErrNoSockets says that unix sockets work nowhere.
var ErrNoSockets = errors.New("unix sockets work in none of the folders that were tried")

// Sockets is a folder for the unix sockets of a run that is up.
type Sockets struct {
	Path string
	open *os.File // keeps a path below /proc/PID/fd
}

// Close removes the folder.
func (s *Sockets) Close() error {
	if s.open != nil {
		return s.open.Close()
	}
	return os.RemoveAll(s.Path)
}

// OpenSockets makes a folder in which unix sockets work, for this user alone. The
// error names every folder that was tried. Only the holder of the run may call it: it
// removes the sockets of an earlier process.
func (d Dir) OpenSockets() (*Sockets, error) {
	if err := d.ClearSockets(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.Cluster(), 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for unix sockets: %w", err)
	}
	var refused []string
	for _, path := range d.SocketFolders() {
		err := makeSockets(path)
		if err == nil {
			// A later process that cleans up finds it by the link, even if TMPDIR is
			// another one then.
			if filepath.Dir(path) != d.Cluster() {
				_ = os.Symlink(path, d.socketLink()) // without it, the search of the usual folders finds it
			}
			return &Sockets{Path: path}, nil
		}
		refused = append(refused, err.Error())
	}
	s, err := d.socketsByNumber()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrNoSockets, strings.Join(append(refused, err.Error()), "; "))
	}
	return s, nil
}

// ClearSockets removes the folders that a process which was killed left. A folder
// of another user stays.
func (d Dir) ClearSockets() error {
	folders := d.SocketFolders()
	if to, err := os.Readlink(d.socketLink()); err == nil && filepath.Base(to) == d.socketName() {
		folders = append(folders, to)
	}
	for _, path := range folders {
		if info, err := os.Lstat(path); err != nil || !info.IsDir() {
			continue
		}
		if err := os.RemoveAll(path); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("clear unix sockets: %w", err)
		}
	}
	if err := os.Remove(d.socketLink()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear unix sockets: %w", err)
	}
	return nil
}

// SocketFolders are all folders in which the sockets of this run may lie.
func (d Dir) SocketFolders() []string {
	folders := []string{filepath.Join(d.absolute(), ".cluster", "sockets")}
	for _, place := range temporary() {
		folders = append(folders, filepath.Join(place, d.socketName()))
	}
	return folders
}

func (d Dir) socketLink() string { return filepath.Join(d.Cluster(), "sockets-are-in") }

// socketName is one for each run and user.
func (d Dir) socketName() string {
	sum := sha256.Sum256([]byte(d.absolute()))
	return fmt.Sprintf("gramme-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6]))
}

func (d Dir) absolute() string {
	path, err := filepath.Abs(string(d))
	if err != nil {
		return string(d)
	}
	return path
}

// temporary are the folders for files that do not outlive a process.
func temporary() (places []string) {
	for _, place := range []string{
		os.TempDir(), "/tmp", os.Getenv("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", os.Getuid()), "/dev/shm", "/var/tmp",
	} {
		if filepath.IsAbs(place) && !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	return places
}

// socketsByNumber names the run's own folder by the number of an open file, which
// is short whatever the folder's path.
func (d Dir) socketsByNumber() (*Sockets, error) {
	f, err := os.Open(d.Cluster())
	if err != nil {
		return nil, err
	}
	s := &Sockets{Path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()), open: f}
	if err := trySocket(s.Path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// makeSockets makes a folder and tries whether sockets work there.
func makeSockets(path string) error {
	if err := fits(path); err != nil {
		return err
	}
	// Not MkdirAll: a folder that is there already may be another user's.
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	if err := trySocket(path); err != nil {
		return errors.Join(err, os.RemoveAll(path))
	}
	return nil
}

// fits reports whether the path of a socket can be given to the system, and in a
// URL, where some characters mean something else.
func fits(path string) error {
	if n := len(path) + 1 + len(longestName); n > longestSocket {
		return fmt.Errorf("%s: a socket there has a path of %d bytes, the most are %d", path, n, longestSocket)
	}
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,@", r))
	}
	if i := strings.IndexFunc(path, odd); i >= 0 {
		return fmt.Errorf("%s: has characters that the address of a socket cannot have", path)
	}
	return nil
}

// trySocket listens in a folder and dials itself.
func trySocket(dir string) error {
	path := filepath.Join(dir, longestName)
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		err = conn.Close()
	}
	return errors.Join(err, l.Close()) // which removes the socket
}

// TrySockets says where the sockets of a run would lie, without making anything
// that stays: another process may hold the run.
func (d Dir) TrySockets() (place string, refused []string) {
	places := append([]string{d.Cluster(), string(d)}, temporary()...)
	for _, place := range places {
		if _, err := os.Stat(place); err != nil && (place == d.Cluster() || place == string(d)) {
			continue // it is made when the run begins
		}
		if err := tryPlace(place, d.socketName()); err != nil {
			refused = append(refused, err.Error())
			continue
		}
		return place, nil
	}
	// By the number of an open file, a path of any length is short.
	f, err := os.Open(Nearest(string(d)))
	if err == nil {
		err = errors.Join(tryPlace(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()), ""), f.Close())
	}
	if err != nil {
		return "", append(refused, err.Error())
	}
	return string(d), nil
}

// Nearest is a folder, or the nearest above it that is there.
func Nearest(path string) string {
	for {
		above := filepath.Dir(path)
		if _, err := os.Stat(path); err == nil || above == path {
			return path
		}
		path = above
	}
}

func tryPlace(place, name string) error {
	if abs, err := filepath.Abs(place); err == nil {
		place = abs
	}
	if err := fits(filepath.Join(place, name)); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(place, "g-")
	if err != nil {
		return err
	}
	return errors.Join(trySocket(dir), os.RemoveAll(dir))
}
