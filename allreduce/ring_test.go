package allreduce_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gramme-project/gramme/allreduce"
	"github.com/gramme-project/gramme/allreduce/memlink"
	"github.com/gramme-project/gramme/allreduce/ringtest"
)

func mesh(world int) ([]*memlink.Link, []allreduce.Link) {
	own := memlink.NewMesh(world)
	links := make([]allreduce.Link, world)
	for i, l := range own {
		links[i] = l
	}
	return own, links
}

// header returns a frame as the faults forge it.
func header(m memlink.Message, edit func(*allreduce.Frame)) memlink.Message {
	f, err := allreduce.DecodeFrame(m.Header, m.Payload)
	if err != nil {
		panic(err)
	}
	edit(&f)
	h := f.Encode(m.Payload)
	return memlink.Message{Header: h[:], Payload: m.Payload}
}

// at applies a fault to the n-th frame that a link sends.
func at(n int, fault memlink.Fault) memlink.Fault {
	i := 0
	return func(m memlink.Message) []memlink.Message {
		if i++; i-1 == n {
			return fault(m)
		}
		return []memlink.Message{m}
	}
}

// TestFaults spoils one frame of rank 1: rank 2 must name it and every rank must
// end with an error.
func TestFaults(t *testing.T) {
	var held memlink.Message
	one := func(m memlink.Message) []memlink.Message { return []memlink.Message{m} }
	for _, c := range []struct {
		name  string
		fault memlink.Fault
		want  error
		says  string
	}{
		{"flipped byte of the payload", at(4, func(m memlink.Message) []memlink.Message {
			m.Payload[3] ^= 0x40
			return one(m)
		}), allreduce.ErrCorrupt, "frame 4 of generation 9, step 1"},
		{"flipped byte of the header", at(4, func(m memlink.Message) []memlink.Message {
			m.Header[20] ^= 1
			return one(m)
		}), allreduce.ErrCorrupt, "CRC32C"},
		{"cut", at(4, func(m memlink.Message) []memlink.Message {
			m.Payload = m.Payload[:len(m.Payload)-1]
			return one(m)
		}), allreduce.ErrCorrupt, "frame 4"},
		{"no header", at(4, func(m memlink.Message) []memlink.Message {
			m.Header = nil
			return one(m)
		}), allreduce.ErrCorrupt, "header of 0 bytes"},
		{"lost", at(4, func(memlink.Message) []memlink.Message { return nil }), allreduce.ErrSequence, "frame 4 is missing"},
		{"repeated", at(4, func(m memlink.Message) []memlink.Message {
			return []memlink.Message{m, m}
		}), allreduce.ErrSequence, "frame 5 is due"},
		{"reordered", func() memlink.Fault {
			i := 0
			return func(m memlink.Message) []memlink.Message {
				switch i++; i - 1 {
				case 1:
					held = m
					return nil
				case 2:
					return []memlink.Message{m, held}
				}
				return one(m)
			}
		}(), allreduce.ErrSequence, "frame 1 is missing"},
		{"another run", at(4, func(m memlink.Message) []memlink.Message {
			return one(header(m, func(f *allreduce.Frame) { f.Run++ }))
		}), allreduce.ErrForeign, "run "},
		{"future generation", at(4, func(m memlink.Message) []memlink.Message {
			return one(header(m, func(f *allreduce.Frame) { f.Generation++ }))
		}), allreduce.ErrForeign, "generation 10"},
		{"another ring", at(4, func(m memlink.Message) []memlink.Message {
			return one(header(m, func(f *allreduce.Frame) { f.World++ }))
		}), allreduce.ErrForeign, "from rank 1 of 5, not rank 1 of 4"},
		{"another step", at(4, func(m memlink.Message) []memlink.Message {
			return one(header(m, func(f *allreduce.Frame) { f.Step++ }))
		}), allreduce.ErrMismatch, "due are step 1"},
		{"another place", at(4, func(m memlink.Message) []memlink.Message {
			return one(header(m, func(f *allreduce.Frame) { f.Offset++ }))
		}), allreduce.ErrMismatch, "hop 0 chunk 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const world = 4
			mem, links := mesh(world)
			mem[1].SetFault(c.fault)
			own := ringtest.Vectors(1, world, 200, allreduce.Int32)
			_, errs := ringtest.Reduce(t, ringtest.Rings(t, 9, links, func(cfg *allreduce.Config) { cfg.Window = 16 }), 1, own)
			var peer *allreduce.PeerError
			if err := errs[2]; !errors.Is(err, c.want) || !errors.As(err, &peer) || peer.Rank != 1 || !strings.Contains(err.Error(), c.says) {
				t.Errorf("rank 2 says %q, not %q by %v of rank 1", err, c.says, c.want)
			}
			for r, err := range errs {
				if err == nil {
					t.Errorf("rank %d has no error", r)
				}
			}
		})
	}
}

