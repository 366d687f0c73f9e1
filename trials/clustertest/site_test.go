//go:build cgo

package clustertest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gramme-project/gramme/internal/rundir"
)

// patience bounds every wait. It is never reached unless something hangs, on a machine that
// is very busy either.
const patience = 5 * time.Minute

// commandWithin bounds a whole command, which may train several times.
const commandWithin = 10 * time.Minute

// site is a place for one run and the processes that belong to it.
type site struct {
	*testing.T
	dir   string
	run   rundir.Dir
	tmp   string // TMPDIR of its processes, by which they are known
	ports map[string]bool

	commands []*running // all that were started

	environ []string // of its processes: where etcd and NATS are, if they are not the run's own
}

// newSite makes a place whose end sees to it that nothing was left behind.
func newSite(t *testing.T) *site {
	t.Helper()
	// Go caches a result for the variables that a test reads: this one names the sources
	// of the programs. Where it is not set, -count=1 asks for no cache.
	_ = os.Getenv("GRAMME_SOURCES")
	dir, err := os.MkdirTemp(root, "s")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, dir: dir, run: rundir.Dir(filepath.Join(dir, "run")), tmp: filepath.Join(dir, "tmp"), ports: map[string]bool{}}
	if err := os.Mkdir(s.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("config.yaml", config)
	t.Cleanup(s.nothingLeft)
	return s
}

func (s *site) write(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.Fatal(err)
	}
	return path
}

// command is the program with arguments, in the site's folder.
func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = s.dir
	cmd.Env = append(append(os.Environ(), "TMPDIR="+s.tmp, "XDG_CACHE_HOME="+filepath.Join(s.dir, "cache")), s.environ...)
	return cmd
}

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

// running is a command that was started.
type running struct {
	*site
	cmd      *exec.Cmd
	out, err buffer
	ended    chan struct{}
}

func (s *site) start(cmd *exec.Cmd) *running {
	s.Helper()
	r := &running{site: s, cmd: cmd, ended: make(chan struct{})}
	s.commands = append(s.commands, r)
	cmd.Stdout, cmd.Stderr = &r.out, &r.err
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		_ = cmd.Wait() // the state says how it ended
	}()
	return r
}

// wait waits for the end of a command.
func (r *running) wait() result {
	r.Helper()
	select {
	case <-r.ended:
	case <-time.After(commandWithin):
		r.killAll()
		r.Fatalf("%v: no end after %s\n%s%s%s", r.cmd.Args, commandWithin, r.out.String(), r.err.String(), r.logs())
	}
	return result{r.cmd.ProcessState.ExitCode(), r.out.String(), r.err.String()}
}

// gramme runs a command to its end.
func (s *site) gramme(args ...string) result {
	s.Helper()
	return s.start(s.command(args...)).wait()
}

// must runs a command that has to succeed and returns what it prints.
func (s *site) must(args ...string) string {
	s.Helper()
	r := s.gramme(args...)
	s.want(r, 0)
	return r.out
}

// want checks an exit code, texts in what was printed, and that none of it is
// the language's own way of failing.
func (s *site) want(r result, code int, texts ...string) {
	s.Helper()
	all := r.out + r.err
	if r.code != code {
		s.Errorf("exit code %d, not %d:\n%s%s", r.code, code, all, s.logs())
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			s.Errorf("%q is not in:\n%s", text, all)
		}
	}
	for _, text := range []string{"panic", "goroutine "} {
		if strings.Contains(all, text) {
			s.Errorf("%q in:\n%s", text, all)
		}
	}
	if code != 0 && !strings.Contains(r.err, "error: ") {
		s.Errorf("no error is told:\n%s", all)
	}
}

// logs are the last lines of each process's log, for a failure that has to be
// understood from afar.
func (s *site) logs() string {
	var all strings.Builder
	last := func(name, text string) {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		all.WriteString("-- " + name + "\n" + strings.Join(lines[max(0, len(lines)-8):], "\n") + "\n")
	}
	paths, _ := filepath.Glob(filepath.Join(s.run.Logs(), "*.log")) // the pattern is fine
	for _, path := range paths {
		if b, err := os.ReadFile(path); err == nil {
			last(filepath.Base(path), string(b))
		}
	}
	for _, r := range s.commands {
		select {
		case <-r.ended:
		default: // one that is elsewhere has no log in the run
			last(strings.Join(r.cmd.Args, " "), r.err.String())
		}
	}
	return all.String()
}

// buffer is what a command has printed so far.
type buffer struct {
	lock sync.Mutex
	b    bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.b.String()
}
