package process

import (
	"os/exec"
	"testing"
)

func TestChildrenTime(t *testing.T) {
	before := ChildrenTime()
	if err := exec.Command("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done").Run(); err != nil {
		t.Fatal(err)
	}
	if used := ChildrenTime() - before; used <= 0 {
		t.Errorf("a child that counts to 200,000 used %s", used)
	}
}