// TestOlderGeneration mixes frames of older generations into the stream.
func TestOlderGeneration(t *testing.T) {
	mem, links := mesh(3)
	mem[0].SetFault(func(m memlink.Message) []memlink.Message {
		old := header(m, func(f *allreduce.Frame) { f.Generation -= 2 })
		return []memlink.Message{old, m, old}
	})
	own := ringtest.Vectors(1, 3, 100, allreduce.Int32)
	results, errs := ringtest.Reduce(t, ringtest.Rings(t, 5, links, nil), 1, own)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	ringtest.Check(t, allreduce.Int32, own, results)
}

// TestSlowLink delays every frame of one rank.
func TestSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, links := mesh(3)
		mem[2].SetFault(func(m memlink.Message) []memlink.Message {
			time.Sleep(10 * time.Millisecond)
			return []memlink.Message{m}
		})
		own := ringtest.Vectors(1, 3, 300, allreduce.Int32)
		results, errs := ringtest.Reduce(t, ringtest.Rings(t, 5, links, nil), 1, own)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		ringtest.Check(t, allreduce.Int32, own, results)
	})
}

// TestSilentPeer lets a rank take no part: the context must end the wait of the
// others, and the window hold back what was sent to it.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, links := mesh(3)
		sent := 0
		mem[1].SetFault(func(m memlink.Message) []memlink.Message {
			sent++
			return []memlink.Message{m}
		})
		ring := ringtest.Rings(t, 1, links, nil)[1]
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := ring.AllReduce(ctx, 1, make([]int32, 300), make([]int32, 300))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("not the deadline: %v", err)
		}
		if window := ringtest.Config(1, 1, 3).Window; sent != window {
			t.Errorf("%d frames were sent into a window of %d", sent, window)
		}
	})
}

func TestWrongUse(t *testing.T) {
	_, links := mesh(2)
	for _, c := range []struct {
		edit func(*allreduce.Config)
		says string
	}{
		{func(c *allreduce.Config) { c.World = 0 }, "world size 0"},
		{func(c *allreduce.Config) { c.World = allreduce.MaxWorld + 1 }, "world size 65536"},
		{func(c *allreduce.Config) { c.Rank = 2 }, "rank 2"},
		{func(c *allreduce.Config) { c.Rank = -1 }, "rank -1"},
		{func(c *allreduce.Config) { c.Sum = 7 }, "sum 7"},
		{func(c *allreduce.Config) { c.ChunkWords = -1 }, "chunks of -1"},
		{func(c *allreduce.Config) { c.Window = allreduce.MaxWindow + 1 }, "window 1025"},
	} {
		cfg := ringtest.Config(4, 0, 2)
		c.edit(&cfg)
		if _, err := allreduce.New(cfg, links[0]); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q is not said: %v", c.says, err)
		}
	}
	if _, err := allreduce.New(ringtest.Config(4, 0, 2), nil); err == nil {
		t.Error("a ring of 2 without a link")
	}

	ring, err := allreduce.New(ringtest.Config(4, 0, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	v := []int32{1, 2, 3, 4}
	for _, c := range []struct {
		step        uint64
		own, result []int32
		says        string
	}{
		{3, v[:3], v[1:], "overlap"},
		{3, v, make([]int32, 3), "own has 4 words, result 3"},
		{3, v, make([]int32, 4), ""},
		{3, v, make([]int32, 4), "step 3 was reduced already"},
		{2, v, make([]int32, 4), "step 3 was reduced already"},
		{4, v, make([]int32, 4), ""},
	} {
		err := ring.AllReduce(t.Context(), c.step, c.own, c.result)
		if got := fmt.Sprint(err); (err == nil) != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("step %d: %v, not %q", c.step, err, c.says)
		}
		if err == nil && !slices.Equal(c.own, c.result) {
			t.Errorf("a world of 1 gives %v for %v", c.result, c.own)
		}
	}
}
