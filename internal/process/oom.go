package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// oomScore is added to a process's score by KillFirst, of at most 1000: as if the process
// held as many more thousandths of the memory.
const oomScore = 500

// KillFirst asks the kernel to choose this child rather than its parent when memory runs
// out: the parent restarts a child, and nothing restarts the parent. On systems without
// such a setting it does nothing.
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
