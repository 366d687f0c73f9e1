//go:build cgo

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gramme-project/gramme/checkpoint"
	"github.com/gramme-project/gramme/internal/exit"
	"github.com/gramme-project/gramme/internal/number"
	"github.com/gramme-project/gramme/internal/rundir"
	"github.com/gramme-project/gramme/runspec"
	"github.com/gramme-project/gramme/shard/wordpiece"
	"github.com/gramme-project/gramme/worker/bert"
)

func predictCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "predict [flags] text...",
		Short: "fill the [MASK] of a text with a checkpoint's model",
		Long: `Prints for every [MASK] of each text the most likely pieces with their probability.
Texts are the arguments, or the lines of standard input for -. The files that are read
are compared with the checkpoint's manifest first; where there is none, a note says so.`,
		Args: cobra.MinimumNArgs(1),
	}
	dir := c.Flags().String("run", "runs/default", "`folder` of the run, whose newest checkpoint is used")
	folder := c.Flags().String("model", "", "`folder` of a checkpoint or another Hugging Face BERT, instead of --run")
	top := c.Flags().Int("top", 5, "predictions for each [MASK]")
	threads := c.Flags().Int("threads", runtime.NumCPU(), "threads")
	asJSON := c.Flags().Bool("json", false, "print JSON, one line per text")
	raw := c.Flags().Bool("logits", false, "print one JSON object with the ids and all logits of the texts, for comparison with other software")
	c.RunE = func(c *cobra.Command, args []string) error {
		if *top < 1 || *threads < 1 {
			return exit.Wrap(exit.Usage, "", errors.New("--top and --threads are at least 1"))
		}
		texts, err := textsOf(args, c.InOrStdin())
		if err != nil {
			return err
		}
		if *folder != "" {
			err = verifyModel(*folder, c.ErrOrStderr())
		} else {
			var newest checkpoint.Choice
			newest, err = newestModel(rundir.Dir(*dir), c.ErrOrStderr())
			*folder = newest.Folder
		}
		if err != nil {
			return err
		}
		return predict(c.OutOrStdout(), *folder, texts, output{*top, *asJSON, *raw}, *threads)
	}
	return c
}

func textsOf(args []string, in io.Reader) ([]string, error) {
	if !slices.Equal(args, []string{"-"}) {
		return args, nil
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(string(b), "\n"), "\n"), nil
}

// guess is one prediction for a [MASK].
type guess struct {
	Token       string       `json:"token"`
	Probability number.Float `json:"probability"`
}

type prediction struct {
	Text  string    `json:"text"`
	Masks [][]guess `json:"masks"` // by the order of the [MASK]s
}

// output is the format of the answers.
type output struct {
	top       int
	json, raw bool
}

// answer is the model's result for one text.
type answer struct {
	ids  []int64
	mlm  [][]float32 // logits over the vocabulary, by the order of the [MASK]s
	next [2]float32  // logits of the next-sentence head
}

func predict(out io.Writer, folder string, texts []string, o output, threads int) (err error) {
	// Errors in the texts are reported before the weights are read.
	if _, err := os.Stat(folder); err != nil {
		return exit.Wrap(exit.Usage, "name a run with --run or a model's folder with --model", fmt.Errorf("predict: %w", err))
	}
	tok, err := wordpiece.Load(folder)
	if err != nil {
		return exit.Wrap(exit.Usage, "name a run with --run or a model's folder with --model", err)
	}
	for _, text := range texts {
		if !slices.Contains(tok.EncodeWithSpecial(nil, text), tok.MASK()) {
			return exit.Wrap(exit.Usage, "write [MASK] in place of the word to guess", fmt.Errorf("predict: no [MASK] in %q", text))
		}
	}
	cfg, layout, weights, err := checkpoint.ReadModel(folder)
	if err != nil {
		return exit.Wrap(exit.Usage, "name a run with --run or a model's folder with --model", err)
	}
	if n := notFinite(weights); n > 0 {
		return noAnswer(fmt.Errorf("predict: %d of the %d weights in %s are not finite: such a model gives no answers", n, layout.Parameters(), folder))
	}
	if len(tok.Vocab()) != cfg.VocabSize {
		return fmt.Errorf("predict: the tokenizer has %d pieces, the model %d", len(tok.Vocab()), cfg.VocabSize)
	}
	e, err := openEngine(cfg, layout, bert.Options{Device: runspec.DeviceCPU, Precision: runspec.PrecisionF32, Threads: threads}, hung(nil))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := e.setWeights(weights); err != nil {
		return err
	}
	var answers []answer
	for _, text := range texts {
		a, err := ask(e, tok, text)
		if err != nil {
			return err
		}
		if err := a.check(); err != nil {
			return noAnswer(fmt.Errorf("predict %q: %w", text, err))
		}
		if o.raw {
			answers = append(answers, a)
			continue
		}
		p := prediction{Text: text}
		for _, l := range a.mlm {
			p.Masks = append(p.Masks, best(l, tok.Vocab(), o.top))
		}
		if err := show(out, p, o.json); err != nil {
			return err
		}
	}
	if o.raw {
		return showLogits(out, texts, answers)
	}
	return nil
}

