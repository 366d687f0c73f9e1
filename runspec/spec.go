package runspec

import (
	"time"

	"github.com/gramme-project/gramme/replica"
	"github.com/gramme-project/gramme/replica/model"
)

// Values of Precision.
const (
	PrecisionAuto = "auto" // not chosen yet: by a measurement when the run begins
	PrecisionF32  = "f32"
	PrecisionBF16 = "bf16"
)

// Values of Device.
const (
	DeviceCPU  = "cpu"
	DeviceCUDA = "cuda"
	// DeviceTensors is a CPU that works as a GPU does, for tests.
	DeviceTensors = "tensors"
)

// Devices are the values of Device.
var Devices = []string{DeviceCPU, DeviceCUDA, DeviceTensors}

// RingAuto lets the members of a generation find out which way they reach each
// other. The other values of Ring are those of package wire.
const RingAuto = "auto"

// Spec is the configuration of a run. The tags hold the name of a key in files (yaml),
// whether it determines the bits (key), and its meaning (doc); docs/configuration.md is
// made from them.
type Spec struct {
	Run    string   `yaml:"run_id" json:"run_id" key:"operational" doc:"name of the run in etcd, NATS and the ledger: letters, digits and dashes; the default is random"`
	Seed   uint64   `yaml:"seed" json:"seed" key:"identity" doc:"seed of all random draws: initial weights, order of samples, masks, dropout"`
	Steps  uint64   `yaml:"steps" json:"steps" key:"identity" doc:"optimizer steps of the whole run; the learning rate reaches 0 with the last"`
	Corpus []string `yaml:"corpus" json:"corpus" key:"operational" doc:"text files and folders to train on; an existing run keeps the corpus with which it started"`

	Recipe    string `yaml:"recipe" json:"recipe" key:"identity" absent:"auto" doc:"which recipe sets the keys that are not given: auto, by the size of the model (docs/recipe.md), or bert, as in the paper; the values are fixed when the run begins"`
	Model     Model  `yaml:"model" json:"model"`
	VocabSize int    `yaml:"vocab_size" json:"vocab_size" key:"identity" doc:"size of the WordPiece vocabulary to learn from the corpus; a small corpus may give fewer pieces"`
	Lowercase bool   `yaml:"lowercase" json:"lowercase" key:"identity" doc:"lower-case the text and strip accents, as bert-base-uncased does"`
	MaxSeq    int    `yaml:"max_seq" json:"max_seq" key:"identity" doc:"tokens in a sequence, including special tokens"`

	Data      Data      `yaml:"data" json:"data"`
	Batch     Batch     `yaml:"batch" json:"batch"`
	Masking   Masking   `yaml:"masking" json:"masking"`
	Optimizer Optimizer `yaml:"optimizer" json:"optimizer"`
	Dropout   float64   `yaml:"dropout" json:"dropout" key:"identity" doc:"probability of dropout, hidden and attention"`

	Precision string `yaml:"precision" json:"precision" key:"identity" doc:"arithmetic of the gradients: f32, bf16, or auto, which measures both once when the run starts"`
	Reduce    string `yaml:"reduce" json:"reduce" key:"identity" doc:"how gradients are summed: exact (integers; the result does not depend on the workers), exact16 (the same in half the bytes, rounded by chance) or f32 (plain floats; it depends on the number of workers)"`
	Threads   int    `yaml:"threads" json:"threads" key:"operational" doc:"threads of a worker; 0 divides the machine's cores among the workers when the run starts"`
	Pinned    bool   `yaml:"pin_threads" json:"pin_threads" key:"identity" absent:"true" doc:"keep the number of threads for the whole run: the bits depend on it where libtorch's own operations compute (docs/cluster.md)"`
	Device    string `yaml:"device" json:"device" key:"identity" doc:"where gradients are computed, and where weights, moments and sums are: cpu or cuda (tensors is a CPU that works as a GPU does, for tests)"`

	Workers          Workers       `yaml:"workers" json:"workers" key:"operational" doc:"workers on this machine: N; min:max, which starts max and continues with as few as min; or auto: when the run starts, a measurement shows which number of workers and threads is fastest (1 worker, if threads or a GPU are given)"`
	Checkpoint       Checkpoint    `yaml:"checkpoint" json:"checkpoint"`
	FailureTimeout   time.Duration `yaml:"failure_timeout" json:"failure_timeout" key:"operational" doc:"silence after which a worker counts as gone, unless quicker evidence shows it"`
	ComputeTimeout   time.Duration `yaml:"compute_timeout" json:"compute_timeout" key:"operational" doc:"how long a micro-batch may take before its worker counts as hung and is restarted; 0 measures: 20 times the median of the newest ones or 4 times the slowest, and at least 10 s"`
	StopOnDivergence string        `yaml:"stop_on_divergence" json:"stop_on_divergence" key:"operational" doc:"which divergence of the training ends the run, after storing a checkpoint and with exit code 6: skipped (20 of the newest 32 steps were skipped, because gradients were not finite), loss (that, or a loss far above the first one in 12 of the newest 16 steps; the flag without a value means this) or never"`
	Ring             string        `yaml:"ring" json:"ring" key:"operational" doc:"how workers exchange gradients: direct (from worker to worker; through shared memory on one host), broker (through NATS, if workers do not reach each other) or auto (direct if all workers find, when they join, that they reach each other; on one machine they do)"`
	AllowMixed       bool          `yaml:"mixed" json:"mixed" key:"operational" doc:"admit workers whose arithmetic differs; the result is then not reproducible and says so"`
	KeepSlow         bool          `yaml:"keep_slow_workers" json:"keep_slow_workers" key:"operational" doc:"keep workers on other hosts even if measurements show that the run is slower with them"`
	Energy           Energy        `yaml:"energy" json:"energy"`
	Log              Log           `yaml:"log" json:"log"`
}

