package meter

import (
	"os"
	"strings"
)

// Host names this machine: its host name and, if it has one, the beginning of its machine
// id, since cloned machines share host names.
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

// MachineID returns the machine's own id, empty if it has none.
func MachineID() string {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// BootID names the current boot of the kernel, empty if it is unknown. Clocks and counters
// of a host are comparable only within one boot.
func BootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
