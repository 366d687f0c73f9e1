// Package pipeline runs work on all cores without letting the number of cores
// show in the result.
package pipeline

import (
	"context"
	"iter"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Ordered draws items, works on several at a time, and hands the results to take
// in the order of the items. Only a few are under way at a time. items and take
// each run in one goroutine, work in several. The first error, or the end of
// ctx, ends everything; Ordered returns when all has stopped.
func Ordered[T, R any](ctx context.Context, items iter.Seq2[T, error], work func(T) (R, error), take func(R) error) error {
	type outcome struct {
		result R
		err    error
	}
	group, ctx := errgroup.WithContext(ctx)
	slots := make(chan chan outcome, 2*runtime.GOMAXPROCS(0))
	group.Go(func() error {
		defer close(slots)
		for item, err := range items {
			if err != nil {
				return err
			}
			slot := make(chan outcome, 1)
			select {
			case slots <- slot:
			case <-ctx.Done():
				return ctx.Err()
			}
			group.Go(func() error {
				result, err := work(item)
				slot <- outcome{result, err}
				return nil
			})
		}
		return nil
	})
	group.Go(func() error {
		for slot := range slots {
			select {
			case o := <-slot:
				if o.err != nil {
					return o.err
				}
				if err := take(o.result); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}
