package ledger

import (
	"fmt"
	"testing"
)

// BenchmarkAppend is dominated by two syncs and one rename, however many entries
// there are.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			l := mustOpen(b, testOptions(b))
			seq := uint64(0)
			entries := make([]Entry, n)
			for b.Loop() {
				for i := range entries {
					seq++
					entries[i] = reading("w0", "cpu", seq, 12_345_678)
				}
				mustAppend(b, l, entries...)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkOpen and BenchmarkVerify read a log of 100,000 readings.
func BenchmarkOpen(b *testing.B) {
	o := longLog(b)
	for b.Loop() {
		l, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	o := longLog(b)
	for b.Loop() {
		mustVerify(b, o.Dir)
	}
}

func longLog(b *testing.B) Options {
	o := testOptions(b)
	l := mustOpen(b, o)
	entries := make([]Entry, 1000)
	for batch := range 100 {
		for i := range entries {
			entries[i] = reading("w0", "cpu", uint64(batch*len(entries)+i+1), 12_345_678)
		}
		mustAppend(b, l, entries...)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	return o
}
