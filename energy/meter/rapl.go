package meter

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gramme-project/gramme/energy"
)

// The most that a package, its memory or a platform can draw, in watts. With the smallest
// range that exists (65.5 kJ) a wrap is missed after 32 s at maxDeviceWatts, which no
// device with a RAPL counter draws. A package without published limits is assumed to draw
// defaultPackageWatts and wattsPerThread for each of its threads; a package with limits
// may exceed them for some milliseconds.
const (
	maxDeviceWatts      = 1000.0
	defaultPackageWatts = 400.0
	wattsPerThread      = 10.0
	minPackageWatts     = 100.0
	limitFactor         = 2.0
)

// Tiers in which the counters of a host are used: the first tier with a trusted counter,
// as a whole.
const (
	tierPlatform = iota // the whole machine
	tierPackages        // every package, and the memory beside it
	tierNone            // never used: it only shows whether the others can be right
)

// hostCounter is a counter of a host and its place among the others.
type hostCounter struct {
	Source
	tier          int
	parts         []string // meters of what lies inside it
	mayStandStill bool     // however busy the host is
}

// raplZone is a counter of Linux's powercap tree, in µJ.
type raplZone struct {
	folder   string
	name     string
	meter    string
	kind     string
	covers   []string
	wrap     uint64
	maxWatts float64
}

// findRAPL returns the counters under root, such as /sys/class/powercap: those of the
// whole platform, of every package and of the memory beside it, and the parts of packages
// as a check. The tree intel-rapl-mmio repeats the counters of packages: it is used where
// intel-rapl has none. Whether a counter can be read and believed is decided later.
func findRAPL(root string, threads int) []hostCounter {
	found := findZones(root, "intel-rapl:", threads)
	for _, c := range found {
		if c.tier == tierPackages {
			return found
		}
	}
	return append(found, findZones(root, "intel-rapl-mmio:", threads)...)
}

func findZones(root, prefix string, threads int) (found []hostCounter) {
	var packages, platform, dram, inside []*raplZone
	folders, _ := filepath.Glob(filepath.Join(root, prefix+"*")) // the pattern is well formed
	names := map[string]string{}
	for _, f := range folders {
		names[filepath.Base(f)] = text(f, "name")
	}
	parents := map[*raplZone]string{}
	for _, f := range folders {
		id := strings.TrimPrefix(filepath.Base(f), prefix)
		name := names[filepath.Base(f)]
		z := &raplZone{folder: f, name: name, meter: "rapl:" + name}
		z.wrap, _ = number(f, "max_energy_range_uj") // unknown is 0: then a fall is not believed to be a wrap
		parent, _, nested := strings.Cut(id, ":")
		if nested {
			parents[z] = parent
			z.meter = fmt.Sprintf("rapl:%s/%s", names[prefix+parent], name)
		}
		switch {
		case name == "psys" && !nested:
			z.kind, z.covers = kindPlatform, []string{kindCPU, kindMemory}
			platform = append(platform, z)
		case strings.HasPrefix(name, "package") && !nested:
			z.kind, z.covers = kindCPU, []string{kindCPU}
			packages = append(packages, z)
		case name == "dram" && nested:
			z.kind, z.covers = kindMemory, []string{kindMemory}
			dram = append(dram, z)
		case (name == "core" || name == "uncore") && nested:
			z.kind = kindCPU
			inside = append(inside, z)
		}
	}
	packages = distinct(packages)
	limits := make([]float64, 0, len(packages))
	for _, z := range packages {
		limits = append(limits, maxPowerOf(z.folder, threads/len(packages)))
	}
	seen := map[string]bool{}
	byParent := map[string][]string{} // meters of what lies inside a package
	var parts []string                // of the platform
	add := func(zones []*raplZone, tier int, most func(i int) float64) {
		for i, z := range zones {
			if seen[z.meter] {
				z.meter += "@" + filepath.Base(z.folder)
			}
			seen[z.meter] = true
			z.maxWatts = most(i)
			c := hostCounter{Source: z, tier: tier}
			switch {
			case tier == tierNone:
				byParent[parents[z]] = append(byParent[parents[z]], z.meter)
			case tier == tierPackages:
				parts = append(parts, z.meter)
				c.parts = byParent[strings.TrimPrefix(filepath.Base(z.folder), prefix)]
			default:
				c.parts = parts
			}
			found = append(found, c)
		}
	}
	most := func(int) float64 { return maxDeviceWatts }
	add(inside, tierNone, most)
	add(packages, tierPackages, func(i int) float64 { return limits[i] })
	add(distinct(dram), tierPackages, most)
	add(distinct(platform), tierPlatform, func(int) float64 { return maxDeviceWatts * float64(max(1, len(packages))) })
	return found
}

// maxPowerOf returns more than a package with so many threads draws: by its published
// limits, if it has any.
func maxPowerOf(folder string, threads int) float64 {
	var limit uint64 // µW
	files, _ := filepath.Glob(filepath.Join(folder, "constraint_*_uw"))
	for _, f := range files {
		if base := filepath.Base(f); strings.HasSuffix(base, "_max_power_uw") || strings.HasSuffix(base, "_power_limit_uw") {
			value, _ := number(folder, base) // many cannot be read
			limit = max(limit, value)
		}
	}
	if limit > 0 {
		return min(max(float64(limit)/1e6*limitFactor, minPackageWatts), maxDeviceWatts)
	}
	return min(defaultPackageWatts+wattsPerThread*float64(threads), maxDeviceWatts)
}

// distinct drops zones that show the counter of an earlier one under another name: their
// value lies between two values of the earlier one.
func distinct(zones []*raplZone) (kept []*raplZone) {
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

func (z *raplZone) Describe() Description {
	return Description{
		Meter: z.meter, Kind: z.kind, Method: energy.Counter, Scope: energy.Host,
		Unit: "uJ", Range: z.wrap, Num: 1, Den: 1, MaxWatts: z.maxWatts, Covers: z.covers,
	}
}

// Read returns the counter. A folder may belong to another zone after packages were
// removed and added.
func (z *raplZone) Read() (uint64, error) {
	n, err := number(z.folder, "energy_uj")
	if err != nil {
		return 0, err
	}
	if name := text(z.folder, "name"); name != z.name {
		return 0, fmt.Errorf("read %s: it was %s and is %q now", filepath.Base(z.folder), z.name, name)
	}
	return n, nil
}

func (z *raplZone) Close() error { return nil }

// text returns the content of a file, empty if it cannot be read: a zone without a name is
// none that we know.
func text(folder, name string) string {
	b, _ := os.ReadFile(filepath.Join(folder, name))
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
