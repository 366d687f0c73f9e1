package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gramme-project/gramme/shard"
	"github.com/gramme-project/gramme/shard/sampler"
	"github.com/gramme-project/gramme/shard/wordpiece"
)

// smallCorpus is one of a few documents, with all three splits.
func smallCorpus(t *testing.T) (string, shard.Manifest) {
	t.Helper()
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.Mkdir(text, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		var b strings.Builder
		for j := range 30 {
			fmt.Fprintf(&b, "Page %d has line %d of its own words, %d in all. ", i, j, i*j)
		}
		if err := os.WriteFile(filepath.Join(text, fmt.Sprintf("%d.txt", i)), []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "corpus")
	m, err := shard.Prepare(t.Context(), shard.PrepareOptions{Inputs: []string{text}, OutDir: out, VocabSize: 200, MaxSeq: 32, Lowercase: true, ShardTokens: 1 << 16, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return out, m
}

// TestSamples: the arrays are what evaluation and training draw.
func TestSamples(t *testing.T) {
	dir, m := smallCorpus(t)
	for _, split := range []string{"train", "validation"} {
		cfg := sampler.EvaluationConfig(split, 32, sampleWindow, 64)
		cfg.Seed = 7
		draw := sampler.NewEvaluation
		if split == "train" {
			draw = epoch
		}
		a, err := samples(context.Background(), dir, m, cfg, draw)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := wordpiece.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		mask := int32(slices.Index(tok.Vocab(), "[MASK]"))
		if a.rows < 2 || len(a.ids) != a.rows*32 || len(a.labels) != len(a.ids) || len(a.types) != len(a.ids) || len(a.next) != a.rows {
			t.Fatalf("%s: %d rows, %d ids, %d labels, %d types, %d pairs", split, a.rows, len(a.ids), len(a.labels), len(a.types), len(a.next))
		}
		predicted := 0
		for i, label := range a.labels {
			if label >= 0 {
				predicted++
			} else if a.ids[i] == mask {
				t.Fatalf("%s: position %d is masked and has no label", split, i)
			}
		}
		if share := float64(predicted) / float64(len(a.ids)); share < 0.1 || share > 0.16 {
			t.Errorf("%s: %.3f of the tokens are to predict", split, share)
		}
		out := t.TempDir()
		if err := a.write(out, split != "train"); err != nil {
			t.Fatal(err)
		}
		if split == "train" && slices.Contains(a.ids, mask) {
			t.Error("samples of the train split are masked")
		}
		if _, err := os.Stat(filepath.Join(out, "labels.npy")); (err == nil) != (split == "validation") {
			t.Errorf("%s: labels: %v", split, err)
		}
	}
}

// TestNPY compares with bytes that numpy.save wrote.
func TestNPY(t *testing.T) {
	var b bytes.Buffer
	if err := (npy{"x", []int32{1, -100, 70000, 4, 5, 6}, []int{2, 3}}).write(&b); err != nil {
		t.Fatal(err)
	}
	want := "\x93NUMPY\x01\x00v\x00{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }" + strings.Repeat(" ", 58) + "\n" +
		"\x01\x00\x00\x00\x9c\xff\xff\xffp\x11\x01\x00\x04\x00\x00\x00\x05\x00\x00\x00\x06\x00\x00\x00"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	if err := (npy{"x", []byte{1, 0}, []int{2}}).write(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "'descr': '|u1', 'fortran_order': False, 'shape': (2,), }") || b.Len() != 130 {
		t.Errorf("%q", b.String())
	}
}
