package meter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/energy"
	"github.com/gramme-project/gramme/internal/vfs/memfs"
)

// sampleLog is a log as a short run leaves it, frame by frame.
func sampleLog(t testing.TB) (frames [][]byte, batches []batch) {
	t.Helper()
	k := testTrack(Description{})
	k.start(at(1), 0, "")
	add := func(b batch) {
		var items []item
		for _, r := range b.Done {
			it, err := newItem(r)
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, it)
		}
		f, err := encode(items, b.Open, b.Missing)
		if err != nil {
			t.Fatal(err)
		}
		frames, batches = append(frames, f), append(batches, b)
	}
	for i := range 3 {
		k.observe(at(float64(2+i)), uint64(10*i), []slot{{phase: energy.Compute, firstStep: 1, lastStep: 2, nanos: 1e9}})
		add(batch{Open: []*energy.Reading{k.unfinished()}})
	}
	add(batch{Done: k.finish(), Open: []*energy.Reading{k.unfinished()}})
	add(batch{Done: k.stop(at(9), "lunch")})
	return frames, batches
}

// joined is what a log of some batches holds.
func joined(batches []batch) (log batch) {
	for _, b := range batches {
		log.Done, log.Open = append(log.Done, b.Done...), b.Open
	}
	return log
}

func TestTornTailAtEveryByte(t *testing.T) {
	frames, batches := sampleLog(t)
	all := bytes.Join(frames, nil)
	whole, n := 0, 0
	for cut := range len(all) + 1 {
		if n < len(frames) && cut == whole+len(frames[n]) {
			whole, n = cut, n+1
		}
		got, size := parse(all[:cut])
		if size != whole || !reflect.DeepEqual(got, joined(batches[:n])) {
			t.Fatalf("cut at %d: %d bytes are whole, want %d", cut, size, whole)
		}
		// A file system may also leave zeros where data was to come.
		got, size = parse(append(bytes.Clone(all[:cut]), make([]byte, 64)...))
		if size != whole || !reflect.DeepEqual(got, joined(batches[:n])) {
			t.Fatalf("zeros from %d: %d bytes are whole", cut, size)
		}
	}
	if n != len(frames) {
		t.Fatalf("%d frames", n)
	}
	for i := range len(all) {
		flipped := bytes.Clone(all)
		flipped[i] ^= 0x10
		got, size := parse(flipped)
		n := 0
		for upTo := 0; upTo+len(frames[n]) <= i; n++ {
			upTo += len(frames[n])
		}
		if size > i || !reflect.DeepEqual(got, joined(batches[:n])) {
			t.Fatalf("byte %d flipped: %d bytes are taken", i, size)
		}
	}
}

func TestLongLogTakesSeveralFrames(t *testing.T) {
	_, batches := sampleLog(t)
	it, err := newItem(batches[4].Done[0])
	if err != nil {
		t.Fatal(err)
	}
	n := 5 * fullFrame / len(it.json)
	b, err := encode(slices.Repeat([]item{it}, n), batches[0].Open, nil)
	if err != nil {
		t.Fatal(err)
	}
	log, whole := parse(b)
	if whole != len(b) || len(log.Done) != n || len(log.Open) != 1 {
		t.Errorf("%d of %d bytes, %d of %d records, %d open", whole, len(b), len(log.Done), n, len(log.Open))
	}
	if log, whole := parse(b[:len(b)-1]); whole < 3*fullFrame || len(log.Done) == 0 {
		t.Errorf("without its last byte, only %d bytes and %d records are left", whole, len(log.Done))
	}
}