// Model is the architecture. Fields besides Name are taken from the preset or
// the file that Name says unless they are given.
type Model struct {
	Name             string  `yaml:"name" json:"name" key:"operational" doc:"tiny, mini, small, base, large, or the path of a Hugging Face config.json; short form: model: tiny"`
	HiddenSize       int     `yaml:"hidden_size" json:"hidden_size" key:"identity" doc:"width of the encoder"`
	Layers           int     `yaml:"layers" json:"layers" key:"identity" doc:"encoder layers"`
	Heads            int     `yaml:"heads" json:"heads" key:"identity" doc:"attention heads; divides hidden_size"`
	IntermediateSize int     `yaml:"intermediate_size" json:"intermediate_size" key:"identity" doc:"width of the feed-forward layers"`
	MaxPositions     int     `yaml:"max_positions" json:"max_positions" key:"identity" doc:"positions that have an embedding; at least max_seq"`
	TypeVocabSize    int     `yaml:"type_vocab_size" json:"type_vocab_size" key:"identity" doc:"segment types"`
	InitStd          float64 `yaml:"init_std" json:"init_std" key:"identity" doc:"standard deviation of the initial weights"`
	PositionInit     string  `yaml:"position_init" json:"position_init" key:"identity" doc:"initial position embeddings: normal, drawn as in BERT; sinusoid, with which a short run learns about neighbouring words sooner; or neighbours, where in addition the heads of the first layer look at neighbouring words from the first step"`
	OutputInit       string  `yaml:"output_init" json:"output_init" key:"identity" absent:"normal" doc:"initial weights of the products whose result is added to the input of their layer: normal, drawn as in BERT, or zero, with which a short run learns a little sooner"`
	LayerNormEps     float64 `yaml:"layer_norm_eps" json:"layer_norm_eps" key:"identity" doc:"epsilon of the layer norms"`
	Activation       string  `yaml:"activation" json:"activation" key:"identity" doc:"gelu (erf) or gelu_new (tanh)"`
}

// Data says how the corpus is cut and read.
type Data struct {
	ShardTokens int `yaml:"shard_tokens" json:"shard_tokens" key:"identity" doc:"tokens in one shard file"`
	Window      int `yaml:"window" json:"window" key:"identity" doc:"number of shards that are shuffled together and that a worker holds at a time"`
}

// Batch is the shape of a step.
type Batch struct {
	Rows         int `yaml:"rows" json:"rows" key:"identity" doc:"sequences of a micro-batch, the unit of work of a worker"`
	MicroBatches int `yaml:"micro_batches" json:"micro_batches" key:"identity" doc:"micro-batches of a step, whatever the number of workers; rows times this is the global batch"`
}

// Masking is the MLM task.
type Masking struct {
	Probability      float64 `yaml:"probability" json:"probability" key:"identity" doc:"fraction of the tokens to predict, in the first step"`
	FinalProbability float64 `yaml:"final_probability" json:"final_probability" key:"identity" absent:"0" doc:"fraction of the tokens to predict in the last step, which the steps between approach linearly; 0 does not change it"`
	MaxPredictions   int     `yaml:"max_predictions" json:"max_predictions" key:"identity" doc:"maximum number of tokens to predict in a sequence"`
	WholeWord        bool    `yaml:"whole_word" json:"whole_word" key:"identity" doc:"mask all pieces of a word together"`
}

// Mean is the fraction of the tokens to predict in the mean over the steps.
func (m Masking) Mean() float64 {
	if m.FinalProbability == 0 {
		return m.Probability
	}
	return (m.Probability + m.FinalProbability) / 2
}

