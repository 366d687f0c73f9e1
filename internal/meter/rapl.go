package meter

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gramme-project/gramme/internal/energy"
)

// raplMaxWatts is more than any package, memory of a package or platform with a
// RAPL counter draws. With the smallest range that exists (65.5 kJ) a wrap is
// missed after 32 s.
const raplMaxWatts = 1000

// zone is a counter of Linux's powercap tree, in µJ.
type zone struct {
	folder string
	meter  string
	kind   string
	covers []string
	wrap   uint64
}

// findRAPL returns the counters under root, such as /sys/class/powercap, that
// do not overlap: the whole platform where it has one, else every package and
// the memory beside it. Cores and uncore lie inside a package. The tree
// intel-rapl-mmio shows the same counters as intel-rapl. Whether a counter can
// be read is seen when it is.
func findRAPL(root string) []Source {
	var packages, platform, dram []*zone
	folders, _ := filepath.Glob(filepath.Join(root, "intel-rapl:*")) // the pattern is well formed
	names := map[string]string{}
	for _, f := range folders {
		names[filepath.Base(f)] = text(f, "name")
	}
	for _, f := range folders {
		id := strings.TrimPrefix(filepath.Base(f), "intel-rapl:")
		z := &zone{folder: f, meter: "rapl:" + names[filepath.Base(f)]}
		z.wrap, _ = number(f, "max_energy_range_uj") // unknown is 0: then a fall is not believed to be a wrap
		parent, _, nested := strings.Cut(id, ":")
		switch name := names[filepath.Base(f)]; {
		case name == "psys" && !nested:
			z.kind, z.covers = kindPlatform, []string{kindCPU, kindMemory}
			platform = append(platform, z)
		case strings.HasPrefix(name, "package") && !nested:
			z.kind, z.covers = kindCPU, []string{kindCPU}
			packages = append(packages, z)
		case name == "dram" && nested:
			z.meter = fmt.Sprintf("rapl:%s/dram", names["intel-rapl:"+parent])
			z.kind, z.covers = kindMemory, []string{kindMemory}
			dram = append(dram, z)
		}
	}
	if len(platform) > 0 {
		packages, dram = platform, nil
	}
	var sources []Source
	seen := map[string]bool{}
	for _, z := range append(distinct(packages), distinct(dram)...) {
		if seen[z.meter] {
			z.meter += "@" + filepath.Base(z.folder)
		}
		seen[z.meter] = true
		sources = append(sources, z)
	}
	return sources
}

// distinct drops zones that show the counter of an earlier one under another
// name: what they read lies between two readings of that.
func distinct(zones []*zone) (kept []*zone) {
next:
	for _, z := range zones {
		for _, k := range kept {
			before, err1 := k.Read()
			value, err2 := z.Read()
			after, err3 := k.Read()
			if err1 == nil && err2 == nil && err3 == nil && value > 0 && before <= value && value <= after {
				continue next
			}
		}
		kept = append(kept, z)
	}
	return kept
}

func (z *zone) Describe() Description {
	return Description{
		Meter: z.meter, Kind: z.kind, Method: energy.Counter, Scope: energy.Host,
		Unit: "uJ", Range: z.wrap, Num: 1, Den: 1, MaxWatts: raplMaxWatts, Covers: z.covers,
	}
}

func (z *zone) Read() (uint64, error) { return number(z.folder, "energy_uj") }
func (z *zone) Close() error          { return nil }

func text(folder, name string) string {
	b, _ := os.ReadFile(filepath.Join(folder, name)) // a zone without a name is none that we know
	return strings.TrimSpace(string(b))
}

func number(folder, name string) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", filepath.Join(folder, name), err)
	}
	return n, nil
}
