//go:build !linux

package torch

func nameThread(string) {}