// Optimizer is AdamW with decoupled weight decay, global-norm clipping, and a schedule of
// the learning rate.
type Optimizer struct {
	Name        string  `yaml:"name" json:"name" key:"identity" doc:"adamw"`
	LR          float64 `yaml:"lr" json:"lr" key:"identity" doc:"peak of the learning rate"`
	Warmup      float64 `yaml:"warmup" json:"warmup" key:"identity" doc:"fraction of the steps over which the learning rate grows to its peak"`
	Beta1       float64 `yaml:"beta1" json:"beta1" key:"identity" doc:"decay of the first moment"`
	Beta2       float64 `yaml:"beta2" json:"beta2" key:"identity" doc:"decay of the second moment"`
	Eps         float64 `yaml:"eps" json:"eps" key:"identity" doc:"epsilon in the denominator of the update"`
	WeightDecay float64 `yaml:"weight_decay" json:"weight_decay" key:"identity" doc:"decoupled weight decay of matrices and embeddings"`
	Clip        float64 `yaml:"clip" json:"clip" key:"identity" doc:"upper bound of the global norm of the gradient; 0 is off"`
	Schedule    string  `yaml:"schedule" json:"schedule" key:"identity" doc:"shape in which the learning rate falls to 0: linear, or sqrt (one minus a square root, quick at first)"`
	Decay       float64 `yaml:"decay" json:"decay" key:"identity" absent:"1" doc:"fraction of the steps, at the end, over which the learning rate falls; 1 begins after the warmup"`
}

// Checkpoint says when state is stored and how much of it is kept.
type Checkpoint struct {
	Every time.Duration `yaml:"every" json:"every" key:"operational" doc:"time between checkpoints; the last step is always stored"`
	Keep  int           `yaml:"keep" json:"keep" key:"operational" doc:"number of newest checkpoints to keep"`
}

// Energy holds the factors that turn processor time into watt-hours, without a counter,
// and watt-hours into CO2e.
type Energy struct {
	Country         string  `yaml:"country" json:"country" key:"operational" doc:"three-letter ISO code of the country whose grid intensity applies; empty is the world's mean"`
	Intensity       float64 `yaml:"intensity" json:"intensity" key:"operational" doc:"grid intensity in g CO2e per kWh; 0 takes the country's"`
	PUE             float64 `yaml:"pue" json:"pue" key:"operational" doc:"power usage effectiveness of the site: total energy divided by that of the machines"`
	CPUWattsPerCore float64 `yaml:"cpu_watts_per_core" json:"cpu_watts_per_core" key:"operational" doc:"estimate: watts of one busy processor thread"`
	RAMWattsPerGB   float64 `yaml:"ram_watts_per_gb" json:"ram_watts_per_gb" key:"operational" doc:"estimate: watts of one GB of memory in use"`
}

// Log configures the logs of the roles in RUN/logs.
type Log struct {
	Level  string `yaml:"level" json:"level" key:"operational" doc:"debug, info, warn or error"`
	Format string `yaml:"format" json:"format" key:"operational" doc:"console or json"`
}

// Patience is the failure timeout for waits on work: of a disk, or of a donor that reads
// its whole state for a digest. It does not get shorter if a user wants to know of
// failures sooner. A dead member does not prolong a wait: the plan without it ends the
// fetch.
func (s Spec) Patience() time.Duration { return max(s.FailureTimeout, time.Second) }

// ModelConfig returns the architecture for a vocabulary of a known size.
func (s Spec) ModelConfig(vocabSize int) model.Config {
	m := s.Model
	return model.Config{
		VocabSize: vocabSize, HiddenSize: m.HiddenSize, Layers: m.Layers, Heads: m.Heads,
		IntermediateSize: m.IntermediateSize, MaxPositions: m.MaxPositions, TypeVocabSize: m.TypeVocabSize,
		HiddenDropout: s.Dropout, AttentionDropout: s.Dropout,
		InitStd: m.InitStd, PositionInit: m.PositionInit, OutputInit: m.OutputInit, LayerNormEps: m.LayerNormEps, Activation: m.Activation,
	}
}

// Rule returns how the state of this run changes.
func (s Spec) Rule(l model.Layout) replica.Rule {
	o := s.Optimizer
	steps := float64(s.Steps)
	warmup, decay := uint64(o.Warmup*steps), uint64(o.Decay*steps)
	return replica.Rule{
		Layout: l, MicroBatches: s.Batch.MicroBatches, Steps: s.Steps, Reduce: replica.Reduce(s.Reduce), Seed: s.Seed,
		Optimizer: replica.AdamW{
			LearningRate: o.LR, Warmup: warmup, Hold: s.Steps - min(s.Steps, warmup+decay), Schedule: replica.Schedule(o.Schedule),
			Beta1: o.Beta1, Beta2: o.Beta2, Epsilon: o.Eps, WeightDecay: o.WeightDecay, Clip: o.Clip,
		},
	}
}
