package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain lets this binary be the command, and a member.
func TestMain(m *testing.M) {
	if os.Getenv("CLUSTER") != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestRunsACommand checks what a command finds in its environment, its exit code,
// and that nothing is left.
func TestRunsACommand(t *testing.T) {
	tmp := t.TempDir()
	cmd := exec.Command(os.Args[0], "run", "sh", "-c", "echo $GRAMME_ETCD $GRAMME_NATS; cat $GRAMME_TLS_CA $GRAMME_TLS_CERT $GRAMME_TLS_KEY; exit 7")
	cmd.Env = append(os.Environ(), "CLUSTER=1", "TMPDIR="+tmp)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("ended with %v", err)
	}
	if got := fmt.Sprint(strings.Count(string(out), "https://127"), strings.Count(string(out), "tls://127"), strings.Count(string(out), "BEGIN")); got != "3 3 3" {
		t.Errorf("%s of etcd, NATS and files:\n%s", got, out)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
