package thread

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestHold stops a process of one thread that computes, lets it go on, stops it again
// and kills it. It is no child of this process, which would wait for it as well.
func TestHold(t *testing.T) {
	cmd := exec.Command("sh", "-c", `(while :; do :; done) & echo $!; wait $!; echo ended with $?`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	line := func() string {
		t.Helper()
		text, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(text)
	}
	pid, err := strconv.Atoi(line())
	if err != nil {
		t.Fatal(err)
	}
	computing, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer computing.Kill() //nolint:errcheck // it has ended by then
	ctx, release := context.WithCancel(t.Context())
	hold := func(ctx context.Context) *Held {
		t.Helper()
		h, err := Hold(ctx, pid, "sh", 0)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	state := func() string {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(b))[2]
	}
	h := hold(ctx)
	if s := state(); s != "t" {
		t.Errorf("held, its state is %q", s)
	}
	if err := inLibrary(pid, h.ID); err != nil && !errors.Is(err, errElsewhere) {
		t.Errorf("where it is: %v", err)
	}
	release()
	<-h.Done()
	if s := state(); s != "R" {
		t.Errorf("released, its state is %q", s)
	}
	h = hold(t.Context())
	if err := computing.Kill(); err != nil {
		t.Fatal(err)
	}
	<-h.Done()
	if text := line(); text != "ended with 137" {
		t.Error(text)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := Hold(t.Context(), pid, "sh", time.Second); err == nil {
		t.Error("held what has ended")
	}
}
