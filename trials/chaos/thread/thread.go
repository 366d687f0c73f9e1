// Package thread stops one thread of another process while all others go on, as a
// kernel of a GPU or a deadlock does that never returns. It uses ptrace, which needs no
// right over processes of the same user that this one, or a child of it, started.
//
// It guarantees that a thread which is held goes on, or has ended, when Held.Done is
// closed. It does not know what a thread computes: Hold only looks at where it is.
package thread

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/gramme-project/gramme/internal/waiting"
)

// lookEvery is the pause between two looks at a thread.
const lookEvery = 5 * time.Millisecond

// errElsewhere says that a thread is not in a library just now.
var errElsewhere = errors.New("it is not in a library")

// Held is a thread that stands still.
type Held struct {
	ID   int
	done chan struct{}
}

// Done is closed when the thread goes on or has ended.
func (h *Held) Done() <-chan struct{} { return h.done }

// Hold stops a thread of a name in the midst of a call into a library, so that the
// runtime of a Go program does not wait for it. It is held until ctx ends, or the
// process does. Hold waits for such a moment, within bounds; 0 is wherever it is.
func Hold(ctx context.Context, pid int, name string, within time.Duration) (*Held, error) {
	id, err := find(pid, name)
	if err != nil {
		return nil, fmt.Errorf("stop a thread of process %d: %w", pid, err)
	}
	h := &Held{ID: id, done: make(chan struct{})}
	held := make(chan error)
	go h.hold(ctx, pid, held, within)
	if err := <-held; err != nil {
		<-h.done
		return nil, fmt.Errorf("stop thread %d of process %d: %w", id, pid, err)
	}
	return h, nil
}

// hold traces the thread from one OS thread, as the system wants it.
func (h *Held) hold(ctx context.Context, pid int, held chan<- error, within time.Duration) {
	defer close(h.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	end := time.Now().Add(within)
	for {
		err := h.stop(pid, within > 0)
		if err == nil {
			break
		}
		if !errors.Is(err, errElsewhere) || time.Now().After(end) || ctx.Err() != nil {
			held <- err
			return
		}
		waiting.Pause(ctx, lookEvery)
	}
	held <- nil
	for {
		var status unix.WaitStatus
		n, err := unix.Wait4(h.ID, &status, unix.WALL|unix.WNOHANG, nil)
		if err != nil && !errors.Is(err, unix.EINTR) || n == h.ID && (status.Exited() || status.Signaled()) {
			return // it has ended, and its process waited for this
		}
		if waiting.Rest(ctx, lookEvery) != nil {
			_ = unix.PtraceDetach(h.ID) // else it has just ended
			return
		}
	}
}

// stop stops the thread, and lets it go on where it is to be in a library and is not.
func (h *Held) stop(pid int, library bool) error {
	if err := unix.PtraceSeize(h.ID); err != nil {
		return fmt.Errorf("ptrace: %w", err)
	}
	err := unix.PtraceInterrupt(h.ID)
	if err == nil {
		var status unix.WaitStatus
		_, err = unix.Wait4(h.ID, &status, unix.WALL, nil)
		if err == nil && !status.Stopped() {
			return errors.New("it has ended")
		}
	}
	if err == nil && library {
		err = inLibrary(pid, h.ID)
	}
	if err != nil {
		return errors.Join(err, unix.PtraceDetach(h.ID))
	}
	return nil
}

// find returns the thread of a name that has computed most.
func find(pid int, name string) (id int, err error) {
	threads, err := procfs.AllThreads(pid)
	if err != nil {
		return 0, err
	}
	var most uint
	for _, t := range threads {
		s, err := t.Stat() // fails if it has ended
		if err == nil && s.Comm == name && (id == 0 || s.UTime > most) {
			id, most = t.PID, s.UTime
		}
	}
	if id == 0 {
		return 0, fmt.Errorf("it has no thread %q", name)
	}
	return id, nil
}

// inLibrary tells whether a thread that is stopped runs code which is not its program's
// own, nor the kernel's: of a library, or made by one.
func inLibrary(pid, id int) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", pid, id))
	if err != nil {
		return err
	}
	fields := strings.Fields(string(b))
	if len(fields) != 3 || fields[0] != "-1" { // it waits in a call of the system
		return errElsewhere
	}
	at, err := strconv.ParseUint(strings.TrimPrefix(fields[2], "0x"), 16, 64)
	if err != nil {
		return err
	}
	p, err := procfs.NewProc(pid)
	if err != nil {
		return err
	}
	program, err := p.Executable()
	if err != nil {
		return err
	}
	maps, err := p.ProcMaps()
	if err != nil {
		return err
	}
	for _, m := range maps {
		if uintptr(at) >= m.StartAddr && uintptr(at) < m.EndAddr && m.Pathname != program && !strings.HasPrefix(m.Pathname, "[v") {
			return nil
		}
	}
	return errElsewhere
}
