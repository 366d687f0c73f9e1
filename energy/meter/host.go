package meter

import (
	"os"
	"strings"
)

// Host names this machine: its host name and, where it has one, the beginning
// of its machine id, since cloned machines share names.
func Host() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	if id := MachineID(); len(id) >= 8 {
		return name + "-" + id[:8]
	}
	return name
}

// MachineID is the machine's own id, empty where it has none.
func MachineID() string {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// BootID names the current boot of the kernel, empty where it has no name. The
// clocks and counters of a host compare within one boot only.
func BootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
