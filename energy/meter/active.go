package meter

import (
	"context"
	"slices"
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
	type counter struct {
		Source
		began uint64
		moved bool
	}
	var counters []*counter
	for _, c := range findRAPL(root, 1) {
		if raw, err := c.Read(); err == nil && c.tier != tierNone {
			counters = append(counters, &counter{Source: c.Source, began: raw})
		}
	}
	standsStill := func(c *counter) bool { return !c.moved }
	for end := time.Now().Add(within); slices.ContainsFunc(counters, standsStill) && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
		for _, c := range counters {
			raw, err := c.Read()
			c.moved = c.moved || err == nil && raw != c.began
		}
	}
	for _, c := range counters {
		name := shortName(c.Describe().Meter)
		if c.moved {
			count = append(count, name)
		} else {
			still = append(still, name)
		}
	}
	return count, still
}
