package meter

import "os"

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
func MachineID() string { return text("/etc", "machine-id") }

// BootID names the current boot of the kernel, empty if it is unknown. Clocks and counters
// of a host are comparable only within one boot.
func BootID() string { return text("/proc/sys/kernel/random", "boot_id") }
