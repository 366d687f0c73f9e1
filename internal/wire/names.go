package wire

import (
	"fmt"
	"regexp"
	"strings"
)

// maxID bounds the length of a name: it becomes part of the name of a folder.
const maxID = 100

var (
	plain   = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	strange = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
)

// CheckID says why a process of a role cannot have a name. A name is one token of
// subjects, the end of keys in etcd, and a folder. A worker cannot have the name of a
// service, by which others address the service.
func CheckID(role Role, id string) error {
	switch {
	case len(id) > maxID || !plain.MatchString(id):
		return fmt.Errorf("%q is not a valid name of a process: a name has 1 to %d letters, digits, - and _", id, maxID)
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
	return id[:min(len(id), maxID-10)]
}