func TestReplay(t *testing.T) {
	_, batches := sampleLog(t)
	dead := int64(1e18 + 5e9) // wall time: 1 s after the last look
	for _, c := range []struct {
		name   string
		log    batch
		boot   string
		now    float64
		length []float64 // of what comes out; a gap is negative
	}{
		{"nothing", batch{}, "", 20, nil},
		{"ended", joined(batches), "", 20, []float64{3, -5}},
		{"killed", joined(batches[:3]), "", 20, []float64{3, -1}},
		{"killed, the machine too", joined(batches[:3]), "other", 2, []float64{3, -1}},
		{"killed, and at once back", joined(batches[:3]), "", 4.25, []float64{3, -0.25}},
		{"killed, and back before it could be", joined(batches[:3]), "", 3, []float64{3}},
		{"killed after a reading was finished", joined(batches[:4]), "", 20, []float64{3, -1}},
		{"killed earlier", joined(batches[:2]), "", 20, []float64{2, -2}},
	} {
		got := replay(c.log, at(c.now), c.boot, dead)
		check(t, got)
		var length []float64
		for _, r := range got {
			s := spanOf(r).Seconds()
			if r.Gap != nil {
				s = -s
				if r.Gap.FirstStep != 2 && c.name != "ended" {
					t.Errorf("%s: gap %+v", c.name, r.Gap)
				}
			}
			length = append(length, s)
		}
		if !slices.Equal(length, c.length) {
			t.Errorf("%s: %v, want %v", c.name, length, c.length)
		}
	}
}

// The machine dies at any of the operations of the disk, and leaves any part of
// what was not synced. Whatever was stored or acknowledged before is there once,
// the next incarnation's account has no hole, and no energy is in it twice.
func TestCrashAtEveryOperation(t *testing.T) {
	dead := errors.New("the machine is dead")
	for at := range 120 {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(at), 7))
			d, host, s := newMemDisk(), newMachine(t), &service{}
			ops := 0
			d.Hook(func(memfs.Op) error {
				if ops++; ops > at {
					return dead
				}
				return nil
			})
			m := mustOpen(t, options(t, "worker-1", "a", s), host.system(t, d))
			var stored []energy.Record // when the disk was still alive
			for i := 0; ops <= at; i++ {
				m.Phase(energy.Phases()[i%3], 1, uint64(i))
				time.Sleep(time.Second)
				if i == 12 { // now and then, trim the log
					m.wal.size = 2 * logSlack
				}
				m.sample(i%4 == 3)
				if !m.storeFailing {
					stored = slices.Concat(s.records, recordsOf(m.pending()))
				}
				if r.IntN(5) == 0 && !m.storeFailing {
					if err := m.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
					if !m.storeFailing {
						stored = slices.Clone(s.records)
					}
				}
			}
			end := host.now().boot

			after := mustOpen(t, options(t, "worker-1", "b", s), host.system(t, memDisk{d.Crash(memfs.KeepSome(r.Uint64()))}))
			if err := after.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			byKey := map[energy.Key]energy.Record{}
			var old []energy.Record
			for _, rec := range s.records {
				byKey[rec.Source().Key()] = rec
				if rec.Source().Incarnation == "a" {
					old = append(old, rec)
				}
			}
			for _, want := range stored {
				if got := byKey[want.Source().Key()]; !reflect.DeepEqual(got, want) {
					t.Fatalf("operation %d: stored\n%+v\nfound\n%+v", at, want.Reading, got.Reading)
				}
			}
			for k, records := range check(t, old) {
				last := spanOf(records[len(records)-1])
				if at > 10 && last.End < end-int64(time.Second) {
					t.Errorf("operation %d: %v: the account ends %v before the process", at, k, time.Duration(end-last.End))
				}
			}
		})
	}
}

func recordsOf(items []item) (records []energy.Record) {
	for _, it := range items {
		records = append(records, it.record)
	}
	return records
}

func FuzzParse(f *testing.F) {
	frames, _ := sampleLog(f)
	f.Add(bytes.Join(frames, nil))
	f.Add(frames[0][:9])
	f.Add(frames[2][frameHeader:])
	f.Add(make([]byte, 32))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 && b[0] == '{' { // the payload of a whole frame
			h := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
			b = append(binary.LittleEndian.AppendUint32(h, crc32.Checksum(b, castagnoli)), b...)
		}
		log, whole := parse(b)
		if whole > len(b) {
			t.Fatalf("%d of %d bytes", whole, len(b))
		}
		var items []item
		for _, r := range log.Done {
			it, err := newItem(r)
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, it)
		}
		again, err := encode(items, log.Open, log.Missing)
		if err != nil {
			t.Fatal(err)
		}
		if same, _ := parse(again); len(same.Done) != len(log.Done) || len(same.Open) != len(log.Open) {
			t.Fatalf("%d records and %d open, but %d and %d when written again",
				len(log.Done), len(log.Open), len(same.Done), len(same.Open))
		}
		for _, r := range replay(log, at(5), "boot", 1e18) {
			if err := r.Validate(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
