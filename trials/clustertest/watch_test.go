//go:build cgo

package clustertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gramme-project/gramme/internal/bus"
	"github.com/gramme-project/gramme/internal/endpoint"
	"github.com/gramme-project/gramme/internal/wire"
)

// until waits for a condition, and asks for it again and again.
func (s *site) until(what string, within time.Duration, holds func() bool) {
	s.Helper()
	for end := time.Now().Add(within); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not within %s: %s\n%s", within, what, s.logs())
		}
	}
}

func (s *site) status() wire.Status {
	s.Helper()
	var out wire.Status
	if err := json.Unmarshal([]byte(s.must("status", "--run", "run", "--json")), &out); err != nil {
		s.Fatal(err)
	}
	return out
}

// glance asks the coordinator what `gramme status` asks it, without the time that a
// command takes to start: a run may be over by then. False: none answers.
func (s *site) glance() (found wire.Status, ok bool) {
	s.Helper()
	e, err := endpoint.ReadFile(s.run.Endpoint())
	if err != nil {
		return found, false // not made yet
	}
	ctx, cancel := context.WithTimeout(s.Context(), time.Second)
	defer cancel()
	conn, err := e.DialBus(ctx, "test")
	if err != nil {
		return found, false
	}
	defer conn.Close()
	found, err = bus.Request[wire.Status](ctx, conn, wire.SubjectsOf(e.Run).Status(), nil)
	return found, err == nil
}

// reaches waits until a run that is up has applied a step.
func (r *running) reaches(step uint64) (found wire.Status) {
	r.Helper()
	r.until("step "+strconv.FormatUint(step, 10), patience, func() bool {
		select {
		case <-r.ended:
			r.Fatalf("it ended before step %d was seen:\n%s%s", step, r.out.String(), r.err.String())
		default:
		}
		now, ok := r.glance()
		found = now
		return ok && now.State == wire.StateTraining && now.Step >= step && len(now.Processes) > 0
	})
	if e, err := endpoint.ReadFile(r.run.Endpoint()); err == nil {
		for _, u := range strings.Split(e.NATS, ",") {
			if at, err := url.Parse(u); err == nil {
				r.ports[at.Host] = true
			}
		}
	}
	return found
}

// generationAfter waits for a generation that is newer than one, and returns it. A
// coordinator that has just come tells of the last plan until there is another.
func (r *running) generationAfter(old uint64) (generation uint64) {
	r.Helper()
	r.until("a generation after "+strconv.FormatUint(old, 10), patience, func() bool {
		now, ok := r.glance()
		generation = now.Generation
		return ok && generation > old
	})
	return generation
}

// processes are those of the site, by the folder in their environment: also those
// that a process started which is gone.
func (s *site) processes() []int {
	var found []int
	dirs, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is fine
	for _, path := range dirs {
		b, err := os.ReadFile(path)
		if err != nil || !slices.Contains(strings.Split(string(b), "\x00"), "TMPDIR="+s.tmp) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// pid is that of the process of the run with an ID, by its arguments: the status may
// show it only a second later.
func (s *site) pid(id string) int {
	s.Helper()
	for _, pid := range s.processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(b), "\x00--id\x00"+id+"\x00") {
			return pid
		}
	}
	s.Fatalf("no process has the ID %s", id)
	return 0
}

// kill ends processes at once.
func (s *site) kill(pids ...int) {
	s.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			s.Errorf("kill %d: %v", pid, err)
		}
	}
}

func (s *site) killAll() {
	for found := s.processes(); len(found) > 0; found = s.processes() {
		s.kill(found...)
	}
}

// nothingLeft checks that every process, port and socket of the site is gone.
func (s *site) nothingLeft() {
	defer s.killAll()
	if s.Failed() {
		return // whatever is left is not the fault
	}
	s.until("no process is left", patience, func() bool { return len(s.processes()) == 0 })
	for port := range s.ports {
		if conn, err := net.Dial("tcp", port); err == nil {
			conn.Close()
			s.Errorf("something listens at %s", port)
		}
	}
	left, _ := filepath.Glob(filepath.Join(s.tmp, "*")) // the pattern is fine
	if len(left) > 0 {
		s.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(s.run.Cluster()); err == nil {
		s.Errorf("left behind: %s", s.run.Cluster())
	}
}
