package architecture

// A pattern names a package by its folder, or with /... a folder and all below
// it. A name in full counts more than a pattern, a longer pattern more than a
// shorter one.

// layers are ordered: a package may import its own layer and those before it.
var layers = []struct {
	name     string
	what     string
	packages []string
}{
	{"core", "decides or computes: inputs and time come in as values, effects go out as values", []string{
		"allreduce",
		"checkpoint/ledger",
		"coordinator/plan",
		"coordinator/roster",
		"internal/buildinfo",
		"internal/cgroup",
		"internal/divergence",
		"internal/energy",
		"internal/membership",
		"internal/model",
		"internal/number",
		"internal/preflight",
		"internal/replica",
		"internal/rng",
		"internal/roundtrip",
		"internal/runspec",
		"internal/suggest",
		"internal/wire",
		"internal/words",
		"shard/sampler",
		"worker/step",
	}},
	{"adapter", "joins cores to the world: disk, network, clock, libtorch, or a stand-in of these", []string{
		"allreduce/...",
		"internal/...",
		"shard/...",
	}},
	{"role", "what one process of a run does: owns a core, and runs its effects by adapters", []string{
		"checkpoint/...",
		"coordinator/...",
		"worker/...",
	}},
	{"shell", "puts roles, or all that roles share, together", []string{
		"internal/chaos/...",
		"internal/local/...",
		"internal/role/...",
		"internal/simulation/...",
	}},
	{"command", "flags, output and exit codes", []string{
		"cmd/...",
	}},
}

// roles are closed to each other: what lies below one is imported from below it,
// from shells and from commands.
var roles = []string{"checkpoint/...", "coordinator/...", "worker/..."}

// open packages of a role are for everyone.
var open = map[string]string{
	"checkpoint/safetensors": "a file format, with no knowledge of checkpoints",
}

// Lists of packages that several rules name.
var (
	libtorch = []string{"worker/torch", "worker/bert", "cmd/gramme-worker"}
	commands = []string{"cmd/..."}
)

// foreign modules and where they may be imported; a path counts with all below it.
var foreign = []struct {
	path string
	why  string
	in   []string
}{
	{"C", "everything but the worker builds with CGO_ENABLED=0", libtorch},
	{"github.com/sugarme/gotch", "everything but the worker builds with CGO_ENABLED=0", libtorch},
	{"go.etcd.io", "etcd is one way to keep a membership", []string{
		"internal/membership/etcdstore",
		"internal/embedded",
		"internal/endpoint", // dials
		"internal/role",     // holds what was dialled
	}},
	{"github.com/nats-io", "NATS is one way to carry frames and messages", []string{
		"allreduce/natslink",
		"internal/embedded",
		"internal/endpoint", // dials
		"internal/role",     // holds what was dialled
		"internal/transfer",
		"checkpoint",  // a role's own subjects: the shells around the cores below it
		"coordinator", // likewise
		"worker",      // likewise
		"cmd/gramme-worker",
	}},
	{"github.com/spf13", "flags are the commands' matter", commands},
	{"golang.org/x/term", "the terminal is the commands' matter", commands},
}

// impure are packages that no core imports.
var impure = map[string]string{
	"net": "network", "os": "disk and environment", "syscall": "operating system", "golang.org/x/sys": "operating system",
	"log": "log", "go.uber.org/zap": "log", "github.com/sirupsen/logrus": "log",
	"google.golang.org/grpc": "network", "golang.org/x/sync/errgroup": "goroutines",
}

// clock are functions of package time that no core names: time comes in as a value.
var clock = []string{
	"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker",
}

// The names of the rules, as errors and exceptions give them.
const (
	ruleLayer     = "arrows point one way"
	ruleRole      = "roles are closed to each other"
	ruleForeign   = "foreign modules stay where they belong"
	rulePure      = "a core imports nothing impure"
	ruleClock     = "a core has no clock"
	ruleGoroutine = "a core starts no goroutine"
	rulePanic     = "a library returns errors"
	rulePrint     = "a library does not write to standard output"
	ruleDocument  = "every package says what it is"
)

// exceptions name a file, or a folder for all files directly in it, and the
// import or name that is excused there. One that nothing needs any more fails
// the test.
var exceptions = []struct{ rule, where, what, why string }{
	{ruleLayer, "shard/sampler", "shard", "reads the chunks of opened shards, which are plain memory"},

	{rulePure, "checkpoint/ledger/disk.go", "os", "the one real disk behind the log's interface of a disk"},
	{rulePure, "checkpoint/ledger/disk.go", "syscall", "the lock that keeps a second process off the log"},
	{rulePure, "checkpoint/ledger/log.go", "os", "the flags of opening, which the interface of a disk takes"},
	{rulePure, "checkpoint/ledger/verify.go", "os", "likewise"},
	{rulePure, "internal/runspec/keys.go", "os", "the separator of a list of paths"},
	{rulePure, "internal/runspec/layers.go", "os", "reads the file of settings"},
	{rulePure, "internal/runspec/precision.go", "os", "keeps the choice of precision beside the spec"},
	{rulePure, "internal/runspec/store.go", "os", "keeps the run's spec as a file, by an atomic rename"},

	{ruleClock, "checkpoint/ledger/log.go", "time.Now", "the default of an option"},

	{ruleGoroutine, "allreduce/exchange.go", "go", "sends while it receives, and joins before it returns"},
	{ruleGoroutine, "internal/replica/chunks.go", "Go", "parallel loops whose result does not depend on the order; joined before they return"},
}
