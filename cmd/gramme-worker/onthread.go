//go:build cgo

package main

import (
	"github.com/gramme-project/gramme/internal/vector"
	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/worker/torch"
)

// onThread is a device whose calls run on the thread that may touch its tensors. The caller
// watches over how long they take.
type onThread struct {
	device replica.Device
	thread *torch.Thread
}

func (d onThread) Words(n int) (words []int32, err error) {
	err = d.thread.Do(func() (err error) {
		words, err = d.device.Words(n)
		return err
	})
	return words, err
}

func (d onThread) Reset() error { return d.thread.Do(d.device.Reset) }

func (d onThread) Add(scales []float32, limit int32) (got replica.Rounded, err error) {
	err = d.thread.Do(func() (err error) {
		got, err = d.device.Add(scales, limit)
		return err
	})
	return got, err
}

func (d onThread) ReadSum(words []int32) error {
	return d.thread.Do(func() error { return d.device.ReadSum(words) })
}

func (d onThread) LoadEntry(words []int32) error {
	return d.thread.Do(func() error { return d.device.LoadEntry(words) })
}

func (d onThread) Squares(lanes []float64) error {
	return d.thread.Do(func() error { return d.device.Squares(lanes) })
}

func (d onThread) Update(p vector.AdamW, quanta []float64, decays []float32) error {
	return d.thread.Do(func() error { return d.device.Update(p, quanta, decays) })
}

func (d onThread) Read(weights, moment1, moment2 []float32) error {
	return d.thread.Do(func() error { return d.device.Read(weights, moment1, moment2) })
}

func (d onThread) Write(weights, moment1, moment2 []float32) error {
	return d.thread.Do(func() error { return d.device.Write(weights, moment1, moment2) })
}
