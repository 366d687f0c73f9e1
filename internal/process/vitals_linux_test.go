package process

import (
	"os"
	"testing"
)

func TestVitalsOf(t *testing.T) {
	if v, err := VitalsOf(os.Getpid()); err != nil || v.State == 0 {
		t.Errorf("of this process: %+v, %v", v, err)
	}
	if v, err := VitalsOf(1 << 30); err == nil {
		t.Errorf("of no process: %+v", v)
	}
}
