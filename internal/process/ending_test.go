package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gramme-project/gramme/internal/exit"
)

// endingVariable makes of this program a child that ends in a way.
const endingVariable = "GRAMME_TEST_ENDING"

func TestMain(m *testing.M) {
	if how := os.Getenv(endingVariable); how != "" {
		endBy(how)
	}
	os.Exit(m.Run())
}

func endBy(how string) {
	parent := OpenReporter()
	fmt.Fprintln(os.Stderr, `{"level":"info","msg":"as a process logs"}`)
	kind, detail, _ := strings.Cut(how, " ")
	switch kind {
	case "report":
		err := exit.Wrap(exit.Usage, "another way", errors.New(detail))
		fmt.Fprintln(os.Stderr, "error: "+err.Error())
		if err := parent.Send(exit.ReportOf(err)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(exit.Usage)
	case "code":
		os.Exit(map[string]int{"1": 1, "2": 2, "3": 3}[detail])
	case "print":
		fmt.Fprintln(os.Stderr, detail)
		os.Exit(1)
	case "panic":
		panic(detail)
	case "nil":
		var p *int
		fmt.Println(*p)
	case "signal":
		for s := range syscall.Signal(32) {
			if strings.HasPrefix(describe(s), detail+":") || detail == "SIGKILL" && s == syscall.SIGKILL {
				if err := syscall.Kill(os.Getpid(), s); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
				select {}
			}
		}
	case "grandchild": // it holds the pipe, as far as it can
		if _, err := os.StartProcess("/bin/sleep", []string{"sleep", "30"}, &os.ProcAttr{Files: []*os.File{nil, nil, nil}}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(2)
	}
	os.Exit(0)
}

// TestEndings starts children that end in every way: which of them ended by itself is
// told, and for each crash the line that names it.
func TestEndings(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	starter := NewStarter()
	defer starter.Close()
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("panic: of a life before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ü\x01", 5000)
	for _, c := range []struct {
		how    string
		manner exit.Manner
		words  string
	}{
		{"nothing", exit.Succeeded, ""},
		{"report it cannot be", exit.Reported, "it cannot be"},
		{"report " + long, exit.Reported, long[:20]},
		{"code 1", exit.Crashed, "it ended with code 1 and did not say why"},
		{"code 2", exit.Crashed, "it ended with code 2 and did not say why"},
		{"print the disk is on fire", exit.Crashed, "code 1: the disk is on fire"},
		{"print libgomp: Thread creation failed: Resource temporarily unavailable", exit.Crashed, "libgomp: Thread creation failed: Resource temporarily unavailable"},
		{"panic on purpose", exit.Crashed, "panic: on purpose"},
		{"nil", exit.Crashed, "panic: runtime error: invalid memory address or nil pointer dereference"},
		{"signal SIGSEGV", exit.Crashed, "SIGSEGV: segmentation violation"},
		{"signal SIGABRT", exit.Crashed, "SIGABRT: abort"},
		{"signal SIGQUIT", exit.Crashed, "SIGQUIT: quit"},
		{"signal SIGBUS", exit.Crashed, "SIGBUS: bus error"},
		{"signal SIGFPE", exit.Crashed, "SIGFPE: floating-point exception"},
		{"signal SIGILL", exit.Crashed, "SIGILL: illegal instruction"},
		{"signal SIGTERM", exit.Crashed, "SIGTERM: terminated"},
		{"signal SIGKILL", exit.Killed, "SIGKILL: killed"},
		{"grandchild", exit.Crashed, "it ended with code 2 and did not say why"},
	} {
		p, err := starter.Start(Command{Name: "it", Path: self, Env: []string{endingVariable + "=" + c.how}, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Ended()
		e := p.Ending()
		if e.Manner != c.manner || !strings.HasPrefix(e.Words, c.words) || strings.Contains(e.Words, "\n") || (e.Words == "") != (c.words == "") {
			t.Errorf("%.40s: %+v", c.how, e)
		}
		if c.manner == exit.Reported && (e.Report.Code != exit.Usage || e.Report.Hint != "another way") {
			t.Errorf("%.40s: %+v", c.how, e.Report)
		}
		if e.Peak == 0 {
			t.Errorf("%.40s: it held no memory", c.how)
		}
	}
}

// TestCrashLine finds the line that names a crash in the output of runtimes.
func TestCrashLine(t *testing.T) {
	for _, c := range []struct{ output, want string }{
		{"{\"level\":\"info\"}\nerror: open x: no such file\nhint: make it", ""},
		{"terminate called after throwing an instance of 'c10::Error'\n  what():  could not create a primitive\nException raised from f\nSIGABRT: abort\nPC=0x7f m=0 sigcode=18446744073709551610\n\nrax 0x0",
			"terminate called after throwing an instance of 'c10::Error' what():  could not create a primitive"},
		{"SIGSEGV: segmentation violation\nPC=0x7f3b m=3 sigcode=1 addr=0x0\nsignal arrived during cgo execution\n\ngoroutine 1 [syscall]:\nmain.main()", "SIGSEGV: segmentation violation"},
		{"panic: first [recovered]\n\tpanic: second\n\ngoroutine 7 [running]:", "panic: first"},
		{"fatal error: runtime: out of memory\n\nruntime stack:", "fatal error: runtime: out of memory"},
		{"runtime: failed to create new OS thread (have 5 already; errno=11)\nruntime: may need to increase max user processes (ulimit -u)\nfatal error: newosproc",
			"runtime: failed to create new OS thread (have 5 already; errno=11)"},
		{"runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort\nPC=0x1", "runtime/cgo: pthread_create failed: Resource temporarily unavailable"},
		{"double free or corruption (!prev)\nSIGABRT: abort", "double free or corruption (!prev)"},
		{"gramme-worker: a.cpp:12: void f(): Assertion `x' failed.\nSIGABRT: abort", "gramme-worker: a.cpp:12: void f(): Assertion `x' failed."},
		{"gramme-worker: error while loading shared libraries: libtorch.so: cannot open shared object file", "gramme-worker: error while loading shared libraries: libtorch.so: cannot open shared object file"},
	} {
		if got := CrashLine(c.output); got != c.want {
			t.Errorf("of %q: %q", c.output, got)
		}
	}
}
