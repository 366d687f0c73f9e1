//go:build linux

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKillFirst(t *testing.T) {
	s := NewStarter()
	defer s.Close()
	p, err := s.Start(Command{Name: "sleeper", Path: "/bin/sleep", Args: []string{"60"}, Log: filepath.Join(t.TempDir(), "log")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Kill(); <-p.Ended() }()
	if err := p.KillFirst(); err != nil {
		t.Fatal(err)
	}
	score := func(of string) string {
		b, err := os.ReadFile("/proc/" + of + "/oom_score_adj")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	if own, child := score("self"), score(fmt.Sprint(p.PID)); own == child {
		t.Errorf("the child's score is %s, as the parent's", child)
	}
}
