package wire

import (
	"fmt"
	"regexp"
	"strings"
)

// most is how long a name may be: it becomes a folder with something behind it.
const most = 100

var (
	plain   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	strange = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
)

// CheckID says why a process of a role cannot have a name: it is one token of
// subjects, the end of keys in etcd, and a folder. A worker is not called as a
// service is, which others ask by that name.
func CheckID(role Role, id string) error {
	switch {
	case len(id) > most || !plain.MatchString(id):
		return fmt.Errorf("%q is no name of a process: it has 1 to %d letters, digits, - and _", id, most)
	case role == RoleWorker && (id == IDCheckpoint || id == IDCoordinator || id == IDUp):
		return fmt.Errorf("a worker cannot be called %q: a service of the run is", id)
	}
	return nil
}

// IDOf makes the beginning of a name from that of a host, which may have dots.
func IDOf(host string) string {
	id := strings.Trim(strange.ReplaceAllString(host, "-"), "-")
	if id == "" {
		return string(RoleWorker)
	}
	return id[:min(len(id), most-10)]
}
