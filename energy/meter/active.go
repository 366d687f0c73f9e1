package meter

import (
	"context"
	"time"
)

// powercap is the folder where Linux shows the RAPL counters.
const powercap = "/sys/class/powercap"

// ActiveCounters watches the energy counters of this host that a run would use for half a
// second, and returns the names of those that count, and of those that can be read but
// stand still.
func ActiveCounters(ctx context.Context) (count, still []string) {
	return activeCounters(ctx, powercap, time.Second/2)
}

func activeCounters(ctx context.Context, root string, within time.Duration) (count, still []string) {
	began := map[string]uint64{}
	found := findRAPL(root, 1)
	for _, c := range found {
		if raw, err := c.Read(); err == nil && c.tier != tierNone {
			began[c.Describe().Meter] = raw
		}
	}
	moved := map[string]bool{}
	for end := time.Now().Add(within); len(moved) < len(began) && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
		for _, c := range found {
			name := c.Describe().Meter
			if raw, err := c.Read(); err == nil && raw != began[name] && c.tier != tierNone {
				moved[name] = true
			}
		}
	}
	for _, c := range found {
		name := c.Describe().Meter
		if _, ok := began[name]; ok && moved[name] {
			count = append(count, shortName(name))
		} else if ok {
			still = append(still, shortName(name))
		}
	}
	return count, still
}
