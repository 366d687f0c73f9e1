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
	id, err := os.ReadFile("/etc/machine-id")
	if short := strings.TrimSpace(string(id)); err == nil && len(short) >= 8 {
		return name + "-" + short[:8]
	}
	return name
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
