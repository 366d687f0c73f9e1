//go:build cgo

package torch_test

import (
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/sugarme/gotch"
	"github.com/sugarme/gotch/ts"

	"github.com/gramme-project/gramme/worker/torch"
)

// tensor returns one of f32, dropped with the test, and its elements.
func tensor(t *testing.T, shape ...int64) (*ts.Tensor, []float32) {
	t.Helper()
	made, err := ts.Zeros(shape, gotch.Float, gotch.CPU)
	if err != nil {
		t.Fatal(err)
	}
	drop(t, made)
	values, err := torch.Floats(made)
	if err != nil {
		t.Fatal(err)
	}
	return made, values
}

func drop(t *testing.T, made *ts.Tensor) {
	t.Cleanup(func() {
		if err := made.Drop(); err != nil {
			t.Error(err)
		}
	})
}

func ints(t *testing.T, values ...int64) *ts.Tensor {
	t.Helper()
	made, err := torch.Ints(values)
	if err != nil {
		t.Fatal(err)
	}
	drop(t, made)
	return made
}

func TestExceptionsBecomeErrors(t *testing.T) {
	runtime.LockOSThread()
	three, _ := tensor(t, 3)
	four, _ := tensor(t, 4)
	matrix, _ := tensor(t, 5, 4)
	shape := torch.Shape{Rows: 1, Seq: 2, Heads: 2, Eps: 1e-12}
	params := func(n int) (list []*ts.Tensor) {
		for range n {
			list = append(list, matrix)
		}
		return list
	}
	for operation, f := range map[string]func() error{
		"copy tensor": func() error { return torch.Copy(three, four) },
		"copy to host": func() error {
			_, err := torch.ToHost(three, 4)
			return err
		},
		"backward": func() error { return torch.Backward(three) },
		"attention mask": func() error {
			_, err := torch.Mask(three, shape)
			return err
		},
		"embed": func() error {
			_, err := torch.Embed(torch.EmbedWeights(params(5)), ints(t, 7, 1), ints(t, 0, 0), 0, shape)
			return err
		},
		"encoder layer": func() error {
			_, err := torch.Layer(matrix, three, torch.LayerWeights(params(16)), shape)
			return err
		},
		"pretraining heads": func() error {
			_, _, err := torch.Heads(matrix, ints(t, 0), torch.HeadsWeights(params(10)), shape)
			return err
		},
		"losses": func() error {
			_, _, err := torch.Losses(matrix, three, ints(t, 0), ints(t, 0))
			return err
		},
		"set threads": func() error { return torch.SetThreads(0) },
	} {
		err := f()
		if err == nil {
			t.Errorf("%s: no error", operation)
			continue
		}
		if s := err.Error(); !strings.HasPrefix(s, operation+": ") || len(s) < len(operation)+8 {
			t.Errorf("error %q, want one of %q that says what is wrong", s, operation)
		} else if strings.Contains(s, "frame #") {
			t.Errorf("error with a C++ stack: %q", s)
		}
	}
	if err := torch.Copy(three, four); err == nil || !strings.Contains(err.Error(), "size of tensor a (3)") {
		t.Errorf("copy of 4 elements to 3: error %v", err)
	}
}

func TestLoadCUDAWithoutOne(t *testing.T) {
	runtime.LockOSThread()
	err := torch.LoadCUDA()
	if err == nil {
		t.Skip("this machine has a CUDA device")
	}
	if s := err.Error(); !strings.HasPrefix(s, "load CUDA: ") || !strings.Contains(s, "libtorch") {
		t.Errorf("error %q", s)
	}
}

func TestVersion(t *testing.T) {
	if !strings.HasPrefix(torch.Version(), "2.11.0") {
		t.Errorf("libtorch %s, want the one that scripts/setup fetches", torch.Version())
	}
}

// embedded returns what Embed makes of constant embeddings: rows of -1 and 1
// under dropout.
func embedded(t *testing.T, seed uint64, n int, shape torch.Shape) []float32 {
	t.Helper()
	words, table := tensor(t, 2, 8)
	for i := range table {
		table[i] = float32(2*(i%2) - 1)
	}
	positions, _ := tensor(t, int64(n), 8)
	types, _ := tensor(t, 2, 8)
	scale, ones := tensor(t, 8)
	for i := range ones {
		ones[i] = 1
	}
	shift, _ := tensor(t, 8)
	ids := make([]int64, n)
	if err := torch.Seed(seed); err != nil {
		t.Fatal(err)
	}
	out, err := torch.Embed(torch.EmbedWeights{words, positions, types, scale, shift}, ints(t, ids...), ints(t, ids...), 1, shape)
	if err != nil {
		t.Fatal(err)
	}
	drop(t, out)
	if shape.BF16 {
		if out, err = out.Totype(gotch.Float, false); err != nil {
			t.Fatal(err)
		}
		drop(t, out)
	}
	values, err := torch.Floats(out)
	if err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), values...)
}

