package pipeline

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"
)

func numbers(n int, fail error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if fail != nil {
			yield(0, fail)
		}
	}
}

func TestOrdered(t *testing.T) {
	for _, cores := range []int{1, 2, 7} {
		before := runtime.GOMAXPROCS(cores)
		var under, most atomic.Int64
		next := 0
		err := Ordered(t.Context(), numbers(2000, nil), func(i int) (int, error) {
			most.Store(max(most.Load(), under.Add(1)))
			for range i * 7919 % 50 { // some take longer than others
				runtime.Gosched()
			}
			return i * i, nil
		}, func(r int) error {
			if r != next*next {
				t.Fatalf("result %d is %d", next, r)
			}
			next++
			under.Add(-1)
			return nil
		})
		runtime.GOMAXPROCS(before)
		if err != nil || next != 2000 {
			t.Errorf("%d cores: %d results, %v", cores, next, err)
		}
		if most.Load() > int64(4*cores) {
			t.Errorf("%d cores: %d under way", cores, most.Load())
		}
	}
}

func TestOrderedStops(t *testing.T) {
	bad := errors.New("bad")
	same := func(i int) (int, error) { return i, nil }
	none := func(int) error { return nil }
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	endless := numbers(1<<60, nil)
	for name, c := range map[string]struct {
		ctx   context.Context
		items iter.Seq2[int, error]
		work  func(int) (int, error)
		take  func(int) error
		want  error
	}{
		"items": {t.Context(), numbers(100, bad), same, none, bad},
		"work": {t.Context(), endless, func(i int) (int, error) {
			if i == 50 {
				return 0, bad
			}
			return i, nil
		}, none, bad},
		"take": {t.Context(), endless, same, func(i int) error {
			if i == 50 {
				return bad
			}
			return nil
		}, bad},
		"context": {cancelled, endless, same, none, context.Canceled},
	} {
		if err := Ordered(c.ctx, c.items, c.work, c.take); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
