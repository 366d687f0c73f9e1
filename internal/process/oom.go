package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// oomScore is what KillFirst adds to a process's score, of at most 1000: as if it held
// as much more of the memory that there is, in thousandths.
const oomScore = 500

// KillFirst asks the kernel to choose this child rather than its parent where memory
// runs out: the parent starts a child again, and nobody the parent. Where the system
// has no such thing it does nothing.
func (p *Process) KillFirst() error {
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return nil //nolint:nilerr // not Linux, or no /proc
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(own)))
	if err == nil {
		err = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.PID), []byte(strconv.Itoa(min(1000, score+oomScore))), 0)
	}
	if err != nil && !os.IsNotExist(err) { // it may have ended already
		return fmt.Errorf("set the memory score of %s: %w", p.Name, err)
	}
	return nil
}
