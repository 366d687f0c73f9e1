package process

import (
	"errors"
	"fmt"
	"os"
)

// Program is an executable file, held open: the file at its path may be replaced by
// another build while processes of this one are still to be started. It is not copied,
// because a program finds its libraries by its own place.
type Program struct {
	Path string // where it was found, and the name of its processes
	file *os.File
	info os.FileInfo
}

// OpenProgram opens a program, to be started as it is now.
func OpenProgram(path string) (*Program, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("hold program: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("hold program: %w", errors.Join(err, file.Close()))
	}
	return &Program{path, file, info}, nil
}

// Executable is a path at which the program that is held can be started, and whether
// another, or none, lies where it was found. A child of this process can use it, too.
func (p *Program) Executable() (path string, replaced bool) {
	if now, err := os.Stat(p.Path); err == nil && os.SameFile(now, p.info) {
		return p.Path, false
	}
	// The kernel follows this link to the file itself, whether or not it has a name.
	held := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.file.Fd())
	if _, err := os.Stat(held); err != nil {
		return p.Path, true // a system without /proc
	}
	return held, true
}
