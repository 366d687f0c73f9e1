package wire

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for id, ok := range map[string]bool{
		"w1": true, "ip-10-0-0-1_2": true, "": false, "a.b": false, "a b": false, "*": false, ">": false, "../x": false, "a/b": false,
		"checkpoint": false, "coordinator": false, "up": false, "é": false, strings.Repeat("x", 101): false,
	} {
		if err := CheckID(RoleWorker, id); (err == nil) != ok {
			t.Errorf("worker %q: %v", id, err)
		}
	}
	if err := CheckID(RoleCheckpoint, "checkpoint"); err != nil {
		t.Error(err)
	}
	for host, want := range map[string]string{
		"ip-10-0-0-1.ec2.internal": "ip-10-0-0-1-ec2-internal", "box": "box", "...": "worker", "a b": "a-b", "höst": "h-st",
	} {
		if id := IDOf(host); id != want {
			t.Errorf("%q becomes %q, not %q", host, id, want)
		} else if err := CheckID(RoleWorker, id+"-12345678"); err != nil {
			t.Error(err)
		}
	}
	if err := CheckID(RoleWorker, IDOf(strings.Repeat("x.", 200))+"-12345678"); err != nil {
		t.Error(err)
	}
}
