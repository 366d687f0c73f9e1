package supervisor

import "time"

// oomKills tells which ends are those that the kernel counts as kills for want of memory.
type oomKills struct {
	seen  uint64    // kills that are accounted for
	mark  uint64    // the kernel's counter at some time
	taken time.Time // when that was
}

// oomDelay is how much later than the kernel's count the end of a process is known at most.
const oomDelay = 3 * time.Second

// take reports whether the kernel's counter shows one more kill than is accounted for,
// and accounts for it.
func (k *oomKills) take(counter uint64) bool {
	if counter <= k.seen {
		return false
	}
	k.seen++
	return true
}

// expire leaves out kills of processes that are not this run's: for a while no end of a
// process was one of them.
func (k *oomKills) expire(now time.Time, counter uint64) {
	if now.Sub(k.taken) > oomDelay {
		k.seen = max(k.seen, k.mark)
		k.mark, k.taken = counter, now
	}
}
