package runspec

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gramme-project/gramme/internal/failures"
	"github.com/gramme-project/gramme/internal/suggest"
)

// prefix begins every name of Gramme's in the environment.
const prefix = "GRAMME_"

// others are the names in the environment that are no keys, with their purpose. A test
// checks that none is missing.
var others = map[string]string{
	"GRAMME_ETCD":        "as --etcd",
	"GRAMME_NATS":        "as --nats",
	"GRAMME_TLS_CA":      "as --tls-ca",
	"GRAMME_TLS_CERT":    "as --tls-cert",
	"GRAMME_TLS_KEY":     "as --tls-key",
	"GRAMME_NATS_CREDS":  "as --nats-creds",
	"GRAMME_PROXY":       "a SOCKS5 proxy for all connections",
	"GRAMME_ENDPOINT":    "where etcd and NATS of a run are, for its processes",
	"GRAMME_CPU_PROFILE": "folder for profiles of the workers",
	"GRAMME_EXIT_REPORT": "how a process tells the one that started it what it ends with",
	"GRAMME_CHAOS":       "marks the processes of a trial",
	"GRAMME_SOURCES":     "what the tests were built from",
}

// Environment returns the settings among NAME=value pairs. Names that begin
// with GRAMME_ and are no key belong to others and are left alone; CheckEnvironment
// finds those that were mistyped.
func Environment(environ []string) []Setting {
	var settings []Setting
	for _, k := range allKeys {
		for _, pair := range environ {
			value, ok := strings.CutPrefix(pair, k.Env()+"=")
			if !ok || value == "" {
				continue
			}
			texts := []string{value}
			if k.Name == "corpus" {
				texts = filepath.SplitList(value)
			}
			settings = append(settings, Setting{Key: k, Texts: texts, Origin: k.Env()})
		}
	}
	return settings
}

// CheckEnvironment reports names among NAME=value pairs that are probably typing errors of
// known ones.
func CheckEnvironment(environ []string) error {
	var known []string
	for _, k := range allKeys {
		known = append(known, strings.TrimPrefix(k.Env(), prefix))
	}
	for name := range others {
		known = append(known, strings.TrimPrefix(name, prefix))
	}
	var errs []error
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		typed, ours := strings.CutPrefix(name, prefix)
		if !ours || value == "" || strings.HasPrefix(typed, "TEST_") {
			continue
		}
		if i := suggest.Nearest(typed, known); i >= 0 && known[i] != typed {
			errs = append(errs, fmt.Errorf("unknown key %s in the environment: did you mean %s?", name, prefix+known[i]))
		}
	}
	return failures.Of(errs...)
}
