package meter

import (
	"fmt"
	"math"

	"github.com/gramme-project/gramme/energy"
)

// Kinds of device, as records show them.
const (
	kindCPU      = "cpu"
	kindMemory   = "memory"
	kindPlatform = "platform"
)

// micros is the precision of a configured power, in 1/micros of a watt.
const micros = 1_000_000

// processor estimates the energy of a process from its processor time:
// E = t · watts of a busy thread.
type processor struct {
	busy func() uint64
	num  uint64
}

// newProcessor returns nil when the power is 0 to a microwatt.
func newProcessor(busy func() uint64, watts float64) Source {
	if num := uint64(math.Round(watts * micros)); num > 0 {
		return &processor{busy, num}
	}
	return nil
}

func (p *processor) Describe() Description {
	return Description{
		Meter: "cpu", Kind: kindCPU, Method: energy.Estimated, Scope: energy.Process,
		Unit: "cpu_ns", Num: p.num, Den: 1000 * micros, ProcessorTime: true, // 1 W · 1 ns = 1/1000 µJ
	}
}

func (p *processor) Read() (uint64, error) { return p.busy(), nil }
func (p *processor) Close() error          { return nil }

// memory estimates the energy of a process from its memory in RAM, integrated over time
// by the trapezoidal rule: E = ∫ size dt · watts per GiB.
type memory struct {
	now      func() instant
	resident func() (uint64, error) // KiB
	num      uint64

	started   bool
	at        int64
	kib       uint64
	total     uint64 // MiB µs
	remainder uint64 // that a division left over
}

func newMemory(now func() instant, resident func() (uint64, error), wattsPerGB float64) Source {
	if num := uint64(math.Round(wattsPerGB * micros)); num > 0 {
		return &memory{now: now, resident: resident, num: num}
	}
	return nil
}

func (m *memory) Describe() Description {
	return Description{
		Meter: "memory", Kind: kindMemory, Method: energy.Estimated, Scope: energy.Process,
		Unit: "MiB_us", Num: m.num, Den: 1024 * micros, // 1 W/GiB · 1 MiB · 1 µs = 1/1024 µJ
	}
}

func (m *memory) Read() (uint64, error) {
	kib, err := m.resident()
	if err != nil {
		return 0, fmt.Errorf("read size of memory: %w", err)
	}
	at := m.now().awake() // memory of a host that is suspended draws next to nothing
	if m.started && at > m.at {
		const halfKiBNanos = 2 * 1024 * 1000 // in a MiB µs
		grown, rest, ok := energy.Scale(kib+m.kib, uint64(at-m.at), halfKiBNanos, m.remainder)
		if !ok {
			return 0, fmt.Errorf("integrate memory: %d KiB for %d ns overflows", kib, at-m.at)
		}
		m.total += uint64(grown)
		m.remainder = rest
	}
	m.started, m.at, m.kib = true, max(m.at, at), kib
	return m.total, nil
}

func (m *memory) Close() error { return nil }