// ask puts a text to the model.
func ask(e *engine, tok *wordpiece.Tokenizer, text string) (a answer, err error) {
	ids := append([]int32{tok.CLS()}, tok.EncodeWithSpecial(nil, text)...)
	ids = append(ids, tok.SEP())
	n := len(ids)
	if n > e.config.MaxPositions {
		return a, exit.Wrap(exit.Usage, "shorten it", fmt.Errorf("predict: a text of %d pieces, the model takes %d", n, e.config.MaxPositions))
	}
	types, mask := make([]int64, n), make([]int64, n)
	var positions []int64
	for i, id := range ids {
		a.ids = append(a.ids, int64(id))
		mask[i] = 1
		if id == tok.MASK() {
			positions = append(positions, int64(i))
		}
	}
	err = e.do("texts", func() error {
		mlm, next, err := e.model.PredictMasked(a.ids, types, mask, 1, n, positions)
		if err == nil {
			a.mlm, a.next = mlm, next[0]
		}
		return err
	})
	return a, err
}

// check reports logits that are no numbers: nothing follows from them.
func (a answer) check() error {
	n := notFinite(a.next[:])
	for _, l := range a.mlm {
		n += notFinite(l)
	}
	if n > 0 {
		return fmt.Errorf("%d logits are not finite: the model's weights are too large to give an answer", n)
	}
	return nil
}

// noAnswer adds a hint for a model that diverged.
func noAnswer(err error) error {
	return exit.Wrap(exit.Diverged, "its training diverged: use an earlier checkpoint (--model FOLDER), or train again with a lower learning rate", err)
}

// showLogits prints the logits that scripts/golden/check_checkpoint.py compares.
func showLogits(out io.Writer, texts []string, answers []answer) error {
	var all struct {
		Texts []string      `json:"texts"`
		IDs   [][]int64     `json:"ids"`
		MLM   [][][]float32 `json:"mlm"`
		NSP   [][2]float32  `json:"nsp"`
	}
	all.Texts = texts
	for _, a := range answers {
		all.IDs, all.MLM, all.NSP = append(all.IDs, a.ids), append(all.MLM, a.mlm), append(all.NSP, a.next)
	}
	return json.NewEncoder(out).Encode(all)
}

// best are the most likely pieces by softmax, ties by id.
func best(logits []float32, vocab []string, top int) []guess {
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l - logits[order[0]]))
	}
	out := make([]guess, min(top, len(order)))
	for i := range out {
		out[i] = guess{vocab[order[i]], number.Float(math.Exp(float64(logits[order[i]]-logits[order[0]])) / sum)}
	}
	return out
}

func show(out io.Writer, p prediction, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(p)
	}
	fmt.Fprintln(out, p.Text)
	for i, m := range p.Masks {
		if len(p.Masks) > 1 {
			fmt.Fprintf(out, "  [MASK] %d\n", i+1)
		}
		for _, g := range m {
			fmt.Fprintf(out, "  %5.1f%%  %s\n", 100*float64(g.Probability), g.Token)
		}
	}
	return nil
}