func TestDropoutRate(t *testing.T) {
	runtime.LockOSThread()
	const n = 40001
	for _, bf16 := range []bool{false, true} {
		for _, p := range []float64{0, 0.1, 0.5, 0.9} {
			shape := torch.Shape{Rows: 1, Seq: n, Heads: 1, Eps: 1e-12, HiddenDropout: p, BF16: bf16, Training: true}
			values := embedded(t, 5, n, shape)
			var dropped, sum int
			for i, v := range values {
				switch want := float64(2*(i%2)-1) / (1 - p); {
				case v == 0:
					dropped++
					sum += i % 2
				case math.Abs(float64(v)-want) > 0.004*math.Abs(want): // a bit of bf16
					t.Fatalf("p %g: element %d is %g, want 0 or %g", p, i, v, want)
				}
			}
			// Five standard deviations of a binomial distribution.
			bound := 5 * math.Sqrt(p*(1-p)/float64(len(values)))
			if got := float64(dropped) / float64(len(values)); math.Abs(got-p) > bound {
				t.Errorf("p %g: a share %.5f is dropped, want it within %.5f", p, got, bound)
			}
			if got := float64(sum) / float64(len(values)/2); math.Abs(got-p) > 2*bound {
				t.Errorf("p %g: a share %.5f of the odd elements is dropped", p, got)
			}
			shape.Training = false
			for i, v := range embedded(t, 5, n, shape) {
				if v == 0 {
					t.Fatalf("p %g: element %d is dropped without training", p, i)
				}
			}
		}
	}
}

// What is dropped does not depend on the elements before, nor on the number of
// threads, and two draws are unlike each other.
func TestDropoutDraws(t *testing.T) {
	runtime.LockOSThread()
	before := torch.Threads()
	defer func() {
		if err := torch.SetThreads(before); err != nil {
			t.Error(err)
		}
	}()
	const n = 20000
	shape := torch.Shape{Rows: 1, Seq: n, Heads: 1, Eps: 1e-12, HiddenDropout: 0.5, Training: true}
	var one, two, other []float32
	for _, c := range []struct {
		to      *[]float32
		threads int
		seed    uint64
	}{{&one, 1, 5}, {&two, 2, 5}, {&other, 1, 6}} {
		if err := torch.SetThreads(c.threads); err != nil {
			t.Fatal(err)
		}
		*c.to = embedded(t, c.seed, n, shape)
	}
	var alike, neighbours int
	for i := range one {
		if one[i] != two[i] {
			t.Fatalf("element %d is %g on one thread, %g on two", i, one[i], two[i])
		}
		if (one[i] == 0) == (other[i] == 0) {
			alike++
		}
		if i > 0 && (one[i] == 0) == (one[i-1] == 0) {
			neighbours++
		}
	}
	bound := 5 * 0.5 / math.Sqrt(8*n)
	for name, count := range map[string]int{"seeds": alike, "neighbours": neighbours} {
		if share := float64(count) / float64(len(one)); math.Abs(share-0.5) > bound {
			t.Errorf("%s agree in a share of %.4f, want 0.5 within %.4f", name, share, bound)
		}
	}
}

// Rows of one token attend to that token alone: their context is the value, or
// nothing when that one probability is dropped. With a large epsilon layer norm
// only scales, so that the share and the size of what is left can be seen.
func TestAttentionDropout(t *testing.T) {
	runtime.LockOSThread()
	const rows, hidden, p, eps = 20000, 4, 0.3, 1e12
	shape := torch.Shape{Rows: rows, Seq: 1, Heads: 1, Eps: eps, AttentionDropout: p, Training: true}
	x, _ := tensor(t, rows, hidden)
	ones := make([]int64, rows)
	for i := range ones {
		ones[i] = 1
	}
	mask, err := torch.Mask(ints(t, ones...), shape)
	if err != nil {
		t.Fatal(err)
	}
	drop(t, mask)
	var params []*ts.Tensor
	for range 6 {
		for range 2 { // the inner layer is as wide as the others here
			w, _ := tensor(t, hidden, hidden)
			b, _ := tensor(t, hidden)
			params = append(params, w, b)
		}
	}
	vector := func(v ...float32) *ts.Tensor {
		made, values := tensor(t, hidden)
		copy(values, v)
		return made
	}
	identity, values := tensor(t, hidden, hidden)
	for i := range hidden {
		values[i*hidden+i] = 1
	}
	const size = 1e6
	params = params[:16]
	params[5] = vector(size, -size, size, -size) // the value's bias, of mean 0
	params[6] = identity                         // attention output
	params[8], params[9] = vector(1, 1, 1, 1), vector()
	params[14], params[15] = vector(1, 1, 1, 1), vector()

	if err := torch.Seed(3); err != nil {
		t.Fatal(err)
	}
	out, err := torch.Layer(x, mask, torch.LayerWeights(params), shape)
	if err != nil {
		t.Fatal(err)
	}
	drop(t, out)
	result, err := torch.Floats(out)
	if err != nil {
		t.Fatal(err)
	}
	v := size / (1 - p)
	want := v / math.Sqrt(v*v+eps)     // after the first layer norm
	want /= math.Sqrt(want*want + eps) // and the second
	dropped := 0
	for row := range rows {
		switch got := float64(result[row*hidden]); {
		case got == 0:
			dropped++
		case math.Abs(got-want) > 1e-4*want:
			t.Fatalf("row %d has %g, want 0 or %g", row, got, want)
		}
	}
	if share := float64(dropped) / rows; math.Abs(share-p) > 5*math.Sqrt(p*(1-p)/rows) {
		t.Errorf("a share %.4f is dropped, want %g", share, p)
	}
}
