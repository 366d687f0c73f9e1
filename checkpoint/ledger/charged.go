package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/number"
)

// Charged says which run is charged for what the counters of a host count. One process of
// a host reads them, and its run is charged for everything. Meanwhile other runs estimate
// nothing that the counters cover, so the accounts of the runs of a host add up to what
// the counters counted.
type Charged struct {
	Host string `json:"host"`
	// While a process of this run read the counters:
	Load *energy.Load `json:"load,omitempty"`
	// While processes of other runs did:
	Elsewhere []Elsewhere `json:"elsewhere,omitempty"`
}

// Elsewhere is a time in which another run was charged for the energy of this run's
// processes.
type Elsewhere struct {
	Run            string       `json:"run"`
	From           time.Time    `json:"from"`
	To             time.Time    `json:"to"`
	Seconds        number.Float `json:"seconds"` // the longest that one process states
	ProcessorNanos int64        `json:"processor_ns"`
	Records        int64        `json:"records"`
}

// charges collects which run is charged on each host.
type charges struct {
	loads     map[string]*energy.Load
	elsewhere map[[2]string]*Elsewhere   // by host and run
	seconds   map[[4]string]number.Float // by host, run, process and meter
}

func newCharges() charges {
	return charges{map[string]*energy.Load{}, map[[2]string]*Elsewhere{}, map[[4]string]number.Float{}}
}

func (c *charges) addReading(r *energy.Reading) {
	if r.Load == nil {
		return
	}
	if c.loads[r.Host] == nil {
		c.loads[r.Host] = &energy.Load{}
	}
	c.loads[r.Host].Add(*r.Load)
}

func (c *charges) addGap(g *energy.Gap) {
	key := [2]string{g.Host, g.CountedBy}
	from, to := time.Unix(0, g.WallStart).UTC(), time.Unix(0, g.WallEnd).UTC()
	e := c.elsewhere[key]
	if e == nil {
		e = &Elsewhere{Run: g.CountedBy, From: from, To: to}
		c.elsewhere[key] = e
	}
	if from.Before(e.From) {
		e.From = from
	}
	if to.After(e.To) {
		e.To = to
	}
	meter := [4]string{g.Host, g.CountedBy, g.Worker, g.Meter}
	c.seconds[meter] += number.Float(g.Seconds())
	e.Seconds = max(e.Seconds, c.seconds[meter])
	e.ProcessorNanos = energy.AddSaturating(e.ProcessorNanos, g.ProcessorNanos)
	e.Records++
}

// list returns the charges by host.
func (c *charges) list() []Charged {
	hosts := map[string]*Charged{}
	at := func(host string) *Charged {
		if hosts[host] == nil {
			hosts[host] = &Charged{Host: host}
		}
		return hosts[host]
	}
	for host, load := range c.loads {
		at(host).Load = load
	}
	for key, e := range c.elsewhere {
		h := at(key[0])
		h.Elsewhere = append(h.Elsewhere, *e)
	}
	var list []Charged
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		h := hosts[host]
		slices.SortFunc(h.Elsewhere, func(a, b Elsewhere) int {
			return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Run, b.Run))
		})
		list = append(list, *h)
	}
	return list
}

// writeCharged writes for each host with counters which run is charged.
func (a *Account) writeCharged(b *strings.Builder) {
	if len(a.Charged) > 0 {
		b.WriteString("\n")
	}
	for _, c := range a.Charged {
		if l := c.Load; l != nil {
			fmt.Fprintf(b, "host %s: its counters were read by this run, which is charged for all that they count", c.Host)
			if l.HostNanos > 0 {
				fmt.Fprintf(b, "; other processes used %.0f %% of the processor time in that time", 100*l.OthersShare())
				var runs []string
				for _, run := range slices.Sorted(maps.Keys(l.Runs)) {
					runs = append(runs, fmt.Sprintf("run %s %.0f %%", run, 100*min(1, float64(l.Runs[run])/float64(l.HostNanos))))
				}
				if len(runs) > 0 {
					fmt.Fprintf(b, " (%s)", strings.Join(runs, ", "))
				}
			}
			b.WriteString("\n")
		}
		for _, e := range c.Elsewhere {
			fmt.Fprintf(b, "host %s: its counters were read by run %s for %.1f s, from %s to %s: the energy of this run's processes in that time, with %.1f s of processor time, is in that run's account\n",
				c.Host, e.Run, float64(e.Seconds), e.From.Format("2006-01-02 15:04:05"), e.To.Format("15:04:05 MST"), float64(e.ProcessorNanos)/1e9)
		}
	}
}
